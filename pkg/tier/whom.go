package tier

import (
	"math/bits"

	"github.com/netpol-project/netpol/pkg/policy"
)

// Whom is whom a side of a rule speaks of in this model.
type Whom struct {
	// Anyone: the side has no criterion on endpoints, or one that reaches
	// outside the cluster (S16, S17). Endpoints is empty then.
	Anyone bool
	// Endpoints has one endpoint of each Identity that the side matches.
	Endpoints []*policy.Endpoint
	// Addresses says that it matches addresses beside the endpoints': of
	// network sets, host endpoints or a Service's backends.
	Addresses bool
}

// None says that the side matches nothing at all.
func (w *Whom) None() bool { return !w.Anyone && !w.Addresses && len(w.Endpoints) == 0 }

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
	out := Whom{Addresses: m.reaches[n].wide()}
	for w, word := range m.columns[n] {
		for ; word != 0; word &= word - 1 {
			out.Endpoints = append(out.Endpoints, m.ids.reps[w<<6+bits.TrailingZeros64(word)])
		}
	}
	return out
}
