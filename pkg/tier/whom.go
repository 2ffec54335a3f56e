package tier

import (
	"iter"
	"math/bits"

	"github.com/netpol-project/netpol/pkg/policy"
)

// Whom is whom a side of a rule speaks of in a model.
type Whom struct {
	// Anyone: the side has no criterion on endpoints, or one that reaches
	// outside the cluster (S16, S17). Endpoints has none then.
	Anyone bool
	// Addresses says that it matches addresses beside the endpoints': of
	// network sets, host endpoints or a Service's backends.
	Addresses bool
	column    column
	m         *Model
}

// Endpoints are one endpoint of each Identity that the side matches.
func (w *Whom) Endpoints() iter.Seq[*policy.Endpoint] {
	return func(yield func(*policy.Endpoint) bool) {
		for i, word := range w.column {
			for ; word != 0; word &= word - 1 {
				if !yield(w.m.ids.reps[i<<6+bits.TrailingZeros64(word)]) {
					return
				}
			}
		}
	}
}

// None says that the side matches nothing at all.
func (w *Whom) None() bool {
	for range w.Endpoints() {
		return false
	}
	return !w.Anyone && !w.Addresses
}

// Whom finds out whom a side of a rule of p speaks of, its nets and ports
// apart. p is a policy of the snapshot and e a side of one of its rules, of a
// direction in which p acts (S3).
func (m *Model) Whom(p *policy.Policy, e *policy.Entity) Whom {
	ent, ok := peerOf(p, e)
	if !ok || ent.external {
		return Whom{Anyone: true}
	}
	n, ok := m.entityNumbers.get(ent.key())
	if !ok {
		return Whom{}
	}
	return Whom{Addresses: m.reaches[n].wide(), column: m.columns[n], m: m}
}
