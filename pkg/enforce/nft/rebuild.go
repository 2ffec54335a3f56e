//go:build linux

package nft

import (
	"maps"
	"slices"

	"github.com/netpol-project/netpol/pkg/enforce/ruleset"
)

// rebuild is one plan of a resync.
type rebuild struct {
	rs    *ruleset.Ruleset
	names names
	// there are the kernel's names of base chains and external sets that stay.
	there                  map[string]bool
	staleBase              []string // base chains to delete in the swap
	staleChains, staleSets []string
}

func newRebuild(rs *ruleset.Ruleset, old present) *rebuild {
	r := &rebuild{rs: rs, there: map[string]bool{}, names: names{kept: map[string]string{}}}
	highest := -1
	for _, list := range [][]string{slices.Collect(maps.Keys(old.chains)), slices.Collect(maps.Keys(old.sets))} {
		for _, name := range list {
			_, number := generation(name)
			highest = max(highest, number)
		}
	}
	r.names.suffix = suffixOf(highest + 1)
	r.keep(old)
	for name, hook := range old.chains {
		switch {
		case r.there[name]:
		case hook != nil:
			r.staleBase = append(r.staleBase, name)
		default:
			r.staleChains = append(r.staleChains, name)
		}
	}
	slices.Sort(r.staleBase)
	for name := range old.sets {
		if !r.there[name] {
			r.staleSets = append(r.staleSets, name)
		}
	}
	return r
}

// keep finds the base chains and external sets that are there already as they
// should be. One of the same name that differs makes way for one with a
// generation.
func (r *rebuild) keep(old present) {
	for _, chain := range r.rs.Chains {
		if chain.Hook == nil {
			continue
		}
		for name, hook := range old.chains {
			if base, _ := generation(name); base == chain.Name && hook != nil && *hook == *chain.Hook {
				r.names.kept[chain.Name], r.there[name] = name, true
			}
		}
		if _, taken := old.chains[chain.Name]; !taken && r.names.kept[chain.Name] == "" {
			r.names.kept[chain.Name] = chain.Name
		}
	}
	for _, set := range r.rs.Sets {
		if !set.External {
			continue
		}
		want, err := layoutOf(set)
		for name, have := range old.sets {
			if base, _ := generation(name); base == set.Name && err == nil && have == want {
				r.names.kept[set.Name], r.there[name] = name, true
			}
		}
		if _, taken := old.sets[set.Name]; !taken && r.names.kept[set.Name] == "" {
			r.names.kept[set.Name] = set.Name
		}
	}
}

// build makes everything that base chains will refer to.
func (r *rebuild) build(b *batch) {
	for _, chain := range r.rs.Chains {
		if chain.Hook == nil {
			b.addChain(chain, r.names.kernel(chain.Name))
		}
	}
	for _, set := range r.rs.Sets {
		if !r.there[r.names.kernel(set.Name)] {
			b.addSet(set, r.names.kernel(set.Name))
		}
		if !set.External {
			b.addElements(set, r.names.kernel, set.Elements)
		}
	}
	for _, chain := range r.rs.Chains {
		if chain.Hook == nil {
			b.addRules(chain, r.names.kernel)
		}
	}
}

// swap lets the base chains use it.
func (r *rebuild) swap(b *batch) {
	for _, chain := range r.rs.Chains {
		if chain.Hook == nil {
			continue
		}
		name := r.names.kernel(chain.Name)
		if r.there[name] {
			b.flushChain(name)
		} else {
			b.addChain(chain, name)
		}
		b.addRules(chain, r.names.kernel)
	}
	for _, name := range r.staleBase {
		b.flushChain(name)
		b.delChain(name)
	}
}
