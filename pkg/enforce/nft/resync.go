//go:build linux

package nft

import (
	"context"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/netpol-project/netpol/pkg/enforce/internal/nfnl"
	"github.com/netpol-project/netpol/pkg/enforce/ruleset"
)

// present is what the table holds.
type present struct {
	chains map[string]*ruleset.Hook // kernel name; nil for chains that are not base chains
	sets   map[string]layout
}

// layout is what must agree for a set to be kept.
type layout struct{ flags, keyType, keyLen uint32 }

// resync builds all of rs beside what is there, unreferenced, in as many
// batches as it takes; one small batch then lets the base chains refer to the
// new part; what is left of the old part is removed.
func (k *Kernel) resync(ctx context.Context, rs *ruleset.Ruleset) error {
	k.stats.Resyncs++
	k.uncertain = true
	if err := k.createTable(k.tableFlags()); err != nil {
		return err
	}
	old, err := k.list()
	if err != nil {
		return err
	}
	r := newRebuild(rs, old)
	if err := k.rebuild(ctx, r); err != nil {
		k.discard(old)
		return err
	}
	k.programmed, k.names, k.uncertain = rs, r.names, false
	k.found = present{}
	return nil
}

func (k *Kernel) rebuild(ctx context.Context, r *rebuild) error {
	build := newBatch(k.limit, func(b *batch) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		return k.commit(b)
	})
	r.build(build)
	if build.err != nil {
		return build.err
	}
	swap := newBatch(k.limit, nil)
	r.swap(swap)
	if swap.err != nil {
		return swap.err
	}
	if build.enc.Len()+swap.enc.Len() < k.limit {
		// Both in one: nothing half-made is left if the kernel refuses.
		build.commit = nil
		r.swap(build)
		swap = build
	} else if build.flush(); build.err != nil {
		return build.err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := k.commit(swap); err != nil {
		return err
	}
	// From here on the new rules are in force; leftovers do no harm and go
	// with the next rebuild.
	rest := newBatch(k.limit, k.commit)
	rest.clean(r.staleChains, r.staleSets)
	rest.flush()
	return nil
}

// discard removes what a failed rebuild has made.
func (k *Kernel) discard(old present) {
	now, err := k.list()
	if err != nil {
		return
	}
	var chains, sets []string
	for name := range now.chains {
		if _, was := old.chains[name]; !was {
			chains = append(chains, name)
		}
	}
	for name := range now.sets {
		if _, was := old.sets[name]; !was {
			sets = append(sets, name)
		}
	}
	b := newBatch(k.limit, k.commit)
	b.clean(chains, sets)
	b.flush()
}

// clean deletes chains and sets that nothing else refers to.
func (b *batch) clean(chains, sets []string) {
	slices.Sort(chains)
	slices.Sort(sets)
	for _, name := range chains {
		b.flushChain(name)
	}
	for _, name := range sets {
		b.delSet(name)
	}
	for _, name := range chains {
		b.delChain(name)
	}
}

// list finds out what the table holds.
func (k *Kernel) list() (present, error) {
	p := present{chains: map[string]*ruleset.Hook{}, sets: map[string]layout{}}
	err := k.dump(unix.NFT_MSG_GETCHAIN, func(m nfnl.Message) {
		if name, hook, ok := decodeChain(m.Body); ok {
			p.chains[name] = hook
		}
	})
	if err != nil {
		return p, fmt.Errorf("chains: %w", err)
	}
	err = k.dump(unix.NFT_MSG_GETSET, func(m nfnl.Message) {
		if name, l, ok := decodeSet(m.Body); ok {
			p.sets[name] = l
		}
	})
	if err != nil {
		return p, fmt.Errorf("sets: %w", err)
	}
	return p, nil
}
