//go:build !unix

package cmd

import "syscall"

// ownSession has no meaning here: there is no lab.
func ownSession() *syscall.SysProcAttr { return nil }
