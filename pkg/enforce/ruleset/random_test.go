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

var (
	someSelectors = []string{"", "app == 'a'", "app == 'b'", "tier == '0'", "!has(app)", "app in {'a', 'c'}"}
	someSpaces    = []string{"", "", "", "team == 'red'", "all()"}
	somePorts     = []policy.PortRange{single(80), single(81), {Min: 80, Max: 90}, {Min: 0, Max: 79}, {Min: 1024, Max: 65535}, {Min: 0, Max: 65535}}
	someNets      = []string{"10.0.0.0/24", "10.0.0.2/32", "0.0.0.0/0", "192.0.2.0/25", "192.0.2.0/24", "fd00::/64", "fd00::2/128", "2001:db8::/32", "::/0"}
	someProtocols = []policy.Protocol{0, policy.TCP, policy.TCP, policy.UDP, policy.ICMP, policy.SCTP, 47}
)

func drawRule(t *rapid.T, dir policy.Direction) policy.Rule {
	r := policy.Rule{
		Action:   rapid.SampledFrom([]policy.Action{policy.Allow, policy.Allow, policy.Deny, policy.Pass, policy.Log}).Draw(t, "action"),
		Protocol: rapid.SampledFrom(someProtocols).Draw(t, "protocol"),
	}
	var peer policy.Entity
	peer.Selector = parse(rapid.SampledFrom(someSelectors).Draw(t, "selector"))
	peer.NamespaceSelector = parse(rapid.SampledFrom(someSpaces).Draw(t, "namespaces"))
	own := policy.Entity{}
	if rapid.IntRange(0, 3).Draw(t, "kind") == 0 {
		peer = policy.Entity{Nets: nets(rapid.SampledFrom(someNets).Draw(t, "net"))}
		if rapid.Bool().Draw(t, "except") {
			not := netip.MustParsePrefix(rapid.SampledFrom(someNets).Draw(t, "notNet"))
			if not.Addr().Is4() == peer.Nets[0].Addr().Is4() && not.Bits() > 0 {
				peer.NotNets = []netip.Prefix{not}
			}
		}
	}
	if rapid.IntRange(0, 5).Draw(t, "own") == 0 {
		own.Nets = nets(rapid.SampledFrom(someNets).Draw(t, "ownNet"))
		if len(peer.Nets) > 0 && peer.Nets[0].Addr().Is4() != own.Nets[0].Addr().Is4() {
			own.Nets = nil
		}
	}
	ports := rapid.SliceOfN(rapid.SampledFrom(somePorts), 0, 2).Draw(t, "ports")
	dst := &own
	if dir == policy.Egress {
		dst = &peer
	}
	if r.Protocol.HasPorts() {
		if rapid.IntRange(0, 3).Draw(t, "not") == 0 {
			dst.NotPorts = ports
		} else {
			dst.Ports = ports
		}
	} else if r.Protocol == 0 && rapid.IntRange(0, 4).Draw(t, "notProtocol") == 0 {
		r.NotProtocol = policy.TCP
	}
	if r.Protocol != policy.ICMP && len(peer.Nets)+len(own.Nets) == 0 {
		r.IPVersion = rapid.SampledFrom([]uint8{0, 0, 0, 4, 6}).Draw(t, "version")
	}
	r.Source, r.Destination = peer, own
	if dir == policy.Egress {
		r.Source, r.Destination = own, peer
	}
	return r
}

func (w *world) drawPolicy(t *rapid.T, i int) {
	dir := rapid.SampledFrom([]policy.Direction{policy.Ingress, policy.Egress}).Draw(t, "dir")
	var rules []policy.Rule
	for range rapid.IntRange(0, 3).Draw(t, "rules") {
		rules = append(rules, drawRule(t, dir))
	}
	ns := rapid.SampledFrom([]string{"", "one", "two"}).Draw(t, "namespace")
	p := w.policy(ns, fmt.Sprintf("p%d", i), rapid.SampledFrom(someSelectors).Draw(t, "subject"), dir, rules...)
	p.Order = float64(rapid.IntRange(0, 2).Draw(t, "order"))
	p.Tier = rapid.SampledFrom([]string{"default", "first"}).Draw(t, "tier")
}

func (w *world) drawPod(t *rapid.T, i int) {
	var labels []string
	for _, l := range []string{"app=" + rapid.SampledFrom([]string{"a", "b", "c", ""}).Draw(t, "app"), "tier=" + rapid.SampledFrom([]string{"0", "1"}).Draw(t, "tier")} {
		if !strings.HasSuffix(l, "=") {
			labels = append(labels, l)
		}
	}
	ns := rapid.SampledFrom([]string{"one", "two"}).Draw(t, "ns")
	id, addrs := fmt.Sprintf("%s/pod%d", ns, i), fmt.Sprintf("10.0.%d.%d", i%2, i+1)
	if rapid.Bool().Draw(t, "dual") {
		addrs += fmt.Sprintf(" fd00:0:0:%d::%d", i%2, i+1)
	}
	if i%2 == 0 {
		w.pod(id, addrs, labels...)
	} else {
		w.remote(id, addrs, labels...)
	}
}

func drawWorld(t *rapid.T) *world {
	w := newWorld()
	w.namespace("one", "team=red")
	w.namespace("two", "team=blue")
	w.tier("first", 10, rapid.SampledFrom([]policy.Action{policy.Deny, policy.Pass}).Draw(t, "end"))
	for i := range rapid.IntRange(1, 8).Draw(t, "pods") {
		w.drawPod(t, i)
	}
	for i := range rapid.IntRange(0, 5).Draw(t, "policies") {
		w.drawPolicy(t, i)
	}
	return w
}

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

func agreeOn(t *rapid.T, c *Compiled, m *tier.Model, p Packet) {
	cfg := newWorld().cfg
	unknown := func(a netip.Addr) bool {
		return m.Owner(a) == nil && slices.ContainsFunc(cfg.LocalCIDRs, func(n netip.Prefix) bool { return n.Contains(a) })
	}
	for _, proto := range []policy.Protocol{policy.TCP, policy.UDP, policy.ICMP, policy.SCTP, policy.UDPLite, 47, 50} {
		for _, port := range []uint16{0, 79, 80, 81, 85, 90, 91, 1023, 1024, 65535} {
			p.Protocol, p.DPort, p.TCPFlags = proto, port, tcpSYN
			want := allowedByModel(m, &p) && !unknown(p.Dst)
			out := Trace(c.Ruleset, p)
			if (out.Verdict == Accept) != want {
				t.Fatalf("%v -> %v protocol %v port %d: rules say %s, model says allowed=%v; path %v\n%s",
					p.Src, p.Dst, proto, port, verdictText(Verdict{Kind: out.Verdict}), want, out.Path, Text(c.Ruleset))
			}
			if unknown(p.Dst) {
				continue
			}
			agreeOnLogs(t, c, m, &p, out)
		}
	}
}

func allowedByModel(m *tier.Model, p *Packet) bool { return judge(m, p).Allowed() }

// judge leaves out ends that are not on this node.
func judge(m *tier.Model, p *Packet) tier.Result {
	r := m.Evaluate(tier.Enforced(), tier.Conn{Source: m.Peer(p.Src), Destination: m.Peer(p.Dst), Protocol: p.Protocol, Port: p.DPort})
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

// change does one thing to the world.
func (w *world) change(t *rapid.T, step int) {
	pick := func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "which") }
	switch rapid.IntRange(0, 6).Draw(t, "change") {
	case 0:
		w.drawPod(t, 20+step)
	case 1:
		i := pick(len(w.snap.Endpoints))
		id := w.snap.Endpoints[i].ID()
		w.snap.Endpoints = slices.Delete(slices.Clone(w.snap.Endpoints), i, i+1)
		w.local = slices.DeleteFunc(slices.Clone(w.local), func(s string) bool { return s == id })
		if len(w.snap.Endpoints) == 0 {
			w.drawPod(t, 20+step)
		}
	case 2:
		w.drawPolicy(t, 20+step)
	case 3:
		if n := len(w.snap.Policies); n > 0 {
			i := pick(n)
			w.snap.Policies = slices.Delete(slices.Clone(w.snap.Policies), i, i+1)
		}
	case 4:
		if n := len(w.snap.Policies); n > 0 {
			p := *w.snap.Policies[pick(n)]
			dir := policy.Ingress
			if p.Types[policy.Egress] {
				dir = policy.Egress
			}
			p.Rules[dir] = append(slices.Clone(p.Rules[dir]), drawRule(t, dir))
			w.snap.Policies = slices.Clone(w.snap.Policies)
			for i, old := range w.snap.Policies {
				if old.Key == p.Key {
					w.snap.Policies[i] = &p
				}
			}
		}
	case 5: // labels
		i := pick(len(w.snap.Endpoints))
		ep := *w.snap.Endpoints[i]
		ep.Labels = labelMap([]string{"app=" + rapid.SampledFrom([]string{"a", "b", "z"}).Draw(t, "app")})
		w.snap.Endpoints = slices.Clone(w.snap.Endpoints)
		w.snap.Endpoints[i] = &ep
	case 6: // a namespace changes hands
		ns := *w.snap.Namespaces[0]
		ns.Labels = labelMap([]string{"kubernetes.io/metadata.name=" + ns.Name, "team=" + rapid.SampledFrom([]string{"red", "blue"}).Draw(t, "team")})
		w.snap.Namespaces = slices.Clone(w.snap.Namespaces)
		w.snap.Namespaces[0] = &ns
	}
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
			w.change(t, step)
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
