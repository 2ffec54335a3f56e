//go:build linux

package collect

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/netpol-project/netpol/internal/netnstest"
)

func TestRefusedPacketsAreTold(t *testing.T) {
	netnstest.Run(t, func(t *testing.T) {
		w := newWorld(t)
		l, err := OpenLog(Options{NetNS: w.router.FD()}, denyGroup)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		if _, err := OpenLog(Options{NetNS: w.router.FD()}, denyGroup); !errors.Is(err, ErrGroupTaken) {
			t.Errorf("a second listener: %v, want ErrGroupTaken", err)
		}
		packets := make(chan Denied, 16)
		running(t, func(ctx context.Context) error { return l.Run(ctx, func(d *Denied) { packets <- *d }) })
		for _, c := range []struct {
			name     string
			family   int
			kind     int
			to       unix.Sockaddr
			src, dst string
			protocol uint8
		}{
			{"TCP", unix.AF_INET, unix.SOCK_STREAM, &unix.SockaddrInet4{Port: deniedPort, Addr: netip.MustParseAddr(serverAddr).As4()}, clientAddr, serverAddr, 6},
			{"UDP", unix.AF_INET, unix.SOCK_DGRAM, &unix.SockaddrInet4{Port: deniedPort, Addr: netip.MustParseAddr(serverAddr).As4()}, clientAddr, serverAddr, 17},
			{"TCP over IPv6", unix.AF_INET6, unix.SOCK_STREAM, &unix.SockaddrInet6{Port: deniedPort, Addr: netip.MustParseAddr("fd02::2").As16()}, "fd01::2", "fd02::2", 6},
			{"UDP over IPv6", unix.AF_INET6, unix.SOCK_DGRAM, &unix.SockaddrInet6{Port: deniedPort, Addr: netip.MustParseAddr("fd02::2").As16()}, "fd01::2", "fd02::2", 17},
		} {
			t.Run(c.name, func(t *testing.T) {
				var start time.Time
				var own uint16
				var d Denied
				// A queue in the kernel would hold back every packet for a second; a
				// busy machine, or a neighbour that is yet unknown, only some.
				soonest := time.Hour
				for try := 0; try < 3 && soonest > time.Second/2; try++ {
					start = time.Now()
					w.client.Must(t, func() (err error) {
						own, err = knock(c.family, c.kind, c.to)
						return err
					})
					d = <-packets
					soonest = min(soonest, time.Since(start))
				}
				if soonest > time.Second/2 {
					t.Errorf("told after %s", soonest)
				}
				want := Packet{
					Src: netip.MustParseAddr(c.src), Dst: netip.MustParseAddr(c.dst),
					SrcPort: own, DstPort: deniedPort, Protocol: c.protocol, SYN: c.protocol == 6, TCPSeq: d.TCPSeq,
				}
				if d.Packet != want {
					t.Errorf("got %+v, want %+v", d.Packet, want)
				}
				if c.protocol == 6 && d.TCPSeq == 0 {
					t.Error("no sequence number")
				}
				if d.Prefix != "netpol:17" || d.IIf == 0 || d.OIf == 0 || d.IIf == d.OIf || d.Hook != 2 {
					t.Errorf("got %+v", d)
				}
				if d.Time.Before(start.Add(-time.Second)) || d.Time.After(time.Now()) {
					t.Errorf("time %s, sent at %s", d.Time, start)
				}
			})
		}
		if loss := l.Loss(); loss != (Loss{}) {
			t.Errorf("loss %+v", loss)
		}
	})
}

// knock sends the first packet of a connection and does not wait.
func knock(family, kind int, to unix.Sockaddr) (port uint16, err error) {
	fd, err := unix.Socket(family, kind|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	if err := unix.Connect(fd, to); err != nil && !errors.Is(err, unix.EINPROGRESS) {
		return 0, err
	}
	if kind == unix.SOCK_DGRAM {
		if _, err := unix.Write(fd, []byte("hello")); err != nil {
			return 0, err
		}
	}
	own, err := unix.Getsockname(fd)
	if err != nil {
		return 0, err
	}
	switch own := own.(type) {
	case *unix.SockaddrInet4:
		return uint16(own.Port), nil
	case *unix.SockaddrInet6:
		return uint16(own.Port), nil
	}
	return 0, fmt.Errorf("address of type %T", own)
}

// A flood that does not fit is counted: what was told and what was lost are
// all that was sent.
func TestLostPacketsAreCounted(t *testing.T) {
	netnstest.Run(t, func(t *testing.T) {
		w := newWorld(t)
		l, err := OpenLog(Options{NetNS: w.router.FD(), ReadBuffer: 4096}, denyGroup)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		const flood = 5000
		send := func(n int) {
			w.client.Must(t, func() error {
				fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
				if err != nil {
					return err
				}
				defer unix.Close(fd)
				for range n {
					to := &unix.SockaddrInet4{Port: deniedPort, Addr: netip.MustParseAddr(serverAddr).As4()}
					if err := unix.Sendto(fd, []byte("x"), 0, to); err != nil {
						return err
					}
				}
				return nil
			})
		}
		send(flood) // nobody reads yet
		var told atomic.Uint64
		running(t, func(ctx context.Context) error { return l.Run(ctx, func(*Denied) { told.Add(1) }) })
		for deadline := time.Now().Add(patience); told.Load()+l.Loss().Lost < flood; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("told %d, lost %d of %d", told.Load(), l.Loss().Lost, flood)
			}
		}
		if lost := l.Loss().Lost; lost == 0 || told.Load()+lost != flood {
			t.Errorf("told %d, lost %d of %d", told.Load(), lost, flood)
		}
		// The gap in the numbers says the same once another packet comes.
		send(1)
		for deadline := time.Now().Add(patience); told.Load()+l.gaps.Load() != flood+1; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("told %d, gaps %d of %d", told.Load(), l.gaps.Load(), flood+1)
			}
		}
	})
}

func TestSequenceNumbersWrap(t *testing.T) {
	var l Log
	for _, seq := range []uint32{1<<32 - 2, 1<<32 - 1, 0, 2} {
		l.count(seq)
	}
	if got := l.gaps.Load(); got != 1 || l.unknown.Load() {
		t.Errorf("%d missing, want 1", got)
	}
	if l.count(1); !l.unknown.Load() {
		t.Error("a number that goes back is not noticed")
	}
}
