//go:build linux

package nft

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/netpol-project/netpol/internal/netnstest"
	"github.com/netpol-project/netpol/pkg/enforce/ruleset"
)

// world is a client and a server with a router between them, which has the
// table.
type world struct {
	client, router, server *netnstest.NS
}

const (
	client4, server4 = "10.1.0.2", "10.2.0.2"
	client6, server6 = "fd01::2", "fd02::2"
)

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{netnstest.NewNS(t), netnstest.NewNS(t), netnstest.NewNS(t)}
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
	for _, all := range []string{"0.0.0.0/0", "::/0"} {
		dst := netip.MustParsePrefix(all)
		via := map[bool][2]string{true: {"10.1.0.1", "10.2.0.1"}, false: {"fd01::1", "fd02::1"}}[dst.Addr().Is4()]
		netnstest.Route(t, w.client, dst, netip.MustParseAddr(via[0]))
		netnstest.Route(t, w.server, dst, netip.MustParseAddr(via[1]))
	}
	return w
}

// open opens the table in the router.
func (w *world) open(t testing.TB, opts Options) *Kernel {
	t.Helper()
	opts.NetNS = w.router.FD()
	k, err := Open(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = k.Close() })
	return k
}

// serve answers TCP connections on a port of the server until the test ends.
func (w *world) serve(t testing.TB, addr string, port uint16) {
	t.Helper()
	var listener net.Listener
	w.server.Must(t, func() (err error) {
		listener, err = net.Listen("tcp", address(addr, port))
		return err
	})
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				buf := make([]byte, 64)
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

func address(addr string, port uint16) string { return net.JoinHostPort(addr, fmt.Sprint(port)) }

// A connection that must get through has all the time that a busy machine
// takes; one that must not is given up after a while.
const (
	throughTime = time.Minute
	dropTime    = 100 * time.Millisecond
)

// connects tells whether the client can connect to the server in time.
func (w *world) connects(t testing.TB, addr string, port uint16, within time.Duration) bool {
	t.Helper()
	err := w.client.Do(func() error {
		conn, err := net.DialTimeout("tcp", address(addr, port), within)
		if err != nil {
			return err
		}
		return conn.Close()
	})
	if err != nil && !isTimeout(err) {
		t.Fatalf("connect to %s port %d: %v", addr, port, err)
	}
	return err == nil
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}

// want checks whether a connection to the server's IPv4 address gets through.
func (w *world) want(t testing.TB, port uint16, connects bool) {
	t.Helper()
	w.wantTo(t, server4, port, connects)
}

func (w *world) wantTo(t testing.TB, addr string, port uint16, connects bool) {
	t.Helper()
	within := dropTime
	if connects {
		within = throughTime
	}
	if got := w.connects(t, addr, port, within); got != connects {
		t.Errorf("connection to port %d: got through %v, want %v", port, got, connects)
	}
}

// Keys and values, spelt as the ruleset spells them.

func a4(text string) string { b := netip.MustParseAddr(text).As4(); return string(b[:]) }
func a6(text string) string { b := netip.MustParseAddr(text).As16(); return string(b[:]) }
func p2(port uint16) string { return string([]byte{byte(port >> 8), byte(port), 0, 0}) }
func b1(b byte) string      { return string([]byte{b, 0, 0, 0}) }

func n16(name string) string {
	var b [16]byte
	copy(b[:], name)
	return string(b[:])
}

func u32(v uint32) []byte { return binary.BigEndian.AppendUint32(nil, v) }
func u64(v uint64) []byte { return binary.BigEndian.AppendUint64(nil, v) }

func is(f ruleset.Field, value []byte) ruleset.Match {
	return ruleset.Match{Fields: []ruleset.Field{f}, Op: ruleset.Equal, Value: value}
}

func inSet(set string, fields ...ruleset.Field) ruleset.Match {
	return ruleset.Match{Fields: fields, Set: set}
}

var (
	isIPv4      = is(ruleset.NFProto, []byte{2})
	isIPv6      = is(ruleset.NFProto, []byte{10})
	isTCP       = is(ruleset.L4Proto, []byte{6})
	established = ruleset.Match{
		Fields: []ruleset.Field{ruleset.CTState}, Op: ruleset.Any,
		Value: u32(ruleset.StateEstablished | ruleset.StateRelated),
	}
	accept = ruleset.Verdict{Kind: ruleset.Accept}
	drop   = ruleset.Verdict{Kind: ruleset.Drop}
)

func rule(v ruleset.Verdict, matches ...ruleset.Match) ruleset.Rule {
	return ruleset.Rule{Matches: matches, Verdict: v}
}

// forwardChain is a base chain that lets replies pass, applies the rules and
// drops what comes from the client and was not accepted.
func forwardChain(rules ...ruleset.Rule) *ruleset.Chain {
	all := append([]ruleset.Rule{rule(accept, established)}, rules...)
	all = append(all, rule(drop, is(ruleset.IIFName, []byte(n16("np-client"))), isTCP))
	return &ruleset.Chain{Name: "egress", Hook: &ruleset.Hook{Name: "forward"}, Rules: all}
}

func chain(name string, rules ...ruleset.Rule) *ruleset.Chain {
	return &ruleset.Chain{Name: name, Rules: rules}
}

func rules(chains []*ruleset.Chain, sets ...*ruleset.Set) *ruleset.Ruleset {
	return &ruleset.Ruleset{Chains: chains, Sets: sets}
}

func apply(t testing.TB, k *Kernel, rs *ruleset.Ruleset) {
	t.Helper()
	if err := k.Apply(t.Context(), rs); err != nil {
		t.Fatalf("apply: %v", err)
	}
}
