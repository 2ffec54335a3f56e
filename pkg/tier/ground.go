package tier

import (
	"net/netip"

	"github.com/netpol-project/netpol/pkg/policy"
)

// Ground is what rules look at in a peer's address, beside who owns it: two
// addresses that lie in the same of its Nets and in the same of its Groups are
// judged alike. Its prefixes are those of Model.Nets.
type Ground struct {
	// Nets are those that rules give, and the addresses that Services' backends
	// have, which may have ports of their own. Sorted, without duplicates.
	Nets []netip.Prefix
	// Groups are networks that a rule's peers have together: it does not tell
	// them apart. There may be thousands in one.
	Groups []GroundGroup
}

// GroundGroup is the networks of network sets and host endpoints that one
// criterion on peers matches.
type GroundGroup struct {
	// Name tells the criterion, whatever it matches at present.
	Name string
	Nets []netip.Prefix // sorted, without duplicates; not to be changed
}

// Ground is what local's policies in a direction look at in a peer's address.
// Zero where they don't.
func (m *Model) Ground(scope Scope, dir policy.Direction, local *policy.Endpoint) Ground {
	var g Ground
	w := m.walk(m.view(scope), dir, m.ids.of(local))
	if !w.nets {
		return g
	}
	seen := map[int32]bool{}
	w.each(dir, func(r *rule) {
		if n := r.nets; n != nil {
			g.Nets = append(append(g.Nets, n.peer...), n.notPeer...)
		}
		if r.peer == noEntity || !m.reaches[r.peer].wide() || seen[r.peer] {
			return
		}
		seen[r.peer] = true
		if reach := m.reaches[r.peer]; reach.service != nil {
			g.Nets = append(g.Nets, reach.nets...)
		} else {
			g.Groups = append(g.Groups, GroundGroup{m.entities[r.peer].key(), reach.nets})
		}
	})
	g.Nets = sortNets(g.Nets)
	return g
}
