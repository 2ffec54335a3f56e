//go:build linux

package enforce_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"

	"github.com/netpol-project/netpol/internal/netnstest"
	"github.com/netpol-project/netpol/pkg/flow"
)

// attemptEvery is how long a watcher rests between two rounds of attempts.
const attemptEvery = time.Millisecond

const (
	allowedPort   = 8081
	forbiddenPort = 8082
	onlyAllowed   = `{selector: app == 'server', types: [Ingress], ingress: [{action: Allow, protocol: TCP, destination: {ports: [8081]}}]}`
)

// An agent that is killed leaves its rules, and the next one takes them over:
// not one forbidden packet passes and not one allowed connection fails,
// whether the kernel can give the table an owner or not.
func TestRestartLeavesNoGap(t *testing.T) {
	netnstest.Run(t, func(t *testing.T) {
		n := newNode(t)
		client, server := n.addPod("client"), n.addPod("server")
		l := n.listen(server, serverPort)
		for _, table := range []string{"owned", "open to all"} {
			t.Run(table, func(t *testing.T) {
				if table == "open to all" {
					n.plainTable()
				}
				n.policy("server", onlyAllowed)
				n.policy("live", `{selector: app == 'server', types: [Ingress], ingress: [{action: Allow, protocol: TCP, source: {selector: app == 'client'}, destination: {ports: [8080]}}]}`)
				a, cmd := n.startProcess()
				live := n.tcp(client, netip.AddrPortFrom(server.addrs[0], serverPort), l)
				live.alive(t, "before")
				await(t, "the agent to know the connection", func() bool {
					return len(a.list(flow.Filter{Port: serverPort})) > 0 && a.list(flow.Filter{Port: serverPort})[0].Live == 1
				})
				w := n.watch(client, server)
				for i := range 3 {
					if err := cmd.Process.Kill(); err != nil {
						t.Fatal(err)
					}
					_ = cmd.Wait()
					w.sees(t, 300)
					if i == 2 { // changed while nobody watches
						n.remove("live")
					}
					a, cmd = n.startProcess()
					w.sees(t, 300)
				}
				w.stop(t)
				await(t, "the connection forbidden meanwhile to be cut", func() bool { return a.status().CutConnections == 1 })
				live.dead(t, "forbidden while no agent ran")
				live.close()
				a.agreed()
				a.stop()
			})
		}
	})
}

// plainTable makes our table without an owner, as a kernel before 6.9 would.
func (n *node) plainTable() {
	n.t.Helper()
	n.removeTable()
	conn := n.nft()
	conn.AddTable(ourTable)
	n.must(conn.Flush())
}

// removeTable takes the rules away that an agent has left.
func (n *node) removeTable() {
	n.t.Helper()
	conn := n.nft()
	conn.DelTable(ourTable)
	_ = conn.Flush() // there may be none
}

// watcher makes forbidden and allowed attempts all the time.
type watcher struct {
	attempts atomic.Int64
	quit     chan struct{}
	done     sync.WaitGroup
	mu       sync.Mutex
	faults   []string
}

// watch begins to attempt what is forbidden and what is allowed, by TCP and
// UDP, on both families.
func (n *node) watch(client, server *pod) *watcher {
	n.t.Helper()
	n.serveOnce(server, allowedPort, func(conn net.Conn) {
		// Until the client resets it: a FIN would be one more segment in [unanswered].
		_, _ = io.Copy(io.Discard, conn)
		_ = conn.Close()
	})
	n.listenOnce(server, forbiddenPort)
	w := &watcher{quit: make(chan struct{})}
	var ears [2]net.PacketConn
	for family := range ears {
		n.must(server.Do(func() (err error) {
			ears[family], err = net.ListenPacket("udp", netip.AddrPortFrom(server.addrs[family], forbiddenPort).String())
			return err
		}))
	}
	w.done.Go(func() {
		w.fault(client.Do(func() error { return w.attempt(client, server) }))
		for _, ear := range ears {
			_ = ear.SetReadDeadline(time.Now())
			if size, from, err := ear.ReadFrom(make([]byte, 64)); err == nil {
				w.fault(fmt.Errorf("%d forbidden bytes arrived from %s", size, from))
			}
			_ = ear.Close()
		}
	})
	return w
}

// attempt runs in the client's namespace.
func (w *watcher) attempt(client, server *pod) error {
	var forbidden []int // the latest forbidden attempts, which go on
	// As fast as they can, they would be a flood, of which the agent may lose
	// messages: that is for others to test.
	pace := time.NewTicker(attemptEvery)
	defer pace.Stop()
	defer func() {
		for _, fd := range forbidden {
			_ = unix.Close(fd)
		}
	}()
	for i := 0; ; i++ {
		select {
		case <-w.quit:
			return nil
		case <-pace.C:
		}
		family := i / 2 % 2
		for _, proto := range []int{unix.IPPROTO_TCP, unix.IPPROTO_UDP} {
			fd, err := openHere(proto, netip.AddrPortFrom(client.addrs[family], 0), netip.AddrPortFrom(server.addrs[family], forbiddenPort))
			if err != nil {
				return err
			}
			if proto == unix.IPPROTO_UDP {
				_ = unix.Close(fd)
				continue
			}
			if forbidden = append(forbidden, fd); len(forbidden) > 64 {
				if done, err := waitConnected(forbidden[0], 0); done {
					w.fault(fmt.Errorf("a forbidden connection was answered (%v)", err))
				}
				_ = unix.Close(forbidden[0])
				forbidden = forbidden[1:]
			}
		}
		// Each from a port of its own: to conntrack, a port that is used again
		// at once may belong to the connection before. The kernel gives others
		// ports from 32768 on.
		source := netip.AddrPortFrom(client.addrs[family], uint16(1024+(i/4*2+i%2)%31_000))
		if err := w.allowed(source, netip.AddrPortFrom(server.addrs[family], allowedPort)); err != nil {
			w.fault(err)
		}
		w.attempts.Add(1)
	}
}

// allowed makes a connection that must not fail, nor lose its first packet.
func (w *watcher) allowed(source, to netip.AddrPort) error {
	start := time.Now()
	fd, err := openHere(unix.IPPROTO_TCP, source, to)
	if err != nil {
		return fmt.Errorf("an allowed connection: %w", err)
	}
	defer unix.Close(fd)
	if err := unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}); err != nil {
		return err
	}
	done, err := waitConnected(fd, 5000)
	if !done || err != nil {
		return fmt.Errorf("an allowed connection: connected %v after %v (%v)", done, time.Since(start), err)
	}
	if lost, err := unanswered(fd); lost > 0 || err != nil {
		return fmt.Errorf("an allowed connection: connected after %v, %d of its SYNs unanswered (%v)", time.Since(start), lost, err)
	}
	return nil
}

// unanswered is how many SYNs of a connection that is open now have brought no
// segment back. Neither the time nor a retransmission tells that one was lost:
// on a busy machine anything may take long, and where a hypervisor stops the
// processor that counts the ticks, the kernel's timers run out early once it
// goes on. But then the SYN sent too early is answered, too.
func unanswered(fd int) (lost int, err error) {
	for end := time.Now().Add(time.Second); ; time.Sleep(time.Millisecond) {
		info, err := unix.GetsockoptTCPInfo(fd, unix.SOL_TCP, unix.TCP_INFO)
		if err != nil {
			return 0, err
		}
		if lost = 1 + int(info.Total_retrans) - int(info.Segs_in); lost <= 0 || time.Now().After(end) {
			return lost, nil
		}
	}
}

func (w *watcher) fault(err error) {
	if err != nil {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.faults = append(w.faults, err.Error())
	}
}

// sees waits for more attempts. How many a second there are is the machine's
// affair, but they must not cease.
func (w *watcher) sees(t *testing.T, more int64) {
	t.Helper()
	for to := w.attempts.Load() + more; ; {
		now := w.attempts.Load()
		if now >= to {
			return
		}
		await(t, "attempts", func() bool { return w.attempts.Load() > now })
	}
}

// stop ends the attempts and fails if one went as it should not have.
func (w *watcher) stop(t *testing.T) {
	t.Helper()
	close(w.quit)
	w.done.Wait()
	for _, f := range w.faults[:min(len(w.faults), 10)] {
		t.Error(f)
	}
	t.Logf("%d attempts, %d faults", w.attempts.Load(), len(w.faults))
}

// listenOnce answers a port and ends what it accepts.
func (n *node) listenOnce(p *pod, port uint16) {
	n.t.Helper()
	n.serveOnce(p, port, func(conn net.Conn) { _ = conn.Close() })
}

// serveOnce answers a port, unless it does already.
func (n *node) serveOnce(p *pod, port uint16, serve func(net.Conn)) {
	n.t.Helper()
	if n.listening == nil {
		n.listening = map[uint16]bool{}
	}
	if n.listening[port] {
		return
	}
	n.listening[port] = true
	l := n.listen(p, port)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				if errors.Is(err, net.ErrClosed) || errors.Is(err, os.ErrClosed) {
					return
				}
				continue
			}
			go serve(conn)
		}
	}()
}

// flushes are ways in which others remove all rules.
func (n *node) flush() error {
	conn, err := nftables.New()
	if err != nil {
		return err
	}
	conn.FlushRuleset()
	return conn.Flush()
}
