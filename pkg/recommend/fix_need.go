package recommend

import (
	"slices"

	"github.com/netpol-project/netpol/pkg/policy"
)

// fixKey tells apart the targets: one workload may need rules in two tiers.
type fixKey struct {
	tier     string
	workload policy.Workload
}

// placed is a target and the tier that its rules go to.
type placed struct {
	tier string
	*target
}

// need notes at both ends what must be allowed there.
func (f *fixer) need(g *FixGroup, hits []fixHit) {
	w := wantedFlow{Observed: g.Flow}
	for _, h := range hits {
		own := w.own(h.dir)
		t := f.target(h.hit.Tier, f.labels.workload(own))
		if t == nil {
			g.State, g.Reason = FixNoRule, own.String()+": its pods share no label that a selector could pick them by; give them one"
			return
		}
		if !slices.ContainsFunc(t.needs[h.dir], func(n need) bool { return n.flow == g.Flow }) {
			t.needs[h.dir] = append(t.needs[h.dir], need{flow: g.Flow, own: own.Workload, peer: w.other(h.dir)})
		}
	}
}

// target is the workload that rules of a tier are for, with those that labels
// can't tell from it; nil if no labels pick it.
func (f *fixer) target(tierName string, w policy.Workload) *target {
	key := fixKey{tierName, w}
	if t := f.targets[key]; t != nil {
		return t
	}
	p, picks := f.labels.pick(w)
	if p.empty() {
		return nil
	}
	t := &target{namespace: w.Namespace, selector: p.selector(), workloads: picks, asked: []policy.Workload{w}}
	for _, other := range picks {
		// One that has a target of its own keeps it.
		if k := (fixKey{tierName, other}); f.targets[k] == nil {
			f.targets[k] = t
		}
		if other != w {
			t.unasked = append(t.unasked, other)
		}
	}
	f.order = append(f.order, placed{tierName, t})
	return t
}
