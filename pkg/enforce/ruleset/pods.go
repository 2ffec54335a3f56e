package ruleset

import (
	"fmt"
	"strings"
)

// podSets are the sets that say which pods there are: the addresses behind
// each interface (S31), each pod's pairs with itself (S32), and the pods that
// no policy selects (S9).
func podSets(locals []*local, open [2][]*local) []*Set {
	ifaces := &Set{Name: "pod-interfaces", Fields: []Field{IIFName}, Comment: "interfaces of known pods"}
	for _, l := range locals {
		if !l.shared {
			ifaces.Elements = append(ifaces.Elements, Element{Key: string(nameKey(nil, l.iface))})
		}
	}
	ifaces.Elements = sorted(ifaces.Elements)
	sets := []*Set{ifaces}
	for i := range families {
		f := &families[i]
		source := &Set{Name: "pod-source" + f.suffix, Fields: []Field{IIFName, f.saddr}, Comment: "addresses behind each pod's interface"}
		self := &Set{Name: "self" + f.suffix, Fields: []Field{f.saddr, f.daddr}, Comment: "S32: a pod reaches itself"}
		for _, l := range locals {
			if l.addrs[i].IsValid() {
				source.Elements = append(source.Elements, sourceElement(l, i))
				self.Elements = append(self.Elements, pairElement(l.addrs[i]))
			}
		}
		source.Elements, self.Elements = sorted(source.Elements), sorted(self.Elements)
		sets = append(sets, source, self,
			memberSet("in-open"+f.suffix, f, 0, open[0], "pods without ingress policy"),
			memberSet("out-open"+f.suffix, f, 1, open[1], "pods without egress policy"))
	}
	return sets
}

// memberSet is the set by which pods are found in one direction.
func memberSet(name string, f *family, dir int, list []*local, comment string) *Set {
	s := &Set{Name: name, Fields: []Field{f.daddr}, Comment: comment}
	if dir == 1 {
		s.Fields = []Field{IIFName, f.saddr}
	}
	for _, l := range list {
		if !l.addrs[f.index].IsValid() {
			continue
		}
		if dir == 1 {
			s.Elements = append(s.Elements, sourceElement(l, f.index))
		} else {
			s.Elements = append(s.Elements, addrElement(l.addrs[f.index]))
		}
	}
	s.Elements = sorted(s.Elements)
	return s
}

// podSets are the sets by which the profile's pods are found.
func (p *profile) podSets() []*Set {
	if p.settled {
		return p.pods
	}
	var sets []*Set
	for _, t := range p.tables {
		if t != nil {
			sets = append(sets, memberSet(p.podSet(t.fam), t.fam, int(p.dir), p.members, ""))
		}
	}
	p.pods, p.settled = keepAll(p.pods, sets, (*Set).name, keepSet), true
	return p.pods
}

// leadTo is the chain that leads to the profiles of a direction.
func (st *state) leadTo(cfg *Config, dir int) *Chain {
	var names strings.Builder
	for _, p := range st.profiles[dir] {
		for _, t := range p.tables {
			if t != nil {
				names.WriteString(p.name + t.fam.suffix + " ")
			}
		}
	}
	names.WriteString(".")
	p := &st.parts
	if p.leadingTo[dir] != names.String() {
		p.leadingTo[dir] = names.String()
		c := st.dispatch(cfg, [2]string{"to-pod", "from-pod"}[dir], dir)
		p.dispatch[dir] = keepChain(p.dispatch[dir], c)
	}
	return p.dispatch[dir]
}

// dispatch is the chain that finds the profile of one direction's pods. Pods
// are found by plain set elements, so that a new pod touches no rule.
func (st *state) dispatch(cfg *Config, name string, dir int) *Chain {
	var rules []Rule
	rules = append(rules, counted(rule(drop, ctState(StateInvalid))))
	prefix, fields := [2]string{"in", "out"}[dir], func(f *family) []Field { return []Field{f.daddr} }
	if dir == 1 {
		fields = func(f *family) []Field { return []Field{IIFName, f.saddr} }
	}
	for i := range families {
		f := &families[i]
		rules = append(rules, rule(accept, f.is(), in("self"+f.suffix, f.saddr, f.daddr)))
	}
	// Before what is open in this direction: a policed pod's next word in a
	// connection that was cut would begin it anew, the other way round.
	if !cfg.LooseTCP {
		rules = append(rules, rule(call([2]string{StrictTCP, "tcp-new-from"}[dir]), ctState(StateNew), l4(protoTCP)))
	}
	for i := range families {
		f := &families[i]
		rules = append(rules, rule(accept, f.is(), in(fmt.Sprintf("%s-open%s", prefix, f.suffix), fields(f)...)))
	}
	for _, p := range st.profiles[dir] {
		for _, t := range p.tables {
			if t != nil {
				rules = append(rules, rule(to(t.chainName(p)), t.fam.is(), in(p.podSet(t.fam), fields(t.fam)...)))
			}
		}
	}
	rules = append(rules, rule(to("drop-unknown")))
	return &Chain{Name: name, Rules: rules, Comment: [2]string{"pods of this node as destinations", "pods of this node as sources"}[dir]}
}

// podSet is the name of the set of the profile's pods.
func (p *profile) podSet(f *family) string { return p.name + "-pods" + f.suffix }
