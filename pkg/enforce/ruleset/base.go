package ruleset

import (
	"slices"
)

// Protocol numbers, ports and types that the fixed rules name.
const (
	protoIPIP   = 4
	protoTCP    = 6
	protoUDP    = 17
	protoIPv6   = 41
	protoICMPv6 = 58

	tcpFIN, tcpSYN, tcpRST, tcpACK = 1, 2, 4, 16

	routerAdvertisement = 134
)

// baseChains are the hooks. Each hands pod traffic to one chain below, so that
// traffic of no pod costs one or two comparisons. A base chain's accept ends
// that hook only, so egress and ingress both have their say on one node (S10).
func baseChains(cfg *Config) []*Chain {
	established := rule(accept, ctState(StateEstablished|StateRelated))
	egress := cutRules()
	if len(cfg.Nodes) > 0 && !cfg.AllowTunnels {
		for i := range families {
			f := &families[i]
			egress = append(egress, cfg.onPods(call("pod-tunnels"), IIFName, f.is(), in("nodes"+f.suffix, f.daddr))...)
		}
	}
	bridged := cfg.bridgedLink()
	egress = append(append(append(egress, bridged...), established), cfg.onPods(to("from-pod"), IIFName)...)

	ingress := append(append(bridged, established), cfg.onPods(to("to-pod"), OIFName)...)
	if len(cfg.LocalCIDRs) > 0 {
		for i := range families {
			f := &families[i]
			ingress = append(ingress, rule(to("to-pod"), f.is(), in("local"+f.suffix, f.daddr)))
		}
	}
	return []*Chain{
		{Name: "source", Hook: &Hook{"prerouting", -150}, Comment: "S31: who a packet claims to be; after conntrack, before address translation",
			Rules: cfg.onPods(to("source-pod"), IIFName)},
		// Every forwarded packet passes egress first, so the cut set is asked once.
		{Name: "egress", Hook: &Hook{"forward", 0}, Comment: "from pods of this node", Rules: egress},
		{Name: "ingress", Hook: &Hook{"forward", 1}, Comment: "to pods of this node", Rules: ingress},
		{Name: "host", Hook: &Hook{"input", 0}, Comment: "from pods of this node to the node itself (S12)",
			Rules: cfg.onPods(to("host-pod"), IIFName)},
		{Name: "output", Hook: &Hook{"output", 0}, Comment: "from the node itself to its pods (S12)",
			Rules: cfg.onPods(to("to-pod-from-host"), OIFName)},
	}
}

// cutRules drop connections that the agent cut (S11). It comes before what
// conntrack knows, or the connection would live on as established. Nothing is
// logged: the agent put the tuple there and has told of it.
func cutRules() []Rule {
	var out []Rule
	for i := range families {
		f := &families[i]
		out = append(out, counted(rule(drop, f.is(), in("cut"+f.suffix, cutFields(f)...))))
	}
	return out
}

func cutFields(f *family) []Field { return []Field{f.saddr, f.daddr, L4Proto, SPort, DPort} }

// sharedChains are what base chains lead to, profiles apart.
func sharedChains(cfg *Config) []*Chain {
	v4, v6 := &families[0], &families[1]
	link := rule(call("icmpv6-link"), v6.is(), l4(protoICMPv6))
	dhcp := rule(call("dhcp-request"), l4(protoUDP))

	source := []Rule{link}
	for i := range families {
		f := &families[i]
		source = append(source, rule(accept, f.is(), in("pod-source"+f.suffix, IIFName, f.saddr)))
	}
	source = append(source, dhcp,
		rule(to("drop-spoofed"), in("pod-interfaces", IIFName)),
		// The node's own connections to a pod that is not known yet (kubelet).
		rule(accept, ctState(StateEstablished|StateRelated), toHost()),
		rule(to("drop-unknown")))

	// Neighbour discovery is untracked, so it comes before any ct rule (S23).
	host := append([]Rule{link}, cutRules()...)
	if !cfg.AllowTunnels {
		host = append(host, rule(call("pod-tunnels")))
	}
	host = append(host, rule(accept, ctState(StateEstablished|StateRelated)), dhcp, rule(to("from-pod")))

	// The node may always begin a connection to its pods, but what it says in
	// one that was cut would bring that back, the other way round.
	fromHost := cutRules()
	if !cfg.LooseTCP {
		fromHost = append(fromHost, rule(call(StrictTCP), ctState(StateNew), l4(protoTCP)))
	}

	hop := Match{Fields: []Field{HopLimit}, Value: []byte{255}}
	chains := []*Chain{
		{Name: "source-pod", Rules: source, Comment: "a pod's packets carry that pod's addresses"},
		{Name: "host-pod", Rules: host, Comment: "a pod's packets to the node itself"},
		{Name: "to-pod-from-host", Rules: fromHost, Comment: "the node's packets to a pod"},
		{Name: "icmpv6-link", Comment: "S23: neighbour discovery and multicast listeners", Rules: []Rule{
			rule(to("drop-router"), v6.is(), l4(protoICMPv6), Match{Fields: []Field{ICMPv6Type}, Value: []byte{routerAdvertisement}}),
			rule(accept, v6.is(), hop, l4(protoICMPv6), in("nd-types", ICMPv6Type)),
			counted(rule(drop, v6.is(), l4(protoICMPv6), in("nd-types", ICMPv6Type))),
			rule(accept, v6.is(), l4(protoICMPv6), in("mld-types", ICMPv6Type)),
		}},
		{Name: "dhcp-request", Comment: "S31: a pod that asks for its address has none yet", Rules: []Rule{
			rule(accept, v4.is(), Match{Fields: []Field{SAddr4}, Value: make([]byte, 4)}, l4(protoUDP), port(SPort, 68), port(DPort, 67)),
			rule(accept, v6.is(), linkLocal(), l4(protoUDP), port(SPort, 546), port(DPort, 547)),
		}},
		{Name: "pod-tunnels", Comment: "S31: a tunnel would carry what no policy sees", Rules: []Rule{
			rule(to("drop-tunnel"), l4(protoUDP), in("tunnel-ports", DPort)),
			rule(to("drop-tunnel"), in("tunnel-protocols", L4Proto)),
		}},
		{Name: "accounting", Comment: "never reached: a rule that names ct packets makes the kernel count them", Rules: []Rule{
			rule(Verdict{Kind: Return}, Match{Fields: []Field{Packets}, Value: make([]byte, 8)}),
		}},
	}
	if !cfg.LooseTCP {
		chains = append(chains, newTCP(0), newTCP(1))
	}
	for id := range reserved {
		if id > 0 {
			chains = append(chains, &Chain{Name: reserved[id].name, Comment: reserved[id].comment, Rules: refuse(uint32(id), cfg)})
		}
	}
	return chains
}

// StrictTCP is a chain that there is unless Config.LooseTCP is on.
const StrictTCP = "tcp-new-to"

// newTCP refuses what is in no known connection and does not begin one,
// unless no policy selects the pod in either direction.
func newTCP(dir int) *Chain {
	rules := []Rule{
		rule(Verdict{Kind: Return}, l4(protoTCP), Match{Fields: []Field{TCPFlags}, Op: Masked, Value: []byte{tcpSYN}, Mask: []byte{tcpFIN | tcpSYN | tcpRST | tcpACK}}),
	}
	for i := range families {
		f := &families[i]
		iface, addr := OIFName, f.daddr
		if dir == 1 {
			iface, addr = IIFName, f.saddr
		}
		rules = append(rules, rule(Verdict{Kind: Return}, f.is(), in("in-open"+f.suffix, addr), in("out-open"+f.suffix, iface, addr)))
	}
	return &Chain{
		Name: [2]string{StrictTCP, "tcp-new-from"}[dir], Comment: "S11: a connection begins with SYN",
		Rules: append(rules, counted(rule(drop))),
	}
}

func linkLocal() Match {
	value, mask := make([]byte, 16), make([]byte, 16)
	value[0], value[1] = 0xfe, 0x80
	mask[0], mask[1] = 0xff, 0xc0
	return Match{Fields: []Field{SAddr6}, Op: Masked, Value: value, Mask: mask}
}

// fixedSets are the sets of the fixed rules.
func fixedSets(cfg *Config) []*Set {
	sets := []*Set{
		{Name: "nd-types", Fields: []Field{ICMPv6Type}, Elements: byteElements(133, 135, 136), Comment: "router solicitation, neighbour solicitation and advertisement"},
		{Name: "mld-types", Fields: []Field{ICMPv6Type}, Elements: byteElements(130, 131, 132, 143), Comment: "multicast listeners"},
		{Name: "tunnel-ports", Fields: []Field{DPort}, Elements: portElements(4789, 6081, 8472), Comment: "VXLAN, Geneve, VXLAN of old Linux"},
		{Name: "tunnel-protocols", Fields: []Field{L4Proto}, Elements: byteElements(protoIPIP, protoIPv6), Comment: "IP in IP"},
	}
	sets = append(sets, cfg.interfaceSets()...)
	for i := range families {
		f := &families[i]
		sets = append(sets, &Set{Name: "cut" + f.suffix, Fields: cutFields(f), Timeout: true, External: true, Comment: "connections that became forbidden, both ways"})
		if len(cfg.LocalCIDRs) > 0 {
			sets = append(sets, &Set{Name: "local" + f.suffix, Fields: []Field{f.daddr}, Interval: true, Elements: ranges(f, cfg), Comment: "addresses of this node's pods"})
		}
		if len(cfg.Nodes) > 0 {
			nodes := &Set{Name: "nodes" + f.suffix, Fields: []Field{f.daddr}, Comment: "other nodes"}
			for _, a := range cfg.Nodes {
				if a = a.Unmap(); familyOf(a) == i {
					nodes.Elements = append(nodes.Elements, addrElement(a))
				}
			}
			nodes.Elements = sorted(nodes.Elements)
			sets = append(sets, nodes)
		}
	}
	return sets
}

// ranges are the configured prefixes of a family as ranges that do not overlap.
func ranges(f *family, cfg *Config) []Element {
	var out []Element
	for _, s := range f.cut(f.netsOf(cfg.LocalCIDRs)) {
		if s.net >= 0 {
			out = append(out, Element{Key: string(s.lo.AsSlice()), KeyEnd: string(s.hi.AsSlice())})
		}
	}
	return join(out)
}

func sorted(list []Element) []Element {
	slices.SortFunc(list, compareElements)
	return slices.CompactFunc(list, func(a, b Element) bool { return a.Key == b.Key })
}
