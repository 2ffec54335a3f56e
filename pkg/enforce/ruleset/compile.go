package ruleset

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

// Config is what a node's rules need to know beside policies and pods.
type Config struct {
	// InterfacePrefix begins the names of the host's side of all pod
	// interfaces, and of no others. 1 to 14 bytes.
	InterfacePrefix string
	Node            string
	// LocalCIDRs hold the addresses of this node's pods. What goes there and
	// to no known pod is refused (S31).
	LocalCIDRs []netip.Prefix
	// Nodes are other nodes' addresses: tunnels that a pod makes to them are
	// refused (S31). This node's own are known to the kernel.
	Nodes []netip.Addr
	// DenyGroup and LogGroup are the nflog groups of refusals and Log rules.
	DenyGroup, LogGroup uint16
	// LooseTCP lets TCP connections go on that are older than the rules (S11).
	// For a first install only.
	LooseTCP bool
}

func (c *Config) equal(o *Config) bool {
	return c.InterfacePrefix == o.InterfacePrefix && c.Node == o.Node && c.DenyGroup == o.DenyGroup &&
		c.LogGroup == o.LogGroup && c.LooseTCP == o.LooseTCP &&
		slices.Equal(c.LocalCIDRs, o.LocalCIDRs) && slices.Equal(c.Nodes, o.Nodes)
}

// clone keeps a Config from changes that the caller makes to its lists later.
func (c *Config) clone() *Config {
	n := *c
	n.LocalCIDRs, n.Nodes = slices.Clone(c.LocalCIDRs), slices.Clone(c.Nodes)
	return &n
}

// Local is a pod of this node and the host's side of its interface. A pod
// without address yet is left out of the rules, and so closed (S31).
type Local struct {
	Endpoint  *policy.Endpoint
	Interface string
}

// Input is all that a ruleset follows from.
type Input struct {
	Model *tier.Model
	Scope tier.Scope // normally tier.Enforced()
	Local []Local
	Config
}

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
	c.Ruleset = st.assemble(&in, locals, c.open)
	return c.Compiled, nil
}

// compilation is what is known while one Compile runs.
type compilation struct {
	*Compiled
	changes changes
	open    [2][]*local
}

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
	case st != nil && st.scope == in.Scope && st.index.model.Epoch() == in.Model.Epoch():
		c.changes = st.index.follow(in.Model)
	case st != nil: // other identities, or other questions: only the numbering goes on
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
	for f := range families {
		l := p.having(f)
		if l == nil {
			p.tables[f] = nil
			continue
		}
		a := &asker{shared: &st.shared, index: st.index, question: question{
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
		t.emit(a, p)
	}
}

// check refuses what can't be right and finds the pods' addresses.
func check(in *Input) ([]*local, error) {
	if in.Model == nil {
		return nil, errors.New("ruleset: no model")
	}
	if n := len(in.InterfacePrefix); n == 0 || n > 14 {
		return nil, fmt.Errorf("ruleset: interface prefix %q: want 1 to 14 bytes", in.InterfacePrefix)
	}
	var out []*local
	seen := map[string]string{}
	for _, l := range in.Local {
		if l.Endpoint == nil {
			return nil, fmt.Errorf("ruleset: interface %q has no pod", l.Interface)
		}
		if len(l.Interface) > 15 || !strings.HasPrefix(l.Interface, in.InterfacePrefix) {
			return nil, fmt.Errorf("ruleset: pod %s: interface %q: want up to 15 bytes beginning with %q",
				l.Endpoint.ID(), l.Interface, in.InterfacePrefix)
		}
		if other, ok := seen[l.Interface]; ok {
			return nil, fmt.Errorf("ruleset: interface %q belongs to both %s and %s", l.Interface, other, l.Endpoint.ID())
		}
		seen[l.Interface] = l.Endpoint.ID()
		out = append(out, &local{ep: l.Endpoint, iface: l.Interface, addrs: owned(in.Model, l.Endpoint)})
	}
	out = slices.DeleteFunc(out, func(l *local) bool { return !l.addrs[0].IsValid() && !l.addrs[1].IsValid() })
	slices.SortFunc(out, func(a, b *local) int {
		return cmp.Or(compareEndpoints(a.ep, b.ep), strings.Compare(a.iface, b.iface))
	})
	return out, nil
}

// owned is the endpoint's first address of each family that is its own (S35).
func owned(m *tier.Model, ep *policy.Endpoint) [2]netip.Addr {
	var out [2]netip.Addr
	for _, a := range ep.Addrs {
		a = a.Unmap()
		if o := m.Owner(a); o != nil && o.ID() == ep.ID() && !out[familyOf(a)].IsValid() {
			out[familyOf(a)] = a
		}
	}
	return out
}
