//go:build linux

package collect

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/netpol-project/netpol/internal/netnstest"
	"github.com/netpol-project/netpol/pkg/enforce/nft"
	"github.com/netpol-project/netpol/pkg/enforce/ruleset"
)

// world is a client and a server with a router between them; the router's
// rules track connections, count their packets, and refuse and log what goes
// to port 9 of the server.
type world struct {
	client, router, server *netnstest.NS
	kernel                 *nft.Kernel
}

const (
	clientAddr, serverAddr = "10.1.0.2", "10.2.0.2"
	denyGroup              = 4711
	deniedPort             = 9
)

// patience is how long a condition may take; a test that passes does not depend on
// it.
const patience = time.Minute

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{client: netnstest.NewNS(t), router: netnstest.NewNS(t), server: netnstest.NewNS(t)}
	prefixes := func(texts ...string) (out []netip.Prefix) {
		for _, text := range texts {
			out = append(out, netip.MustParsePrefix(text))
		}
		return out
	}
	netnstest.Veth(t,
		netnstest.End{NS: w.client, Name: "eth0", Addrs: prefixes("10.1.0.2/24", "fd01::2/64")},
		netnstest.End{NS: w.router, Name: "np-client", Addrs: prefixes("10.1.0.1/24", "fd01::1/64")})
	netnstest.Veth(t,
		netnstest.End{NS: w.server, Name: "eth0", Addrs: prefixes("10.2.0.2/24", "fd02::2/64")},
		netnstest.End{NS: w.router, Name: "np-server", Addrs: prefixes("10.2.0.1/24", "fd02::1/64")})
	netnstest.Forward(t, w.router)
	for dst, via := range map[string][2]string{"0.0.0.0/0": {"10.1.0.1", "10.2.0.1"}, "::/0": {"fd01::1", "fd02::1"}} {
		netnstest.Route(t, w.client, netip.MustParsePrefix(dst), netip.MustParseAddr(via[0]))
		netnstest.Route(t, w.server, netip.MustParsePrefix(dst), netip.MustParseAddr(via[1]))
	}
	k, err := nft.Open(nft.Options{NetNS: w.router.FD()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = k.Close() })
	w.kernel = k
	if err := k.Apply(t.Context(), trackingRules()); err != nil {
		t.Fatal(err)
	}
	return w
}

func trackingRules() *ruleset.Ruleset {
	one := func(f ruleset.Field, op ruleset.Op, value ...byte) ruleset.Match {
		return ruleset.Match{Fields: []ruleset.Field{f}, Op: op, Value: value}
	}
	deny := func(protocol byte) ruleset.Rule {
		return ruleset.Rule{
			Matches: []ruleset.Match{one(ruleset.L4Proto, ruleset.Equal, protocol), one(ruleset.DPort, ruleset.Equal, 0, deniedPort)},
			Log:     &ruleset.Log{Group: denyGroup, Prefix: "netpol:17"}, Verdict: ruleset.Verdict{Kind: ruleset.Drop},
		}
	}
	return &ruleset.Ruleset{Chains: []*ruleset.Chain{
		{Name: "egress", Hook: &ruleset.Hook{Name: "forward"}, Rules: []ruleset.Rule{
			{Matches: []ruleset.Match{one(ruleset.CTState, ruleset.Any, 0, 0, 0, 2)}, Verdict: ruleset.Verdict{Kind: ruleset.Accept}},
			deny(6), deny(17),
		}},
		// Never reached: that it is there switches accounting on.
		{Name: "accounting", Rules: []ruleset.Rule{
			{Matches: []ruleset.Match{one(ruleset.Packets, ruleset.Equal, 0, 0, 0, 0, 0, 0, 0, 0)}, Verdict: ruleset.Verdict{Kind: ruleset.Return}},
		}},
	}}
}

// listen answers TCP connections on a port of the server with what they send.
func (w *world) listen(t testing.TB, addr string, port int) {
	t.Helper()
	var l net.Listener
	w.server.Must(t, func() (err error) {
		l, err = net.Listen("tcp", net.JoinHostPort(addr, fmt.Sprint(port)))
		return err
	})
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				buf := make([]byte, 4096)
				for {
					n, err := conn.Read(buf)
					if err != nil {
						return
					}
					_, _ = conn.Write(buf[:n])
				}
			}()
		}
	}()
}

func (w *world) dial(t testing.TB, network, addr string, port int) net.Conn {
	t.Helper()
	var conn net.Conn
	w.client.Must(t, func() (err error) {
		conn, err = net.DialTimeout(network, net.JoinHostPort(addr, fmt.Sprint(port)), 5*time.Second)
		return err
	})
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// recorder keeps events and lets a test wait for them.
type recorder struct {
	mu     sync.Mutex
	change chan struct{}
	events []Event
}

func (r *recorder) add(e *Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, *e)
	if r.change != nil {
		close(r.change)
		r.change = nil
	}
}

// await waits until done is true of the events so far.
func (r *recorder) await(t testing.TB, what string, done func([]Event) bool) {
	t.Helper()
	deadline := time.After(patience)
	for {
		r.mu.Lock()
		ok := done(r.events)
		if r.change == nil {
			r.change = make(chan struct{})
		}
		change, n := r.change, len(r.events)
		r.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-change:
		case <-deadline:
			t.Fatalf("waited in vain for %s; %d events", what, n)
		}
	}
}

func (r *recorder) of(kind EventKind, port uint16) (out []Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.events {
		if e.Kind == kind && e.Original.DstPort == port {
			out = append(out, e)
		}
	}
	return out
}

// watch runs a Conntrack in the router until the test ends.
func (w *world) watch(t testing.TB, opts Options) (*Conntrack, *recorder) {
	t.Helper()
	opts.NetNS = w.router.FD()
	c, err := OpenConntrack(opts)
	if err != nil {
		t.Fatal(err)
	}
	c.sweep = 50 * time.Millisecond
	r := &recorder{}
	running(t, func(ctx context.Context) error { return c.Run(ctx, r.add, func() {}) })
	t.Cleanup(func() { _ = c.Close() })
	<-c.Ready()
	return c, r
}

// running runs something until the test ends and checks how it ended.
func running(t testing.TB, run func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("ended with %v", err)
			}
		case <-time.After(patience):
			t.Error("does not end")
		}
	})
}
