//go:build !linux

package kubetest

import "os/exec"

// dieWithParent: only Linux can. Elsewhere Stop has to be reached.
func dieWithParent(*exec.Cmd) {}
