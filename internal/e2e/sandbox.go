//go:build linux

package e2e

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strconv"
	"syscall"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// BinEnv names the directory of every binary that a cluster needs; make e2e
// sets it.
const BinEnv = "NETPOL_E2E_BIN"

// stageEnv tells a process of the sandbox which one it is.
const stageEnv = "NETPOL_E2E_STAGE"

const (
	stageInit  = "init"
	stageTests = "tests"
)

const (
	// cgroupEnv carries the name of the cgroup that the sandbox has in every
	// hierarchy.
	cgroupEnv = "NETPOL_E2E_CGROUP"
	// stateEnv carries the directory of everything that a cluster writes; in
	// the sandbox it is a file system in memory.
	stateEnv = "NETPOL_E2E_STATE"
	// outerEnv carries the number of the process outside.
	outerEnv = "NETPOL_E2E_OUTER"
)

// Sandbox runs tests in namespaces that end with them. In TestMain:
//
//	os.Exit(e2e.Sandbox(m.Run))
//
// Where the environment names no binaries the tests run as they are, and skip.
func Sandbox(tests func() int) int {
	stage := os.Getenv(stageEnv)
	var code int
	var err error
	switch {
	case os.Getenv(BinEnv) == "":
		return tests()
	case stage == "":
		code, err = outside()
	case stage == stageInit:
		code, err = reap()
	default:
		return tests()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		return 2
	}
	return code
}

// outside starts the sandbox and cleans up what outlives namespaces.
func outside() (int, error) {
	if os.Geteuid() != 0 {
		return 0, errors.New("a cluster needs root: kubelet and containerd do")
	}
	for _, program := range []string{"runc", "nft", "nsenter", "unshare", "ip"} {
		if _, err := exec.LookPath(program); err != nil {
			return 0, fmt.Errorf("%w (Debian: apt-get install runc nftables containernetworking-plugins util-linux iproute2)", err)
		}
	}
	if err := removeStaleCgroups(); err != nil {
		return 0, err
	}
	group := fmt.Sprintf("%s%d", cgroupPrefix, os.Getpid())
	if err := makeCgroup(group); err != nil {
		return 0, err
	}
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt, unix.SIGTERM, unix.SIGHUP)
	cmd, err := again(stageInit)
	if err != nil {
		return 0, err
	}
	state, err := os.MkdirTemp("", cgroupPrefix)
	if err != nil {
		return 0, err
	}
	defer os.Remove(state)
	cmd.Env = append(cmd.Env, cgroupEnv+"="+group, stateEnv+"="+state, outerEnv+"="+strconv.Itoa(os.Getpid()))
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC,
		Pdeathsig:  syscall.SIGKILL,
		Setpgid:    true, // Ctrl-C comes here only
	}
	runtime.LockOSThread() // the parent-death signal follows the thread
	if err := cmd.Start(); err != nil {
		return 0, fmt.Errorf("namespaces: %w", err)
	}
	go func() {
		<-interrupted
		_ = cmd.Process.Kill() // the kernel ends all that is in there
	}()
	code, err := exitCode(cmd.Wait())
	return code, errors.Join(err, removeCgroup(group))
}

// reap is process 1 of the sandbox: it prepares mounts, runs the tests, and
// waits for the orphans that containerd's shims leave.
func reap() (int, error) {
	if err := prepareMounts(); err != nil {
		return 0, fmt.Errorf("mounts: %w", err)
	}
	if err := loopbackUp(); err != nil {
		return 0, fmt.Errorf("loopback: %w", err)
	}
	cmd, err := again(stageTests)
	if err != nil {
		return 0, err
	}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil {
			return 0, err
		}
		if pid != cmd.Process.Pid {
			continue
		}
		if status.Signaled() {
			return 0, fmt.Errorf("tests ended by %s", status.Signal())
		}
		return status.ExitStatus(), nil
	}
}

// again is this program with the same arguments in another stage.
func again(stage string) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, os.Args[1:]...)
	cmd.Env = append(os.Environ(), stageEnv+"="+stage)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	return cmd, nil
}

func exitCode(err error) (int, error) {
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Exited() {
		return exit.ExitCode(), nil
	}
	return 0, err
}

// prepareMounts separates the mounts from the machine's.
func prepareMounts() error {
	state := os.Getenv(stateEnv)
	return errors.Join(
		unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""),
		unix.Mount("proc", "/proc", "proc", 0, ""),
		unix.Mount("tmpfs", state, "tmpfs", 0, "mode=0755"),
		hideKernelTunables(state),
	)
}

// hideKernelTunables shows kubelet the settings of the whole machine that it
// wants, in files of our own, so that it does not write them.
func hideKernelTunables(dir string) error {
	for path, value := range map[string]string{
		"vm/overcommit_memory": "1", "vm/panic_on_oom": "0", "kernel/panic": "10", "kernel/panic_on_oops": "1",
		"kernel/keys/root_maxkeys": "1000000", "kernel/keys/root_maxbytes": "25000000",
	} {
		file, err := os.CreateTemp(dir, "sysctl-")
		if err != nil {
			return err
		}
		_, err = file.WriteString(value + "\n")
		if err := errors.Join(err, file.Close()); err != nil {
			return err
		}
		target := "/proc/sys/" + path
		if _, err := os.Stat(target); errors.Is(err, os.ErrNotExist) {
			continue // a kernel without it
		}
		if err := unix.Mount(file.Name(), target, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("%s: %w", target, err)
		}
	}
	return nil
}

func loopbackUp() error {
	link, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	return netlink.LinkSetUp(link)
}
