package ruleset

import (
	"maps"
	"slices"
	"strings"

	"github.com/netpol-project/netpol/pkg/policy"
)

// parts are the chains and sets beside the profiles' own, kept from one
// compilation to the next as long as what they are made from is the same.
type parts struct {
	cfg    *Config
	chains []*Chain
	sets   []*Set

	locals  []*local
	open    [2][]*local
	podSets []*Set

	dispatch  [2]*Chain
	leadingTo [2]string

	ranges map[policy.PortRange]*Set
}

// assemble puts the ruleset together.
func (st *state) assemble(in *Input, locals []*local, open [2][]*local) *Ruleset {
	st.configure(&in.Config)
	st.place(locals, open)
	chains, sets := slices.Clone(st.parts.chains), append(slices.Clone(st.parts.sets), st.parts.podSets...)
	used, ranges := map[decision]bool{}, map[policy.PortRange]*Set{}
	for dir := range st.profiles {
		chains = append(chains, st.leadTo(&in.Config, dir))
		for _, p := range st.profiles[dir] {
			sets = append(sets, p.podSets()...)
			for _, t := range p.tables {
				if t == nil {
					continue
				}
				chains, sets = append(chains, t.out.chain), append(sets, t.out.sets...)
				for _, d := range t.out.decisions {
					used[d] = true
				}
				for _, r := range t.out.ranges {
					ranges[r] = st.rangeSet(r)
				}
			}
		}
	}
	st.parts.ranges = ranges
	sets = append(sets, slices.Collect(maps.Values(ranges))...)
	chains = append(chains, st.refusalChains(in, used)...)
	sortChains(chains)
	slices.SortFunc(sets, func(a, b *Set) int { return strings.Compare(a.Name, b.Name) })
	return &Ruleset{Chains: chains, Sets: sets}
}

// configure makes what depends on the configuration alone.
func (st *state) configure(cfg *Config) {
	if st.parts.cfg != nil && st.parts.cfg.equal(cfg) {
		return
	}
	st.parts.leadingTo = [2]string{}
	st.parts.cfg = cfg.clone()
	st.parts.chains = keepAll(st.parts.chains, append(baseChains(cfg), sharedChains(cfg)...),
		func(c *Chain) string { return c.Name }, keepChain)
	st.parts.sets = keepAll(st.parts.sets, fixedSets(cfg), (*Set).name, keepSet)
}

// place makes the sets that say which pods there are.
func (st *state) place(locals []*local, open [2][]*local) {
	p := &st.parts
	if p.podSets != nil && slices.EqualFunc(p.locals, locals, sameLocal) &&
		slices.EqualFunc(p.open[0], open[0], sameLocal) && slices.EqualFunc(p.open[1], open[1], sameLocal) {
		return
	}
	p.locals, p.open = locals, open
	p.podSets = keepAll(p.podSets, podSets(locals, open), (*Set).name, keepSet)
}

func (s *Set) name() string { return s.Name }

// keepAll takes over what says the same from last time.
func keepAll[T any](old, now []*T, name func(*T) string, keep func(old, now *T) *T) []*T {
	byName := make(map[string]*T, len(old))
	for _, o := range old {
		byName[name(o)] = o
	}
	for i, n := range now {
		now[i] = keep(byName[name(n)], n)
	}
	return now
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

// rangeSet is the set with one range of ports.
func (st *state) rangeSet(r policy.PortRange) *Set {
	if s := st.parts.ranges[r]; s != nil {
		return s
	}
	e := Element{Key: portElements(r.Min)[0].Key, KeyEnd: portElements(r.Max)[0].Key}
	return &Set{Name: portSet(r), Fields: []Field{DPort}, Interval: true, Elements: []Element{e}}
}

// refusalChains are the chains of the decisions in use, each once: one that
// logs and then denies shares the refusal with one that only denies.
func (st *state) refusalChains(in *Input, used map[decision]bool) []*Chain {
	byName := make(map[string]*Chain, len(used))
	for d := range used {
		list, ok := st.refusals[d]
		if !ok {
			list = st.decisions.chains(d, &in.Config)
			for i, c := range list {
				if known := st.refused[c.Name]; known != nil {
					list[i] = known
				}
				st.refused[c.Name] = list[i]
			}
			st.refusals[d] = list
		}
		for _, c := range list {
			byName[c.Name] = c
		}
	}
	return slices.Collect(maps.Values(byName))
}

// sortChains puts base chains first, each kind by name.
func sortChains(chains []*Chain) {
	slices.SortFunc(chains, func(a, b *Chain) int {
		if (a.Hook != nil) != (b.Hook != nil) {
			if a.Hook != nil {
				return -1
			}
			return 1
		}
		return strings.Compare(a.Name, b.Name)
	})
}

// podSets are the sets that say which pods there are: the addresses behind
// each interface (S31), each pod's pairs with itself (S32), and the pods that
// no policy selects (S9).
func podSets(locals []*local, open [2][]*local) []*Set {
	ifaces := &Set{Name: "pod-interfaces", Fields: []Field{IIFName}, Comment: "interfaces of known pods"}
	for _, l := range locals {
		ifaces.Elements = append(ifaces.Elements, Element{Key: string(nameKey(nil, l.iface))})
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
