//go:build !linux

package prober

import (
	"context"
	"errors"
	"syscall"
)

func (a *attempt) bindAndRegister(context.Context, syscall.RawConn) error {
	return errors.ErrUnsupported
}
