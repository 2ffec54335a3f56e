package ruleset

import (
	"maps"
	"slices"
	"strings"
)

// assemble puts the ruleset together from the profiles and the fixed parts.
func (st *state) assemble(in *Input, locals []*local, open [2][]*local) *Ruleset {
	chains := append(baseChains(&in.Config), sharedChains(&in.Config)...)
	chains = append(chains, st.dispatch(&in.Config, "to-pod", 0), st.dispatch(&in.Config, "from-pod", 1))
	sets := append(fixedSets(&in.Config), podSets(locals, open)...)
	for dir := range st.profiles {
		for _, p := range st.profiles[dir] {
			sets = append(sets, p.podSets()...)
		}
	}
	chains, sets = st.keep(chains, sets)

	used := map[decision]bool{}
	for dir := range st.profiles {
		for _, p := range st.profiles[dir] {
			for _, t := range p.tables {
				if t == nil {
					continue
				}
				chains, sets = append(chains, t.out.chain), append(sets, t.out.sets...)
				for _, d := range t.out.decisions {
					used[d] = true
				}
			}
		}
	}
	chains = append(chains, st.refusalChains(in, used)...)
	sortChains(chains)
	slices.SortFunc(sets, func(a, b *Set) int { return strings.Compare(a.Name, b.Name) })
	return &Ruleset{Chains: chains, Sets: sets}
}

// keep takes over last time's fixed chains and sets where they say the same.
func (st *state) keep(chains []*Chain, sets []*Set) ([]*Chain, []*Set) {
	oldChains, oldSets := st.chains, st.sets
	st.chains, st.sets = make(map[string]*Chain, len(chains)), make(map[string]*Set, len(sets))
	for i, c := range chains {
		chains[i] = keepChain(oldChains[c.Name], c)
		st.chains[c.Name] = chains[i]
	}
	for i, s := range sets {
		sets[i] = keepSet(oldSets[s.Name], s)
		st.sets[s.Name] = sets[i]
	}
	return chains, sets
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

func (p *profile) podSets() []*Set {
	var out []*Set
	for _, t := range p.tables {
		if t != nil {
			out = append(out, memberSet(p.podSet(t.fam), t.fam, int(p.dir), p.members, ""))
		}
	}
	return out
}
