package ruleset

import (
	"sync"

	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

// Compiled is a ruleset, and what is needed to make the next one quickly.
type Compiled struct {
	Ruleset *Ruleset
	history *history

	mu    sync.Mutex
	state *state // moves on to the next Compiled; nil once it has
}

// state is what one compilation leaves to the next. It is changed in place.
type state struct {
	shared
	scope    tier.Scope
	index    *index
	profiles [2][]*profile // by direction
	parts    parts
	// refusals are the chains that decisions need and refused the same by
	// name, for these nflog groups.
	refusals map[decision][]*Chain
	refused  map[string]*Chain
	groups   [2]uint16
	grounds  grounds
	// room is how many steps of answers are kept.
	room int
}

// Hit is what a numeric id in an nflog prefix stands for: the hit that denied
// or logged, and in which direction. Ids of earlier rulesets of the same chain
// of compilations are known too. False for Reserved ids and unknown ones. It
// may be called at any time, by several goroutines.
func (c *Compiled) Hit(id uint32) (policy.Hit, policy.Direction, bool) {
	p, ok := c.history.hit(id)
	return p.hit, p.dir, ok
}

// Compile makes a node's ruleset. prev, if not nil, is the last one made: what
// did not change is taken over from it, by pointer, and its private caches
// move on to the result (a prev that was used before is compiled after from
// scratch, with the same ids). An error means that the input can't be right;
// prev stays usable then.
func Compile(in Input, prev *Compiled) (*Compiled, error) {
	locals, err := check(&in)
	if err != nil {
		return nil, err
	}
	st, c := begin(&in, prev)
	defer func() { c.state = st }()
	if len(c.changes.moves) > 0 {
		st.grounds.peersMoved()
	}
	for dir := range st.profiles {
		d := policy.Direction(dir)
		list, open := profiles(&in, d, locals)
		inherit(list, st.profiles[dir])
		for _, p := range list {
			st.refresh(&in, p, &c.changes)
		}
		st.profiles[dir] = list
		c.open[dir] = open
	}
	st.grounds.sweep()
	c.Ruleset = st.assemble(&in, locals, c.open)
	if st.room == 0 {
		st.room = max(leastRoom, 4*st.answers.steps)
	}
	return c.Compiled, nil
}

// compilation is what is known while one Compile runs.
type compilation struct {
	*Compiled
	changes changes
	open    [2][]*local
}

// leastRoom is how many steps of answers are kept before those that nobody
// needs any more are thrown away with all others: about 10 MB.
const leastRoom = 250_000

// begin takes over prev's state or starts anew.
func begin(in *Input, prev *Compiled) (*state, *compilation) {
	c := &compilation{Compiled: &Compiled{}}
	var st *state
	if prev != nil {
		prev.mu.Lock()
		st, prev.state = prev.state, nil
		prev.mu.Unlock()
	}
	switch {
	case st != nil && st.scope == in.Scope && st.index.model.Epoch() == in.Model.Epoch() && st.answers.steps <= st.room:
		c.changes = st.index.follow(in.Model)
	case st != nil: // other identities, other questions, or answers that nobody needs any more: only the numbering goes on
		st = newState(in, st.decisions)
	case prev != nil:
		d := newDecisions()
		d.history = prev.history
		st = newState(in, d)
	default:
		st = newState(in, newDecisions())
	}
	c.history = st.decisions.history
	if groups := [2]uint16{in.DenyGroup, in.LogGroup}; st.groups != groups {
		st.groups, st.refusals, st.refused = groups, map[decision][]*Chain{}, map[string]*Chain{}
	}
	return st, c
}

func newState(in *Input, d *decisions) *state {
	return &state{
		shared:   shared{decisions: d, answers: newAnswers()},
		scope:    in.Scope,
		index:    newIndex(in.Model),
		grounds:  grounds{known: map[string]*ground{}, used: map[string]bool{}},
		refusals: map[decision][]*Chain{},
		refused:  map[string]*Chain{},
		groups:   [2]uint16{in.DenyGroup, in.LogGroup},
	}
}

// refresh brings a profile's tables to the present model.
func (st *state) refresh(in *Input, p *profile, c *changes) {
	old := p.model
	p.model = in.Model
	again, all := c.relabelled, false
	if old != nil && !p.unchanged {
		var touched func(int) bool
		if touched, all = in.Model.Touched(old, in.Scope, p.dir, p.sample.ep); !all {
			again = st.index.matching(touched)
		}
	}
	if !p.unchanged {
		p.comment = p.describe(in)
	}
	var m many
	if !in.Model.ByAddress(in.Scope, p.dir, p.sample.ep) {
		m.byIdentity = map[sourced]answerID{}
	}
	p.divide(in)
	g := st.grounds.of(in.Model.Ground(in.Scope, p.dir, p.sample.ep))
	for f := range families {
		l := p.having(f)
		if l == nil {
			p.tables[f], p.variants[f] = nil, nil
			continue
		}
		a := &asker{shared: &st.shared, index: st.index, ground: g, question: question{
			model: in.Model, scope: in.Scope, dir: p.dir,
			local: tier.Peer{Endpoint: l.ep, Addr: l.addrs[f]}, many: &m,
		}}
		t := p.tables[f]
		if t == nil {
			t = newTable(&families[f], a)
			p.tables[f] = t
		} else {
			t.follow(a, p, c, again, all)
		}
		p.vary(a, t, c, again, all)
		t.emit(a, p, p.sourceMap(t.fam))
	}
}
