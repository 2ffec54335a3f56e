package prober

import (
	"context"
	"fmt"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"
)

// bindAndRegister gives the socket its address and port, tells the agent of
// them, and only then lets the connection begin, and its time.
func (a *attempt) bindAndRegister(ctx context.Context, c syscall.RawConn) error {
	var source netip.AddrPort
	var err error
	if controlErr := c.Control(func(fd uintptr) { source, err = bind(int(fd), a.Source) }); controlErr != nil {
		return controlErr
	}
	if err != nil {
		return fmt.Errorf("bind: %w", err)
	}
	return a.register(ctx, source)
}

func bind(fd int, addr netip.Addr) (netip.AddrPort, error) {
	var sa unix.Sockaddr = &unix.SockaddrInet4{}
	if addr.Is4() {
		sa = &unix.SockaddrInet4{Addr: addr.As4()}
	} else if addr.Is6() {
		sa = &unix.SockaddrInet6{Addr: addr.As16()}
	}
	if err := unix.Bind(fd, sa); err != nil {
		return netip.AddrPort{}, err
	}
	bound, err := unix.Getsockname(fd)
	if err != nil {
		return netip.AddrPort{}, err
	}
	switch bound := bound.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(bound.Addr), uint16(bound.Port)), nil
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(bound.Addr), uint16(bound.Port)), nil
	}
	return netip.AddrPort{}, fmt.Errorf("unexpected address %v", bound)
}
