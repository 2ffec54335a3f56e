package prove

import (
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// volley is a number of attempts that are made together.
type volley struct {
	*node
	shots map[seen]*shot
}

// fire makes all attempts from one thread on one processor, and then waits
// until what was let through has arrived: twice, it sends a mark to every
// place on a way that is never closed (the host to its own pods, S12). The
// processor handles packets in the order in which they were sent, one hop at a
// time, and the way through the node has two hops; so behind the second mark
// nothing can be left.
func (n *node) fire(shots []*shot) error {
	v := volley{n, map[seen]*shot{}}
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlock: the thread ends with the goroutine
		done <- v.fire(shots)
	}()
	return <-done
}

func (v volley) fire(shots []*shot) error {
	if err := pin(); err != nil {
		return err
	}
	// What an attempt that failed has left behind must not count.
	if err := errors.Join(v.collect(nil), v.lost()); err != nil && !errors.Is(err, errLost) {
		return err
	}
	for i, s := range shots {
		if s.SourcePort == 0 {
			s.SourcePort = v.nextPort()
		}
		if v.shots[s.key()] != nil {
			return fmt.Errorf("%s: looks like another attempt", s.what)
		}
		v.shots[s.key()] = s
		if err := s.send(); err != nil {
			return fmt.Errorf("%s: %w", s.what, err)
		}
		if i%64 == 63 { // before a tap can be full
			if err := v.collect(nil); err != nil {
				return err
			}
		}
	}
	for range 2 {
		if err := v.mark(); err != nil {
			return err
		}
	}
	return v.lost()
}

// nextPort is a source port, or an identifier, that no attempt of this world
// and the next has, and that worlds do not name (sourcePorts).
func (n *node) nextPort() int {
	n.sport = 20000 + (n.sport+1)%29000
	return n.sport
}

// pin binds the thread to one processor, the first that it may use.
func pin() error {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return err
	}
	for cpu := range 1024 {
		if set.IsSet(cpu) {
			set.Zero()
			set.Set(cpu)
			return unix.SchedSetaffinity(0, &set)
		}
	}
	return errors.New("no processor to run on")
}

// markPort is the destination port of marks; no rule of a world names it.
const markPort = 9

// mark sends a mark to every place and waits until all have come.
func (v volley) mark() error {
	if err := unix.Setns(v.host.FD(), unix.CLONE_NEWNET); err != nil {
		return err
	}
	missing := map[seen]string{}
	for place := range v.taps {
		m := shot{source: hostAddrs[0], to: place, dest: v.address(place), Wire: Wire{unix.IPPROTO_UDP, markPort, v.nextPort()}}
		missing[m.key()] = place
		if err := m.open(); err != nil {
			return fmt.Errorf("mark for %s: %w", place, err)
		}
	}
	deadline := time.Now().Add(20 * time.Second)
	for {
		if err := v.collect(missing); err != nil || len(missing) == 0 {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("marks did not reach %v", missing)
		}
		if err := v.wait(missing); err != nil {
			return err
		}
	}
}

// collect notes which attempts, and which of the missing marks, have come.
func (v volley) collect(missing map[seen]string) error {
	for place, tap := range v.taps {
		err := tap.drain(func(s seen) {
			if s.to = place; place == "host" {
				s.dest = netip.Addr{}
			}
			delete(missing, s)
			if hit := v.shots[s]; hit != nil {
				hit.reached = true
			}
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// lost fails if a tap had to drop something: then "nothing came" proves
// nothing.
func (v volley) lost() (lost error) {
	for place, tap := range v.taps {
		if place == "host" {
			continue
		}
		for _, fd := range tap.fds {
			stats, err := unix.GetsockoptTpacketStats(fd, unix.SOL_PACKET, unix.PACKET_STATISTICS)
			if err != nil {
				return err
			}
			if stats.Drops > 0 {
				lost = fmt.Errorf("%w: %d at %s", errLost, stats.Drops, place)
			}
		}
	}
	return lost
}

var errLost = errors.New("a tap lost packets")

// wait sleeps until something reaches a place whose mark is missing.
func (n *node) wait(missing map[seen]string) error {
	var fds []unix.PollFd
	for _, place := range missing {
		for _, fd := range n.taps[place].fds {
			fds = append(fds, unix.PollFd{Fd: int32(fd), Events: unix.POLLIN})
		}
	}
	if _, err := unix.Poll(fds, 1000); err != nil && err != unix.EINTR {
		return err
	}
	return nil
}

// address is where marks for a place go.
func (n *node) address(place string) netip.Addr {
	switch place {
	case "host":
		return hostAddrs[0]
	case "outside":
		return Outside[0]
	}
	var slot int
	_, _ = fmt.Sscan(place, &slot)
	return slotAddrs(slot)[0]
}
