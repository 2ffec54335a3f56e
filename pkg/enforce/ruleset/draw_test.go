package ruleset

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"pgregory.net/rapid"

	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/policy/selector"
)

var (
	someSelectors = []string{"", "app == 'a'", "app == 'b'", "tier == '0'", "!has(app)", "app in {'a', 'c'}"}
	someSpaces    = []string{"", "", "", "team == 'red'", "all()"}
	somePorts     = []policy.PortRange{single(80), single(81), {Min: 80, Max: 90}, {Min: 0, Max: 79}, {Min: 1024, Max: 65535}, {Min: 0, Max: 65535}}
	someNets      = []string{"10.0.0.0/24", "10.0.0.2/32", "0.0.0.0/0", "192.0.2.0/25", "192.0.2.0/24", "fd00::/64", "fd00::2/128", "2001:db8::/32", "::/0"}
	someProtocols = []policy.Protocol{0, policy.TCP, policy.TCP, policy.UDP, policy.ICMP, policy.ICMPv6, policy.SCTP, policy.UDPLite, 47}
	someNames     = []string{"http", "dns", "alt"}
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
	drawOthers(t, &peer)
	src, dst := &peer, &own
	if dir == policy.Egress {
		src, dst = &own, &peer
	}
	if r.Protocol.HasPorts() {
		if dst.Service == nil {
			drawPorts(t, dst)
		}
		if rapid.IntRange(0, 3).Draw(t, "sourcePorts") == 0 {
			drawPorts(t, src)
		}
	} else if r.Protocol.HasTypes() {
		drawTypes(t, &r)
	} else if r.Protocol == 0 && rapid.IntRange(0, 4).Draw(t, "notProtocol") == 0 {
		r.NotProtocol = policy.TCP
	}
	if !r.Protocol.HasTypes() && len(peer.Nets)+len(own.Nets) == 0 {
		r.IPVersion = rapid.SampledFrom([]uint8{0, 0, 0, 4, 6}).Draw(t, "version")
	}
	r.Source, r.Destination = peer, own
	if dir == policy.Egress {
		r.Source, r.Destination = own, peer
	}
	return r
}

// drawOthers replaces the peer by a Service, or adds a service account.
func drawOthers(t *rapid.T, peer *policy.Entity) {
	switch rapid.IntRange(0, 7).Draw(t, "other") {
	case 0:
		*peer = policy.Entity{Service: &policy.ServiceRef{
			Namespace: rapid.SampledFrom([]string{"one", "two"}).Draw(t, "service's"), Name: rapid.SampledFrom([]string{"web", "none"}).Draw(t, "service")}}
	case 1:
		if len(peer.Nets) == 0 {
			peer.ServiceAccounts = &policy.ServiceAccountMatch{Names: []string{rapid.SampledFrom([]string{"sa0", "sa1"}).Draw(t, "account")}}
			if rapid.Bool().Draw(t, "by labels") {
				peer.ServiceAccounts = &policy.ServiceAccountMatch{Selector: parse("team == 'red'")}
			}
		}
	case 2:
		if len(peer.Nets) == 0 {
			peer.NotSelector = parse(rapid.SampledFrom(someSelectors[1:]).Draw(t, "notSelector"))
		}
	case 3:
		if len(peer.Nets) == 0 {
			peer.NamespaceSelector = selector.MustParse("global()")
		}
	}
}

// drawPorts draws one side's ports, numbers and names.
func drawPorts(t *rapid.T, e *policy.Entity) {
	numbers := rapid.SliceOfN(rapid.SampledFrom(somePorts), 0, 2).Draw(t, "ports")
	names := rapid.SliceOfN(rapid.SampledFrom(someNames), 0, 1).Draw(t, "names")
	if rapid.IntRange(0, 3).Draw(t, "not") == 0 {
		e.NotPorts, e.NotNamedPorts = numbers, names
	} else {
		e.Ports, e.NamedPorts = numbers, names
	}
}

func drawTypes(t *rapid.T, r *policy.Rule) {
	draw := func() *policy.ICMPMatch {
		return &policy.ICMPMatch{Type: rapid.SampledFrom([]uint8{0, 8, 128, 254}).Draw(t, "type"), Code: rapid.SampledFrom([]int{policy.AnyCode, 0, 3, 255}).Draw(t, "code")}
	}
	switch rapid.IntRange(0, 3).Draw(t, "icmp") {
	case 0:
		r.ICMP = draw()
	case 1:
		r.NotICMP = draw()
	case 2:
		r.ICMP, r.NotICMP = draw(), draw()
	}
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
	labels = append(labels, "projectcalico.org/serviceaccount="+rapid.SampledFrom([]string{"sa0", "sa1"}).Draw(t, "sa"))
	add := w.remote
	if i%2 == 0 {
		add = w.pod
	}
	add(id, addrs, labels...).Ports = rapid.SliceOfN(rapid.Custom(drawContainerPort), 0, 2).Draw(t, "declared")
}

func drawContainerPort(t *rapid.T) policy.ContainerPort {
	return policy.ContainerPort{
		Name:     rapid.SampledFrom(someNames).Draw(t, "name"),
		Protocol: rapid.SampledFrom([]policy.Protocol{policy.TCP, policy.UDP}).Draw(t, "protocol"),
		Port:     rapid.SampledFrom([]uint16{80, 85, 1024, 40000}).Draw(t, "port"),
	}
}

// drawSet puts a network set in the place of the one with its name.
func (w *world) drawSet(t *rapid.T, i int) {
	s := &policy.NetworkSet{Key: policy.Key{Kind: policy.KindGlobalNetworkSet, Name: fmt.Sprintf("set%d", i)},
		Labels: labelMap([]string{"app=" + rapid.SampledFrom([]string{"a", "b"}).Draw(t, "set's app"), fmt.Sprintf("projectcalico.org/name=set%d", i)})}
	if i%2 == 1 {
		s.Kind, s.Namespace = policy.KindNetworkSet, "one"
		s.Labels["projectcalico.org/namespace"] = "one"
	}
	for _, n := range rapid.SliceOfNDistinct(rapid.SampledFrom(someNets), 0, 3, rapid.ID).Draw(t, "set's nets") {
		s.Nets = append(s.Nets, netip.MustParsePrefix(n))
	}
	if rapid.IntRange(0, 3).Draw(t, "long") == 0 { // so long that profiles share its elements
		for j := range longList + 1 {
			s.Nets = append(s.Nets, netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 51, 100, byte(2*j + 1)}), 32))
		}
	}
	slices.SortFunc(s.Nets, func(a, b netip.Prefix) int {
		return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
	})
	w.snap.NetworkSets = append(slices.DeleteFunc(slices.Clone(w.snap.NetworkSets), func(o *policy.NetworkSet) bool { return o.Key == s.Key }), s)
	slices.SortFunc(w.snap.NetworkSets, func(a, b *policy.NetworkSet) int { return cmp.Compare(a.Key.Name, b.Key.Name) })
}

// drawAccounts gives the service accounts other labels.
func (w *world) drawAccounts(t *rapid.T) {
	w.snap.ServiceAccounts = nil
	for _, ns := range []string{"one", "two"} {
		for _, name := range []string{"sa0", "sa1"} {
			w.snap.ServiceAccounts = append(w.snap.ServiceAccounts, &policy.ServiceAccount{Namespace: ns, Name: name,
				Labels: labelMap([]string{"team=" + rapid.SampledFrom([]string{"red", "blue"}).Draw(t, "account's team")})})
		}
	}
}

// drawService puts a Service "web" in the place of the namespace's last one.
func (w *world) drawService(t *rapid.T, ns string) {
	s := &policy.Service{Namespace: ns, Name: "web", Selector: map[string]string{"app": rapid.SampledFrom([]string{"a", "b"}).Draw(t, "selects")}}
	for i := range rapid.IntRange(1, 2).Draw(t, "service's ports") {
		p := policy.ServicePort{Name: fmt.Sprint(i), Protocol: rapid.SampledFrom([]policy.Protocol{policy.TCP, policy.UDP}).Draw(t, "protocol"), Port: 1}
		if rapid.Bool().Draw(t, "named") {
			p.TargetName = rapid.SampledFrom(someNames).Draw(t, "target")
		} else {
			p.TargetPort = rapid.SampledFrom([]uint16{80, 85}).Draw(t, "target")
		}
		s.Ports = append(s.Ports, p)
	}
	if rapid.Bool().Draw(t, "backends") {
		s.Backends = []policy.Backend{{Addr: netip.MustParseAddr(rapid.SampledFrom(outsiders).Draw(t, "backend")),
			Ports: []policy.ContainerPort{{Protocol: policy.TCP, Port: 91}}}}
	}
	w.snap.Services = append(slices.DeleteFunc(slices.Clone(w.snap.Services), func(o *policy.Service) bool { return o.Namespace == ns }), s)
	slices.SortFunc(w.snap.Services, func(a, b *policy.Service) int { return cmp.Compare(a.Namespace, b.Namespace) })
}

func drawWorld(t *rapid.T) *world {
	w := newWorld()
	w.namespace("one", "team=red")
	w.namespace("two", "team=blue")
	w.tier("first", 10, rapid.SampledFrom([]policy.Action{policy.Deny, policy.Pass}).Draw(t, "end"))
	for i := range rapid.IntRange(1, 8).Draw(t, "pods") {
		w.drawPod(t, i)
	}
	for i := range rapid.IntRange(0, 2).Draw(t, "sets") {
		w.drawSet(t, i)
	}
	for _, ns := range []string{"one", "two"}[:rapid.IntRange(0, 2).Draw(t, "services")] {
		w.drawService(t, ns)
	}
	if rapid.Bool().Draw(t, "host endpoint") {
		w.snap.HostEndpoints = []*policy.HostEndpoint{{Name: "host", Labels: labelMap([]string{"app=a"}), Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.200")}}}
	}
	w.drawAccounts(t)
	for i := range rapid.IntRange(0, 5).Draw(t, "policies") {
		w.drawPolicy(t, i)
	}
	return w
}

// change does one thing to the world.
func (w *world) change(t *rapid.T, step int) {
	pick := func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "which") }
	switch rapid.IntRange(0, 13).Draw(t, "change") {
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
	case 7:
		w.drawSet(t, step%3)
	case 8:
		w.drawService(t, rapid.SampledFrom([]string{"one", "two"}).Draw(t, "ns"))
	case 9: // declared ports
		i := pick(len(w.snap.Endpoints))
		ep := *w.snap.Endpoints[i]
		ep.Ports = rapid.SliceOfN(rapid.Custom(drawContainerPort), 0, 2).Draw(t, "declared")
		w.snap.Endpoints = slices.Clone(w.snap.Endpoints)
		w.snap.Endpoints[i] = &ep
	case 10:
		w.drawAccounts(t)
	case 11: // networks stay what they are and go over to other rules
		sets := make([]*policy.NetworkSet, len(w.snap.NetworkSets))
		for i, s := range w.snap.NetworkSets {
			c := *s
			c.Labels = maps.Clone(c.Labels)
			c.Labels["app"] = map[string]string{"a": "b", "b": "a"}[c.Labels["app"]]
			sets[i] = &c
		}
		w.snap.NetworkSets = sets
	case 12:
		w.snap.NetworkSets = w.snap.NetworkSets[:len(w.snap.NetworkSets)/2]
		w.snap.Services = w.snap.Services[:len(w.snap.Services)/2]
	case 13:
		w.snap.HostEndpoints = []*policy.HostEndpoint{{Name: "host", Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.200")},
			Labels: labelMap([]string{"app=" + rapid.SampledFrom([]string{"a", "b"}).Draw(t, "host's app")})}}
	case 6: // a namespace changes hands
		ns := *w.snap.Namespaces[0]
		ns.Labels = labelMap([]string{"kubernetes.io/metadata.name=" + ns.Name, "team=" + rapid.SampledFrom([]string{"red", "blue"}).Draw(t, "team")})
		w.snap.Namespaces = slices.Clone(w.snap.Namespaces)
		w.snap.Namespaces[0] = &ns
	}
}
