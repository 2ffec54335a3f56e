package tier

import (
	"math"

	"github.com/netpol-project/netpol/pkg/policy"
)

// renumber gives the group at index at an order that fits between its
// neighbours. Where there is none, it takes neighbours along: the smallest run
// of groups around at that can be numbered anew.
func renumber(seq []stand, at int) error {
	if order, ok := tie(seq, at); ok {
		seq[at].order = order
		return nil
	}
	for size := 1; size <= len(seq); size++ {
		// Of runs of one size the one that reaches furthest to the end is
		// tried first: later policies are the less surprising ones to touch.
		for from := min(at, len(seq)-size); from >= max(0, at-size+1); from-- {
			if orders, ok := numbers(seq, from, size, at); ok {
				for i, o := range orders {
					seq[from+i].order = o
				}
				return nil
			}
		}
	}
	return ErrNoRoom
}

// tie finds an order for the group at index at that equals a neighbour's and
// is told apart by name: the only way to stand among policies without order.
func tie(seq []stand, at int) (policy.Order, bool) {
	hasPrev, hasNext := at > 0, at < len(seq)-1
	if !hasPrev || !math.IsInf(seq[at-1].order, 1) {
		// With a finite order before it there is always room to the end of
		// the list, and a number says more than a name.
		if !hasPrev || !hasNext || seq[at-1].order != seq[at+1].order {
			return 0, false
		}
	}
	order := seq[at-1].order
	if compareID(seq[at-1].id, seq[at].id) >= 0 {
		return 0, false
	}
	if hasNext && seq[at+1].order == order && compareID(seq[at].id, seq[at+1].id) >= 0 {
		return 0, false
	}
	return order, true
}

// numbers are new orders for the size groups from index from on, or not ok.
func numbers(seq []stand, from, size, at int) ([]policy.Order, bool) {
	lo, hi := math.Inf(-1), math.Inf(1)
	for i := from; i < from+size; i++ {
		if seq[i].fixed && i != at {
			return nil, false
		}
	}
	if from > 0 {
		lo = seq[from-1].order
	}
	if from+size < len(seq) {
		hi = seq[from+size].order
	}
	if lo >= hi {
		return nil, false
	}
	return spread(lo, hi, size)
}

// spread finds n round numbers strictly between lo and hi, evenly apart where
// both are finite.
func spread(lo, hi policy.Order, n int) ([]policy.Order, bool) {
	if math.IsInf(lo, 1) {
		return nil, false
	}
	switch openLo, openHi := math.IsInf(lo, -1), math.IsInf(hi, 1); {
	case openHi:
		if openLo {
			lo = 0
		}
		return count(math.Floor(lo/100)*100, 100, n), true
	case openLo:
		// Orders from 0 on are what people write; below it only if need be.
		if orders, ok := between(0, hi, n); hi > 0 && ok {
			return orders, true
		}
		lo = (math.Ceil(hi/100) - float64(n) - 1) * 100
		return count(lo, 100, n), true
	}
	return between(lo, hi, n)
}

// steps are the distances tried between orders, roundest first.
var steps = [...]float64{1e6, 1e5, 1e4, 1000, 100, 50, 10, 5, 1, 0.5, 0.1, 0.01, 0.001}

// between finds n multiples of the largest step that has so many of them
// strictly between lo and hi, in the middle of those.
func between(lo, hi policy.Order, n int) ([]policy.Order, bool) {
	for _, step := range steps {
		first := math.Floor(lo/step) + 1
		last := math.Ceil(hi/step) - 1
		room := last - first + 1
		if room < float64(n) {
			continue
		}
		out := make([]policy.Order, n)
		// The i-th of n cuts the room into n+1 equal parts.
		for i := range out {
			k := first + math.Floor((room-float64(n))*float64(i+1)/float64(n+1)) + float64(i)
			out[i] = multiple(k, step)
		}
		if out[0] > lo && out[n-1] < hi && rising(out) {
			return out, true
		}
	}
	return nil, false
}

// multiple is k*step without the noise of binary fractions.
func multiple(k, step float64) float64 {
	if step >= 1 {
		return k * step
	}
	return k / math.Round(1/step)
}

func rising(orders []policy.Order) bool {
	for i := 1; i < len(orders); i++ {
		if orders[i] <= orders[i-1] {
			return false
		}
	}
	return true
}

// count is start+step, start+2*step, … n times.
func count(start, step float64, n int) []policy.Order {
	out := make([]policy.Order, n)
	for i := range out {
		out[i] = start + step*float64(i+1)
	}
	return out
}
