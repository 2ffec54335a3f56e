package ruleset

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"pgregory.net/rapid"

	"github.com/netpol-project/netpol/pkg/policy"
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
