package kubetest

import (
	"os/exec"
	"syscall"
)

// dieWithParent has the kernel kill the process when the test's process ends,
// even if that is killed itself.
func dieWithParent(cmd *exec.Cmd) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	// Ctrl-C is for the test, which then stops its servers in order.
	cmd.SysProcAttr.Setpgid = true
}
