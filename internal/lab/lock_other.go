//go:build !linux

package lab

import (
	"errors"
	"os"
)

// There are no labs where there are no network namespaces: none is alive, and
// none can be locked or started.

var errLocked = errors.New("locked")

func (d Dir) lock() (*os.File, error) { return nil, ErrNotLinux }

func (d Dir) alive() bool { return false }

func killProcess(int) error { return ErrNotLinux }

func ownedByUs(string) bool { return true }

// supported refuses: there are no network namespaces.
func supported() error {
	return &Hint{What: "a lab needs Linux: it is made of network namespaces", Try: "netpol --dir DIRECTORY …, which works anywhere", Err: ErrNotLinux}
}

func (u *Up) launch(Dir, *os.File) (*launched, error) { return nil, ErrNotLinux }

func forbidden(err error) error { return err }
