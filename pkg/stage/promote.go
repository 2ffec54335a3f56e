package stage

import (
	"cmp"
	"slices"

	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

// Gap is a connection that is allowed now and when all is done, and refused for
// a moment between two steps of a promotion.
type Gap struct {
	// After are the policies that are enforced already in that moment, in order.
	After []policy.Key
	// What is the connection, in words.
	What string
}

// maxStates bounds how many states between nothing and everything are looked
// at for an order without gaps.
const maxStates = 4000

// Order is the order in which several staged policies are to be enforced one
// after the other (a deletion among them deletes), so that in no moment a
// connection is refused that is allowed before and after. Of such orders it is
// one in which nothing is open for a moment that is closed before and after,
// where there is one. gap is not nil where every order, or every one that was
// tried, leaves a gap: then the order is the one that is usually best.
func Order(m *tier.Model, staged []policy.Key, conns []Connection) (order []policy.Key, gap *Gap) {
	order, _, gap = orderOf(m, staged, conns)
	return order, gap
}

// orderOf is Order, and says what is open for a moment that is closed before and
// after; nil for nothing.
func orderOf(m *tier.Model, staged []policy.Key, conns []Connection) (order []policy.Key, opens, gap *Gap) {
	usual := usualOrder(m.Snapshot(), staged)
	if len(usual) < 2 {
		return usual, nil, nil
	}
	s := newOrderSearch(m, usual, conns)
	for _, strict := range []bool{true, false} {
		s.strict, s.left, s.dead = strict, maxStates, map[tier.Scope]bool{}
		if path := s.from(nil); path != nil {
			return path, s.opensOf(path), nil
		}
	}
	return usual, s.opensOf(usual), s.gapOf(usual)
}

// usualOrder puts what allows before what denies.
func usualOrder(snap *policy.Snapshot, staged []policy.Key) []policy.Key {
	out := slices.Clone(staged)
	slices.SortFunc(out, func(a, b policy.Key) int {
		return cmp.Or(cmp.Compare(closing(snap, a), closing(snap, b)),
			cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	return slices.Compact(out)
}

// closing grades how much enforcing a staged policy takes away: 0 the deletion
// of what denies, 1 rules that allow, 2 rules that deny as well, 3 the deletion
// of what allows, 4 no rules at all.
func closing(snap *policy.Snapshot, key policy.Key) int {
	p := snap.Policy(key)
	if p == nil {
		return 4
	}
	if p.StagedAction == policy.StagedDelete {
		twin, _ := Twin(key)
		if old := snap.Policy(twin); old == nil || allows(old) {
			return 3
		}
		return 0
	}
	switch {
	case len(p.Rules[policy.Ingress])+len(p.Rules[policy.Egress]) == 0:
		return 4
	case allows(p) && !denies(p):
		return 1
	}
	return 2
}

func allows(p *policy.Policy) bool { return hasAction(p, policy.Allow) }
func denies(p *policy.Policy) bool { return hasAction(p, policy.Deny) }

func hasAction(p *policy.Policy, a policy.Action) bool {
	for _, rules := range p.Rules {
		if slices.ContainsFunc(rules, func(r policy.Rule) bool { return r.Action == a }) {
			return true
		}
	}
	return false
}

// orderSearch looks for a way from what is enforced to all of it enforced.
type orderSearch struct {
	todo []policy.Key
	// open and shut are the connections that are allowed, or refused, both
	// before and after.
	open, shut []Connection
	strict     bool
	left       int
	dead       map[tier.Scope]bool
}

func newOrderSearch(m *tier.Model, todo []policy.Key, conns []Connection) *orderSearch {
	s := &orderSearch{todo: todo}
	all := tier.Some(todo...)
	for _, c := range append(slices.Clone(conns), everyPair(m, todo)...) {
		switch before, after := c.Allowed(tier.Enforced()), c.Allowed(all); {
		case before && after:
			s.open = append(s.open, c)
		case !before && !after:
			s.shut = append(s.shut, c)
		}
	}
	return s
}

// from is the rest of the way; nil if there is none, or none was found in time.
func (s *orderSearch) from(done []policy.Key) []policy.Key {
	if len(done) == len(s.todo) {
		return done
	}
	for _, next := range s.todo {
		if slices.Contains(done, next) {
			continue
		}
		state := append(slices.Clone(done), next)
		scope := tier.Some(state...)
		if s.dead[scope] || len(state) < len(s.todo) && !s.good(scope) {
			s.dead[scope] = true
			continue
		}
		if path := s.from(state); path != nil {
			return path
		}
		s.dead[scope] = true
	}
	return nil
}

// good says whether a state between refuses nothing that is open before and
// after and, where that is asked for, opens nothing that is shut.
func (s *orderSearch) good(scope tier.Scope) bool {
	if s.left--; s.left < 0 {
		return false
	}
	if s.refused(scope) != nil {
		return false
	}
	return !s.strict || s.opened(scope) == nil
}

// opened is a connection that a state opens and that is shut before and after.
func (s *orderSearch) opened(scope tier.Scope) *Connection {
	if i := slices.IndexFunc(s.shut, func(c Connection) bool { return c.Allowed(scope) }); i >= 0 {
		return &s.shut[i]
	}
	return nil
}

func (s *orderSearch) refused(scope tier.Scope) *Connection {
	if i := slices.IndexFunc(s.open, func(c Connection) bool { return !c.Allowed(scope) }); i >= 0 {
		return &s.open[i]
	}
	return nil
}

// opensOf is the first connection that an order opens for a moment, nil if it
// opens none.
func (s *orderSearch) opensOf(order []policy.Key) *Gap {
	for n := 1; n < len(order); n++ {
		if c := s.opened(tier.Some(order[:n]...)); c != nil {
			return &Gap{After: order[:n], What: c.What}
		}
	}
	return nil
}

// gapOf is the first gap of an order, nil if it has none.
func (s *orderSearch) gapOf(order []policy.Key) *Gap {
	for n := 1; n < len(order); n++ {
		if c := s.refused(tier.Some(order[:n]...)); c != nil {
			return &Gap{After: order[:n], What: c.What}
		}
	}
	return nil
}
