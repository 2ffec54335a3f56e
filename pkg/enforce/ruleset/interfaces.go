package ruleset

import "slices"

// podKinds are the kinds of devices that join a pod's network namespace to the
// node's.
var podKinds = []string{"netkit", "veth"}

// onPods are the rules with a verdict for what is on a pod's interface, known
// or not; name is IIFName or OIFName.
func (c *Config) onPods(v Verdict, name Field, more ...Match) []Rule {
	on := func(first ...Match) Rule { return rule(v, append(first, more...)...) }
	if !c.ByKind {
		return []Rule{on(iface(name, c.InterfacePrefix))}
	}
	kind := IIFKind
	if name == OIFName {
		kind = OIFKind
	}
	notNodes := Match{Fields: []Field{name}, Set: "node-interfaces", Invert: true}
	rules := []Rule{
		on(in("pod-kinds", kind), notNodes),
		on(in("pod-interfaces", name)),
	}
	if len(c.Bridges) > 0 {
		rules = append(rules, on(in("pod-bridges", name)))
	}
	if name == OIFName || len(c.LocalCIDRs) == 0 || len(more) > 0 {
		return rules // where to, the addresses say; and what is not known is not looked into
	}
	// The first pod behind a bridge speaks before anybody knows of the bridge.
	for i := range families {
		f := &families[i]
		if slices.ContainsFunc(more, f.contradicts) {
			continue // the rule is about packets of the other family
		}
		rules = append(rules, on(Match{Fields: []Field{kind}, Value: nameKey(nil, "bridge")}, notNodes, f.is(), in("local"+f.suffix, f.saddr)))
	}
	return rules
}

// bridgedLink accepts what the pods behind one bridge say to find each other;
// else it is said to the node alone (S23).
func (c *Config) bridgedLink() []Rule {
	if len(c.Bridges) == 0 {
		return nil
	}
	return []Rule{rule(call("icmpv6-link"), families[1].is(), l4(protoICMPv6),
		in("pod-bridges", IIFName), in("pod-bridges", OIFName))}
}

// interfaceSets are the sets by which pods' interfaces are known by kind.
func (c *Config) interfaceSets() []*Set {
	if !c.ByKind {
		return nil
	}
	sets := []*Set{
		{Name: "pod-kinds", Fields: []Field{IIFKind}, Elements: nameElements(podKinds), Comment: "what joins a pod to the node"},
		{Name: "node-interfaces", Fields: []Field{IIFName}, Elements: nameElements(c.NodeInterfaces), Comment: "the node's own among them, and bridges"},
	}
	if len(c.Bridges) > 0 {
		sets = append(sets, &Set{Name: "pod-bridges", Fields: []Field{IIFName}, Elements: nameElements(c.Bridges), Comment: "bridges that pods are behind"})
	}
	return sets
}

func nameElements(names []string) []Element {
	out := make([]Element, 0, len(names))
	for _, name := range names {
		out = append(out, Element{Key: string(nameKey(nil, name))})
	}
	return sorted(out)
}

func (c *Config) isBridge(name string) bool { return slices.Contains(c.Bridges, name) }
