//go:build linux

package netnstest

import (
	"fmt"
	"os"
	"runtime"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// NS is a network namespace.
type NS struct {
	file *os.File
}

// NewNS makes an empty network namespace with its loopback up; it is gone
// after the test.
func NewNS(t testing.TB) *NS {
	t.Helper()
	ns, err := makeNS()
	if err != nil {
		t.Fatalf("network namespace: %v", err)
	}
	t.Cleanup(func() { _ = ns.file.Close() })
	ns.Must(t, func() error {
		// Without this every link-local address spends two seconds looking
		// for a duplicate, and neighbour discovery waits for it.
		if err := os.WriteFile("/proc/sys/net/ipv6/conf/default/accept_dad", []byte("0"), 0); err != nil {
			return err
		}
		return linkUp("lo")
	})
	return ns
}

func makeNS() (*NS, error) {
	type result struct {
		ns  *NS
		err error
	}
	done := make(chan result, 1)
	go func() {
		// Never unlocked: the thread is in another namespace now, and the
		// runtime ends it together with this goroutine.
		runtime.LockOSThread()
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			done <- result{err: err}
			return
		}
		file, err := os.Open(fmt.Sprintf("/proc/self/task/%d/ns/net", unix.Gettid()))
		done <- result{ns: &NS{file: file}, err: err}
	}()
	r := <-done
	return r.ns, r.err
}

// FD is the namespace's file descriptor, valid until the test ends.
func (ns *NS) FD() int { return int(ns.file.Fd()) }

// Do runs fn in the namespace, on a thread of its own that is thrown away.
// Sockets and files that fn opens stay in the namespace wherever they are
// used; goroutines that it starts do not run there.
func (ns *NS) Do(fn func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		if err := unix.Setns(ns.FD(), unix.CLONE_NEWNET); err != nil {
			done <- fmt.Errorf("enter namespace: %w", err)
			return
		}
		done <- fn()
	}()
	return <-done
}

// Must is Do for steps without which the test has no sense.
func (ns *NS) Must(t testing.TB, fn func() error) {
	t.Helper()
	if err := ns.Do(fn); err != nil {
		t.Fatal(err)
	}
}

func in(ns *NS, fn func() error) error {
	if ns == nil {
		return fn()
	}
	return ns.Do(fn)
}

func loopbackUp(t testing.TB) {
	t.Helper()
	if err := linkUp("lo"); err != nil {
		t.Fatalf("loopback: %v", err)
	}
}

func linkUp(name string) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	return netlink.LinkSetUp(link)
}
