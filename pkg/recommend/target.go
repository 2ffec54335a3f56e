package recommend

import (
	"slices"
	"strings"

	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/policy/selector"
)

// target is a group of workloads that one policy selects.
type target struct {
	namespace string
	// workloads are all that the selector picks: asked for, or not.
	workloads, asked, unasked []policy.Workload
	selector                  *selector.Selector
	whole                     bool // the whole namespace
	needs                     [2][]need
	covered                   [2]bool // some flow of that direction is allowed by a rule already
	seen                      bool
}

// findTargets groups the workloads asked for by what labels can pick, or by
// namespace.
func findTargets(req *Request, labels *labeler, res *Result) []*target {
	wanted := slices.Clone(req.Targets)
	slices.SortFunc(wanted, compareWorkloads)
	wanted = slices.Compact(wanted)
	var out []*target
	done := map[policy.Workload]bool{}
	for _, w := range wanted {
		if done[w] {
			continue
		}
		t := &target{namespace: w.Namespace}
		if req.ByNamespace {
			t.whole, t.selector, t.workloads = true, selector.All(), labels.workloadsIn(w.Namespace)
		} else {
			p, picks := labels.pick(w)
			if p.empty() {
				res.Skipped = append(res.Skipped, Skipped{Workload: w, Kind: SkipNoRule,
					Reason: "its pods share no label that a selector could pick them by; give them one"})
				continue
			}
			t.selector, t.workloads = p.selector(), picks
		}
		for _, other := range t.workloads {
			done[other] = true
			if _, asked := slices.BinarySearchFunc(wanted, other, compareWorkloads); asked {
				t.asked = append(t.asked, other)
			} else {
				t.unasked = append(t.unasked, other)
			}
		}
		out = append(out, t)
	}
	return out
}

func compareWorkloads(a, b policy.Workload) int {
	if c := strings.Compare(a.Namespace, b.Namespace); c != 0 {
		return c
	}
	if c := strings.Compare(a.Name, b.Name); c != 0 {
		return c
	}
	return strings.Compare(string(a.Kind), string(b.Kind))
}
