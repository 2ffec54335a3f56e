package network

import (
	"errors"
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// Namespace is a network namespace that lives as long as its file descriptor
// or a process in it.
type Namespace struct{ file *os.File }

// newNamespace makes a namespace and runs setup in it.
func newNamespace(setup func() error) (*Namespace, error) {
	type result struct {
		ns  *Namespace
		err error
	}
	done := make(chan result)
	go func() {
		// The thread is not unlocked, so it ends with the goroutine and no
		// other code runs in the new namespace by accident.
		runtime.LockOSThread()
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			done <- result{err: fmt.Errorf("make a network namespace: %w", err)}
			return
		}
		// Not by process number: /proc may be that of another process
		// namespace, in which this process has another number.
		file, err := os.Open("/proc/thread-self/ns/net")
		if err != nil {
			done <- result{err: fmt.Errorf("hold a network namespace: %w", err)}
			return
		}
		ns := &Namespace{file: file}
		if err := setup(); err != nil {
			done <- result{err: errors.Join(err, ns.Close())}
			return
		}
		done <- result{ns: ns}
	}()
	r := <-done
	return r.ns, r.err
}

// Do runs f on a thread that is in the namespace. Processes that f starts are
// in it too.
func (n *Namespace) Do(f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		if err := unix.Setns(int(n.file.Fd()), unix.CLONE_NEWNET); err != nil {
			done <- fmt.Errorf("enter a network namespace: %w", err)
			return
		}
		done <- f()
	}()
	return <-done
}

// Close gives the namespace up.
func (n *Namespace) Close() error { return n.file.Close() }

// setting is one kernel setting of the namespace it is written in.
type setting struct {
	name, value string
	ipv6        bool
}

// podSettings make addresses usable at once and let every refused datagram be
// answered; nodeSettings make the node a router that leaves every judgement
// about addresses to the agent.
var (
	podSettings = []setting{
		{"net/ipv4/icmp_ratelimit", "0", false},
		{"net/ipv6/icmp/ratelimit", "0", true},
		{"net/ipv6/conf/all/disable_ipv6", "0", true},
		{"net/ipv6/conf/default/disable_ipv6", "0", true},
		{"net/ipv6/conf/default/accept_dad", "0", true},
		{"net/ipv6/conf/default/accept_ra", "0", true},
		{"net/ipv4/conf/all/rp_filter", "0", false},
		{"net/ipv4/conf/default/rp_filter", "0", false},
	}
	nodeSettings = append([]setting{
		{"net/ipv4/ip_forward", "1", false},
		{"net/ipv6/conf/all/forwarding", "1", true},
		{"net/ipv6/conf/default/forwarding", "1", true},
		{"net/ipv4/conf/all/send_redirects", "0", false},
		{"net/ipv4/conf/default/send_redirects", "0", false},
	}, podSettings...)
)

func apply(settings []setting, ipv6 bool) error {
	for _, s := range settings {
		if s.ipv6 && !ipv6 {
			continue
		}
		if err := os.WriteFile("/proc/sys/"+s.name, []byte(s.value), 0o644); err != nil {
			return fmt.Errorf("set %s=%s: %w", s.name, s.value, err)
		}
	}
	return nil
}
