package ruleset

import (
	"maps"
	"slices"
	"strings"
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

	spans map[span]*Set
	long  map[string]*Set // by name, shared by profiles
}

// assemble puts the ruleset together.
func (st *state) assemble(in *Input, locals []*local, open [2][]*local) *Ruleset {
	st.configure(&in.Config)
	st.place(locals, open)
	chains, sets := slices.Clone(st.parts.chains), append(slices.Clone(st.parts.sets), st.parts.podSets...)
	used, spans, long := map[decision]bool{}, map[span]*Set{}, map[string]*Set{}
	for dir := range st.profiles {
		chains = append(chains, st.leadTo(&in.Config, dir))
		for _, p := range st.profiles[dir] {
			sets = append(sets, p.podSets()...)
			for t := range p.all() {
				chains, sets = append(chains, t.out.chain), append(sets, t.out.sets...)
				if t.out.entry != nil {
					chains = append(chains, t.out.entry)
				}
				for _, d := range t.out.decisions {
					used[d] = true
				}
				for _, s := range t.out.long {
					if long[s.Name] == nil {
						long[s.Name] = keepSet(st.parts.long[s.Name], s)
					}
				}
				for _, s := range t.out.spans {
					spans[s] = st.spanSet(s)
				}
			}
		}
	}
	st.parts.spans, st.parts.long = spans, long
	sets = append(slices.AppendSeq(sets, maps.Values(spans)), slices.Collect(maps.Values(long))...)
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

// spanSet is the set of a span, the one of last time if there is one.
func (st *state) spanSet(s span) *Set {
	if old := st.parts.spans[s]; old != nil {
		return old
	}
	return s.set()
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
