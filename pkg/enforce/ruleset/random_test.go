package ruleset

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

var outsiders = []string{"192.0.2.1", "192.0.2.200", "198.51.100.1", "2001:db8::1", "2001:db9::1", "fd00::2", "10.0.0.250"}

// agree compares the rules with the model for every pair of a local pod and
// anybody.
func agree(t *rapid.T, w *world, c *Compiled, m *tier.Model) {
	if err := wellFormed(c.Ruleset); err != nil {
		t.Fatalf("%v\n%s", err, Text(c.Ruleset))
	}
	var all []netip.Addr
	for _, ep := range w.snap.Endpoints {
		all = append(all, ep.Addrs...)
	}
	for _, s := range outsiders {
		if a := netip.MustParseAddr(s); m.Owner(a) == nil {
			all = append(all, a)
		}
	}
	name := map[netip.Addr]string{}
	for _, id := range w.local {
		for _, a := range w.find(id).Addrs {
			name[a] = ifaceOf(id)
		}
	}
	for _, src := range all {
		for _, dst := range all {
			if src.Is4() == dst.Is4() && (name[src] != "" || name[dst] != "") {
				agreeOn(t, c, m, Packet{Src: src, Dst: dst, IIF: name[src], OIF: name[dst]})
			}
		}
	}
}

var someSources = []uint16{80, 79, tier.AssumedSourcePort, 1024, 85, 81, 1023}

func agreeOn(t *rapid.T, c *Compiled, m *tier.Model, p Packet) {
	cfg := newWorld().cfg
	unknown := func(a netip.Addr) bool {
		return m.Owner(a) == nil && slices.ContainsFunc(cfg.LocalCIDRs, func(n netip.Prefix) bool { return n.Contains(a) })
	}
	for _, proto := range []policy.Protocol{policy.TCP, policy.UDP, policy.ICMP, policy.ICMPv6, policy.SCTP, policy.UDPLite, 47, 50} {
		for i, port := range []uint16{0, 79, 80, 81, 85, 90, 91, 1023, 1024, 65535} {
			p.Protocol, p.DPort, p.TCPFlags = proto, port, tcpSYN
			// Each pair of peers meets other pairs of ports.
			p.SPort = someSources[(i+int(p.Src.AsSlice()[3]+p.Dst.AsSlice()[3])+int(proto))%len(someSources)]
			if proto.HasTypes() {
				p.ICMPType, p.ICMPCode = policy.ICMPTypeCode([]uint16{0x0000, 0x0003, 0x07ff, 0x0800, 0x0803, 0x08ff, 0x0900, 0x8000, 0x80ff, 0xfeff}[i])
			}
			if isDiscovery(&p) {
				continue
			}
			want := allowedByModel(m, &p) && !unknown(p.Dst)
			out := Trace(c.Ruleset, p)
			if (out.Verdict == Accept) != want {
				t.Fatalf("%v -> %v protocol %v port %d from %d, type %d code %d: rules say %s, model says allowed=%v; path %v\n%s",
					p.Src, p.Dst, proto, port, p.SPort, p.ICMPType, p.ICMPCode, verdictText(Verdict{Kind: out.Verdict}), want, out.Path, Text(c.Ruleset))
			}
			if unknown(p.Dst) {
				continue
			}
			agreeOnLogs(t, c, m, &p, out)
		}
	}
}

// isDiscovery: what S23 decides before any policy.
func isDiscovery(p *Packet) bool {
	return p.Protocol == policy.ICMPv6 && (p.ICMPType >= 130 && p.ICMPType <= 136 || p.ICMPType == 143)
}

// conn is the packet's connection as the model is asked for it.
func conn(m *tier.Model, p *Packet) tier.Conn {
	c := tier.Conn{Source: m.Peer(p.Src), Destination: m.Peer(p.Dst), Protocol: p.Protocol, Port: p.DPort}
	c.Source.Port = p.SPort
	if p.Protocol.HasTypes() {
		c.Port = policy.ICMPPort(p.ICMPType, p.ICMPCode)
	}
	return c
}

func allowedByModel(m *tier.Model, p *Packet) bool { return judge(m, p).Allowed() }

// judge leaves out ends that are not on this node.
func judge(m *tier.Model, p *Packet) tier.Result {
	r := m.Evaluate(tier.Enforced(), conn(m, p))
	if p.IIF == "" {
		r.Egress = nil
	}
	if p.OIF == "" {
		r.Ingress = nil
	}
	return r
}

// agreeOnLogs compares what the rules logged with the model's Log hits and
// deciding refusal, in order.
func agreeOnLogs(t *rapid.T, c *Compiled, m *tier.Model, p *Packet, out Outcome) {
	var want []placedHit
	r := judge(m, p)
	for _, end := range []struct {
		dir policy.Direction
		v   *tier.Verdict
	}{{policy.Egress, r.Egress}, {policy.Ingress, r.Ingress}} {
		if end.v == nil {
			continue
		}
		for _, h := range end.v.Logs {
			want = append(want, placedHit{h, end.dir})
		}
		if end.v.Action == policy.Deny {
			want = append(want, placedHit{end.v.By, end.dir})
			break
		}
	}
	var got []placedHit
	for _, l := range out.Logs {
		id, _ := ParseLogPrefix(l.Prefix)
		hit, dir, _ := c.Hit(id)
		got = append(got, placedHit{hit, dir})
	}
	if !slices.Equal(got, want) {
		t.Fatalf("%v -> %v protocol %v port %d: rules logged %v, model says %v; path %v\n%s",
			p.Src, p.Dst, p.Protocol, p.DPort, got, want, out.Path, Text(c.Ruleset))
	}
}

func TestRulesAgreeWithModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		in := w.input(nil)
		c, err := Compile(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		agree(t, w, c, in.Model)
	})
}

// plain takes out of a ruleset's text what may differ between one that was
// made from nothing and one that followed another: names of profiles and
// numbers of ids. Lines are compared as a multiset.
func plain(c *Compiled) []string {
	text := regexp.MustCompile(`\b(in|out)-[a-z0-9-]+-[0-9a-f]{4}-`).ReplaceAllString(Text(c.Ruleset), "$1-")
	text = regexp.MustCompile(`(deny|log|netpol:)-?[0-9-]+`).ReplaceAllString(text, "$1")
	text = regexp.MustCompile(`gress of [^:]*:`).ReplaceAllString(text, "")
	lines := strings.Split(text, "\n")
	slices.Sort(lines)
	return lines
}

func TestFollowingIsCompilingAnew(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		in := w.input(nil)
		c, err := Compile(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		for step := range rapid.IntRange(1, 6).Draw(t, "steps") {
			for i := range rapid.IntRange(1, 3).Draw(t, "changes at once") {
				w.change(t, 3*step+i)
			}
			in = w.input(in.Model)
			next, err := Compile(in, c)
			if err != nil {
				t.Fatal(err)
			}
			checkShared(t, c.Ruleset, next.Ruleset)
			c = next
			fresh, err := Compile(w.input(nil), nil)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := plain(c), plain(fresh); !slices.Equal(got, want) {
				t.Fatalf("step %d: followed:\n%s\nanew:\n%s", step, Text(c.Ruleset), Text(fresh.Ruleset))
			}
		}
		agree(t, w, c, in.Model)
	})
}

// checkShared holds that what says the same is the same pointer.
func checkShared(t *rapid.T, old, now *Ruleset) {
	chains := map[string]*Chain{}
	for _, c := range old.Chains {
		chains[c.Name] = c
	}
	for _, c := range now.Chains {
		if o := chains[c.Name]; o != nil && o != c && keepChain(o, c) == o {
			t.Fatalf("chain %s is the same and not shared", c.Name)
		}
	}
	sets := map[string]*Set{}
	for _, s := range old.Sets {
		sets[s.Name] = s
	}
	for _, s := range now.Sets {
		if o := sets[s.Name]; o != nil && o != s && keepSet(o, s) == o {
			t.Fatalf("set %s is the same and not shared", s.Name)
		}
	}
}

// The index of rules by peer, which only large worlds use, changes nothing.
func TestPairsIsPair(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		m := tier.New(w.snapshot(), nil)
		peers := []tier.Peer{{Addr: netip.MustParseAddr("192.0.2.1")}, {Addr: netip.MustParseAddr("2001:db8::1")}}
		for _, ep := range w.snap.Endpoints {
			for _, a := range ep.Addrs {
				peers = append(peers, m.Peer(a))
			}
		}
		for _, ep := range w.snap.Endpoints {
			for _, dir := range []policy.Direction{policy.Ingress, policy.Egress} {
				pairs := m.Pairs(tier.Enforced(), dir, ep)
				for _, peer := range peers {
					local := tier.Peer{Endpoint: ep}
					one, all := m.Pair(tier.Enforced(), dir, local, peer), pairs.With(local, peer)
					if a, b := fmt.Sprint(one.Cuts()), fmt.Sprint(all.Cuts()); a != b {
						t.Fatalf("%s %s %v: cuts %s, by the index %s", ep.ID(), dir, peer, a, b)
					}
					for _, proto := range someProtocols[1:] {
						for _, port := range []uint16{0, 80, 85, 1024} {
							if a, b := fmt.Sprint(one.Judge(proto, port)), fmt.Sprint(all.Judge(proto, port)); a != b {
								t.Fatalf("%s %s %v %v %d: %s, by the index %s", ep.ID(), dir, peer, proto, port, a, b)
							}
						}
					}
				}
			}
		}
	})
}
