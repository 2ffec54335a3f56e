//go:build unix

package cmd

import "syscall"

// ownSession keeps a child out of the terminal's foreground: Ctrl-C is not
// for it.
func ownSession() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }
