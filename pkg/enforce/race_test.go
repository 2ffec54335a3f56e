//go:build linux

package enforce_test

import (
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/netpol-project/netpol/internal/netnstest"
)

// A connection that starts at the very moment of a change is either refused
// or cut: none slips through between the two.
func TestS11_NoConnectionSlipsThroughAChange(t *testing.T) {
	netnstest.Run(t, func(t *testing.T) {
		n := newNode(t)
		client, server := n.addPod("client"), n.addPod("server")
		l := n.listen(server, serverPort)
		n.policy("server", open8080)
		a := n.start(nil)
		to := netip.AddrPortFrom(server.addrs[0], serverPort)
		for range 15 {
			d := n.dialAgainAndAgain(client, to, l)
			await(t, "connections", func() bool { return d.count() > 20 })
			n.policy("server", shut8080)
			a.sync()
			d.stop()
			await(t, "all connections to be cut", func() bool { return liveAt(a) == 0 })
			d.close()
			n.policy("server", open8080)
			a.sync()
		}
		a.agreed()
	})
}

// dialer makes connections as fast as it can and keeps them open.
type dialer struct {
	mu    sync.Mutex
	conns []net.Conn
	quit  chan struct{}
	done  sync.WaitGroup
}

func (n *node) dialAgainAndAgain(from *pod, to netip.AddrPort, l net.Listener) *dialer {
	d := &dialer{quit: make(chan struct{})}
	d.done.Go(func() {
		for {
			_ = l.(*net.TCPListener).SetDeadline(time.Now().Add(20 * time.Millisecond))
			if c, err := l.Accept(); err == nil {
				d.keep(c)
			}
			select {
			case <-d.quit:
				return
			default:
			}
		}
	})
	d.done.Go(func() {
		_ = from.Do(func() error {
			for {
				select {
				case <-d.quit:
					return nil
				default:
				}
				if c, err := net.DialTimeout("tcp", to.String(), 30*time.Millisecond); err == nil {
					d.keep(c)
				}
			}
		})
	})
	return d
}

func (d *dialer) keep(c net.Conn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.conns = append(d.conns, c)
}

func (d *dialer) count() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.conns)
}

func (d *dialer) stop() {
	close(d.quit)
	d.done.Wait()
}

// close ends the connections without a word to the other end.
func (d *dialer) close() {
	for _, c := range d.conns {
		_ = c.(*net.TCPConn).SetLinger(0)
		_ = c.Close()
	}
}
