package tier

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/netpol-project/netpol/pkg/policy"
)

// Errors of Move that callers tell apart with errors.Is.
var (
	// ErrNoSlot: what is to be moved, or the neighbour it is to be put beside,
	// is not in the sequence.
	ErrNoSlot = errors.New("not in the sequence")
	// ErrFixed: what is to be moved has an order that can't be changed.
	ErrFixed = errors.New("its order is fixed")
	// ErrNoRoom: between slots that can't be renumbered there is no order left.
	ErrNoRoom = errors.New("no room between neighbours whose order is fixed")
)

// Slot is one place in a sequence: of the policies of a tier, or of the tiers.
type Slot struct {
	Key   policy.Key
	Order policy.Order
	// Fixed marks an order that can't be changed: the built-in tier's, a
	// Kubernetes NetworkPolicy's.
	Fixed bool
}

// Place says where in a sequence: exactly one field is set.
type Place struct {
	First, Last   bool
	Before, After policy.Key
}

// Move puts what at a place of the sequence and returns the slots that get
// another order, what's own included, in sequence order. Every other slot
// keeps its place among the others. What stands there already keeps its order;
// neighbours are renumbered only where no order is left between them, as few as
// possible.
//
// A staged policy and the enforced one of the same name are one thing here:
// both move (S2, S27). what must be in slots; a new thing is put there with
// any order.
func Move(slots []Slot, what policy.Key, where Place) ([]Slot, error) {
	seq, moved, err := split(slots, what)
	if err != nil {
		return nil, err
	}
	at, err := position(seq, where)
	if err != nil {
		return nil, err
	}
	seq = slices.Insert(seq, at, moved)
	if !inPlace(seq, at) {
		if err := renumber(seq, at); err != nil {
			return nil, err
		}
	}
	var changed []Slot
	for _, g := range seq {
		for _, s := range g.slots {
			if s.Order != g.order || g.fresh {
				changed = append(changed, Slot{Key: s.Key, Order: g.order})
			}
		}
	}
	return changed, nil
}

// inPlace says whether the group at index at has an order already that puts it
// there: then it keeps it.
func inPlace(seq []stand, at int) bool {
	g := &seq[at]
	g.order = g.slots[0].Order
	for _, s := range g.slots {
		if s.Order != g.order {
			return false
		}
	}
	return (at == 0 || compareStands(seq[at-1], *g) < 0) &&
		(at == len(seq)-1 || compareStands(*g, seq[at+1]) < 0)
}

func compareStands(a, b stand) int {
	return cmp.Or(cmp.Compare(a.order, b.order), compareID(a.id, b.id))
}

// stand is the slots that share one place: an enforced policy and its staged
// twin of the same order.
type stand struct {
	id    policy.Key // with the enforced kind
	order policy.Order
	fixed bool
	fresh bool // moved: report it even if the number stayed
	slots []Slot
}

// identity is a slot's key with the kind that it has once enforced.
func identity(k policy.Key) policy.Key {
	k.Kind = k.Kind.Enforced()
	return k
}

// compareID breaks ties between equal orders (S1, S2).
func compareID(a, b policy.Key) int {
	return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Kind, b.Kind))
}

// split sorts the slots into groups and takes what out of them.
func split(slots []Slot, what policy.Key) (seq []stand, moved stand, err error) {
	what = identity(what)
	sorted := slices.Clone(slots)
	slices.SortStableFunc(sorted, func(a, b Slot) int {
		return cmp.Or(cmp.Compare(a.Order, b.Order), compareID(identity(a.Key), identity(b.Key)))
	})
	moved = stand{id: what, fresh: true}
	for _, s := range sorted {
		id := identity(s.Key)
		if id == what {
			if s.Fixed {
				return nil, stand{}, fmt.Errorf("%s: %w", s.Key, ErrFixed)
			}
			moved.slots = append(moved.slots, s)
			continue
		}
		if n := len(seq); n > 0 && seq[n-1].id == id && seq[n-1].order == s.Order {
			seq[n-1].slots = append(seq[n-1].slots, s)
			seq[n-1].fixed = seq[n-1].fixed || s.Fixed
			continue
		}
		seq = append(seq, stand{id: id, order: s.Order, fixed: s.Fixed, slots: []Slot{s}})
	}
	if len(moved.slots) == 0 {
		return nil, stand{}, fmt.Errorf("%s: %w", what, ErrNoSlot)
	}
	return seq, moved, nil
}

// position is the index in seq that the moved one is to be inserted at. A
// neighbour with a staged twin elsewhere has several groups: before means
// before the first of them, after means after the last.
func position(seq []stand, where Place) (int, error) {
	switch {
	case where.First:
		return 0, nil
	case where.Last:
		return len(seq), nil
	case where.Before != policy.Key{}:
		id := identity(where.Before)
		if i := slices.IndexFunc(seq, func(g stand) bool { return g.id == id }); i >= 0 {
			return i, nil
		}
		return 0, fmt.Errorf("%s: %w", where.Before, ErrNoSlot)
	}
	id := identity(where.After)
	for i := len(seq) - 1; i >= 0; i-- {
		if seq[i].id == id {
			return i + 1, nil
		}
	}
	return 0, fmt.Errorf("%s: %w", where.After, ErrNoSlot)
}
