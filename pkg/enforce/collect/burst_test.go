//go:build linux

package collect

import (
	"errors"
	"os"
	"testing"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// burst makes n TCP connections through the router, each with its handshake,
// and ends them by a reset, so that ports are free again at once.
func (w *world) burst(t *testing.T, n int) {
	t.Helper()
	// Ended connections stay in the table for 10 s, which a busy machine may take
	// for all of them.
	w.router.Must(t, func() error {
		return os.WriteFile("/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_close", []byte("600"), 0)
	})
	const workers = 2
	var g errgroup.Group
	for worker := range workers {
		ports := []int{20000 + worker}
		var listener int
		w.server.Must(t, func() (err error) {
			listener, err = rawListener(ports[0])
			return err
		})
		t.Cleanup(func() { _ = unix.Close(listener) })
		done := make(chan struct{})
		g.Go(func() error { acceptAll(listener, done); return nil })
		g.Go(func() error {
			defer func() { close(done); _ = unix.Shutdown(listener, unix.SHUT_RDWR) }()
			return w.client.Do(func() error {
				for i := range n / workers {
					// A source port each: reuse would make two connections
					// look like one to the table.
					if err := connectOnce(10000+i, ports[0]); err != nil {
						return err
					}
				}
				return nil
			})
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
}

func rawListener(port int) (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Port: port}); err != nil {
		return 0, err
	}
	return fd, unix.Listen(fd, 4096)
}

func acceptAll(listener int, done <-chan struct{}) {
	for {
		fd, _, err := unix.Accept4(listener, unix.SOCK_CLOEXEC)
		select {
		case <-done:
			return
		default:
		}
		if err == nil {
			_ = unix.Close(fd)
		} else if !errors.Is(err, unix.ECONNABORTED) && !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

func connectOnce(from, to int) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	if err := unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}); err != nil {
		return err
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Port: from}); err != nil {
		return err
	}
	return unix.Connect(fd, &unix.SockaddrInet4{Port: to, Addr: [4]byte{10, 2, 0, 2}})
}
