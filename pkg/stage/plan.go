package stage

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

// Plan is how several staged policies are to be promoted.
type Plan struct {
	// Steps are to be made one after the other.
	Steps []PlanStep
	// Opens is a connection that is open for a moment and closed before and
	// after, where no way without was found.
	Opens *Gap
	// Gap is not nil where no way without a gap was found: then there is no
	// bridge, and the order is the one that is usually best.
	Gap *Gap
}

// PlanStep is one change: one of its fields is set.
type PlanStep struct {
	// Promote is a staged policy to enforce.
	Promote policy.Key
	// Bridge is a temporary policy to write, Unbridge one to delete.
	Bridge   *unstructured.Unstructured
	Unbridge policy.Key
}

// Order are the policies in the order in which they are promoted.
func (p Plan) Order() []policy.Key {
	var out []policy.Key
	for _, s := range p.Steps {
		if s.Promote != (policy.Key{}) {
			out = append(out, s.Promote)
		}
	}
	return out
}

// Bridges are the temporary policies.
func (p Plan) Bridges() []policy.Key {
	var out []policy.Key
	for _, s := range p.Steps {
		if s.Unbridge != (policy.Key{}) {
			out = append(out, s.Unbridge)
		}
	}
	return out
}

func promoteAll(order []policy.Key) []PlanStep {
	out := make([]PlanStep, len(order))
	for i, k := range order {
		out[i].Promote = k
	}
	return out
}

// maxPruned bounds how many states are looked at to leave out what is not needed
// of a bridge.
const maxPruned = 600

// NewPlan finds how to promote staged policies so that at every moment a
// connection has the verdict that it has before or the one that it has after: by
// their order if there is one (see Order), else with a bridge, as small a one as
// is soon found. Where there is neither, a way that opens something for a moment goes
// before one that refuses something, an order before a bridge. conns makes the connections that it is judged by, for a model.
func NewPlan(m *tier.Model, staged []policy.Key, conns func(*tier.Model) []Connection) Plan {
	order, opens, gap := orderOf(m, staged, conns(m))
	if gap == nil && opens == nil {
		return Plan{Steps: promoteAll(order)}
	}
	all := bridges(m.Snapshot(), staged)
	with := tier.New(m.Snapshot().WithPolicies(append(slices.Clone(m.Snapshot().Policies), all...)), nil)
	search := newOrderSearch(with, order, conns(with))
	search.strict, search.left = true, maxStates
	best := search.crossing(all)
	if best == nil && gap != nil {
		search.strict, search.left = false, maxStates
		best = search.crossing(all)
	}
	if best == nil {
		return Plan{Steps: promoteAll(order), Opens: opens, Gap: gap}
	}
	share := maxPruned / max(len(all), 1)
	for i := len(all) - 1; i >= 0; i-- {
		search.left = share
		fewer := slices.Delete(slices.Clone(all), i, i+1)
		if c := search.crossing(fewer); c != nil {
			all, best = fewer, c
		}
	}
	return Plan{Steps: best.steps, Opens: best.opens}
}

// crossing looks for a way over a bridge, of which each policy may come once and
// has to go; nil if there is none, or none was found in time.
func (s *orderSearch) crossing(bridge []*policy.Policy) *crossing {
	c := &crossing{orderSearch: s, bridge: bridge, seen: map[string]bool{}}
	if !c.walk() {
		return nil
	}
	return c
}

// crossing is a search, and where it is now.
type crossing struct {
	*orderSearch
	bridge []*policy.Policy
	// done are the policies that are promoted, there the bridges that stand,
	// gone those that went.
	done, there, gone []policy.Key
	seen              map[string]bool
	steps             []PlanStep
	opens             *Gap // the first that the way opens for a moment
}

// walk goes on from a state that is good. Promotions are tried before bridges:
// what is in nobody's way stays the last to be built, and to be taken down.
func (c *crossing) walk() bool {
	if len(c.done) == len(c.todo) && len(c.there) == 0 {
		return true
	}
	for _, k := range c.todo {
		if !slices.Contains(c.done, k) && c.try(&c.done, k, PlanStep{Promote: k}) {
			return true
		}
	}
	for _, b := range c.bridge {
		if !slices.Contains(c.there, b.Key) && !slices.Contains(c.gone, b.Key) && c.try(&c.there, b.Key, PlanStep{Bridge: bridgeObject(b)}) {
			return true
		}
	}
	for i, k := range c.there {
		was := c.there
		c.there = slices.Delete(slices.Clone(was), i, i+1)
		twin, _ := Twin(k)
		if c.try(&c.gone, k, PlanStep{Unbridge: twin}) {
			return true
		}
		c.there = was
	}
	return false
}

// try makes a step, and goes on from there if the state is good.
func (c *crossing) try(list *[]policy.Key, k policy.Key, step PlanStep) bool {
	was, steps := *list, c.steps
	*list, c.steps = append(slices.Clip(was), k), append(slices.Clip(steps), step)
	scope := tier.Some(slices.Concat(c.done, c.there)...)
	at := c.place()
	if !c.seen[at] {
		c.seen[at] = true
		done := c.done
		if c.good(scope) && c.walk() {
			if open := c.opened(scope); open != nil {
				c.opens = &Gap{After: done, What: open.What}
			}
			return true
		}
	}
	*list, c.steps = was, steps
	return false
}

// place names a state.
func (c *crossing) place() string {
	var parts []string
	for i, list := range [][]policy.Key{c.done, c.there, c.gone} {
		for _, k := range list {
			parts = append(parts, string(rune('0'+i))+k.String())
		}
	}
	slices.Sort(parts)
	return strings.Join(parts, "\n")
}

// bridgeObject is a bridge as it is written.
func bridgeObject(b *policy.Policy) *unstructured.Unstructured {
	p := *b
	p.Key, _ = Twin(b.Key)
	p.StagedAction = ""
	u := policy.ToObject(&p)
	u.SetLabels(map[string]string{LabelBridge: "true"})
	return u
}
