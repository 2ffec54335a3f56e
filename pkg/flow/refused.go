package flow

import (
	"cmp"
	"slices"
	"time"
)

// MaxRefused is how many refused pods of a flow are told apart.
const MaxRefused = 8

// Refusal is when a pod was refused last, Unix nanoseconds.
type Refusal struct {
	Pod  string
	Last int64
}

// refusals are the pods of a flow's source that were refused, the latest first.
// The latest of what several know are the latest of all, in whatever order that
// is put together.
type refusals []Refusal

// add notes that a pod was refused; one without a name is nobody.
func (r refusals) add(pod string, at int64) refusals {
	if pod == "" || at <= 0 {
		return r
	}
	if i := slices.IndexFunc(r, func(x Refusal) bool { return x.Pod == pod }); i >= 0 {
		if at <= r[i].Last {
			return r
		}
		r[i].Last = at
	} else {
		r = append(r, Refusal{pod, at})
	}
	slices.SortFunc(r, func(a, b Refusal) int {
		return cmp.Or(cmp.Compare(b.Last, a.Last), cmp.Compare(a.Pod, b.Pod))
	})
	return r[:min(len(r), MaxRefused)]
}

// within are those that were refused in [since, until); 0 is unbounded.
func (r refusals) within(since, until int64) []RefusedPod {
	var out []RefusedPod
	for _, x := range r {
		if (since == 0 || x.Last >= since) && (until == 0 || x.Last < until) {
			out = append(out, RefusedPod{x.Pod, time.Unix(0, x.Last).UTC()})
		}
	}
	return out
}

// joinRefused puts two lists of one flow's pods together.
func joinRefused(a, b []RefusedPod) []RefusedPod {
	if len(b) == 0 {
		return a
	}
	var all refusals
	for _, p := range slices.Concat(a, b) {
		all = all.add(p.Name, p.Last.UnixNano())
	}
	return all.within(0, 0)
}
