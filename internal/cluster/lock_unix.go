//go:build unix

package cluster

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// lock keeps other netpol processes from changing the directory: an flock on
// the directory itself, which leaves no file behind and ends with the process.
func (d *Dir) lock(shared bool) (unlock func(), err error) {
	h, err := os.Open(d.root)
	if err != nil {
		return nil, fmt.Errorf("directory of manifests: %w", err)
	}
	how := unix.LOCK_EX
	if shared {
		how = unix.LOCK_SH
	}
	for {
		err = unix.Flock(int(h.Fd()), how)
		if err != unix.EINTR {
			break
		}
	}
	if err != nil {
		h.Close()
		return nil, fmt.Errorf("%s can't be locked: %w", d.root, err)
	}
	return func() { h.Close() }, nil
}
