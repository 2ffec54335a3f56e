//go:build linux

package nfnl

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// memInfo reads SO_MEMINFO, for which x/sys has no helper.
func memInfo(fd uintptr, info *[9]uint32) {
	size := uint32(unsafe.Sizeof(*info))
	_, _, _ = unix.Syscall6(unix.SYS_GETSOCKOPT, fd, unix.SOL_SOCKET, unix.SO_MEMINFO,
		uintptr(unsafe.Pointer(info)), uintptr(unsafe.Pointer(&size)), 0)
}
