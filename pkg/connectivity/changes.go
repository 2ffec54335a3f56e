package connectivity

import (
	"cmp"
	"slices"

	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

// View is what is judged: resources, and which of the policies count.
type View struct {
	Model *tier.Model
	Scope tier.Scope
}

// Change is connections of one pair that are allowed in one view and not in the
// other.
type Change struct {
	Source, Destination policy.Workload
	Added               bool // else removed
	What                Space
	// Declared are the ports of What that the destination declares.
	Declared []policy.ContainerPort
	// Before and After are what decides.
	Before, After Answer
	// Changed of Pairs pairs of pods change.
	Changed, Pairs int
}

// Answer is what one view says, in short. It is comparable.
type Answer struct {
	// Absent: the source or the destination is not there.
	Absent bool
	// Allowed is about the pods that change.
	Allowed bool
	// By decides; Rule is policy.NoPolicy where no policy applies.
	By policy.Hit
	// Direction is the end that By belongs to.
	Direction policy.Direction
}

// Telling says whether a change is on ports that the destination declares, or
// to where none can be declared: such changes come first.
func (c *Change) Telling() bool { return len(c.Declared) > 0 || Outside(c.Destination) }

// Changes are the connections, of all protocols and ports, that two views do
// not judge alike, sorted: first what is on declared ports, then by source and
// destination. Pods are the same in both views if they have the same name; what
// only one view has is compared with the rest of its workload, and counts as
// not reachable and not reaching in the view that lacks the workload. Spaces of
// the options is not looked at.
func Changes(before, after View, o Options) []Change {
	atoms := NewAtoms(before.Model.Snapshot(), after.Model.Snapshot())
	sb, sa := newSorts(before.Model, atoms), newSorts(after.Model, atoms)
	groups := joinGroups(before.Model, after.Model, sb, sa)
	if o.Outside {
		for _, x := range outsiders(atoms, before.Model, after.Model) {
			g := joint{node: x.node, before: true, after: true}
			for _, a := range x.atoms {
				b, a := sb.address(a), sa.address(a)
				g.parties = append(g.parties, jointParty{before: &b, after: &a, pods: 1})
			}
			groups = append(groups, g)
		}
	}
	rows := make([][]Change, len(groups))
	parallel(len(groups), func() func(int) {
		d := differ{before: newJudge(sb, before.Scope), after: newJudge(sa, after.Scope)}
		return func(i int) {
			for k := range groups {
				src, dst := &groups[i], &groups[k]
				if !(Outside(src.node) && Outside(dst.node)) && (o.Pick == nil || o.Pick(src.node, dst.node)) {
					rows[i] = append(rows[i], d.pair(src, dst)...)
				}
			}
		}
	})
	out := slices.Concat(rows...)
	slices.SortStableFunc(out, func(a, b Change) int {
		return cmp.Or(last(!a.Telling())-last(!b.Telling()), compareNodes(a.Source, b.Source), compareNodes(a.Destination, b.Destination), last(a.Added)-last(b.Added))
	})
	return out
}

func last(later bool) int {
	if later {
		return 1
	}
	return 0
}

// joint is a group as it is in both views.
type joint struct {
	node          policy.Workload
	parties       []jointParty
	ports         []policy.ContainerPort
	before, after bool // it is there
}

// jointParty is pods that neither view can tell apart; one side is nil where
// they are not there.
type jointParty struct {
	before, after *party
	pods          int
}

type partyKey struct{ before, after int32 }

// joinGroups are the workloads of both views.
func joinGroups(before, after *tier.Model, sb, sa *sorts) []joint {
	there := map[[2]string]*policy.Endpoint{}
	id := func(ep *policy.Endpoint) [2]string {
		return [2]string{ep.Workload.String() + string(ep.Workload.Kind), ep.ID()}
	}
	for _, ep := range after.Snapshot().Endpoints {
		there[id(ep)] = ep
	}
	j := joiner{index: map[policy.Workload]int{}, known: map[policy.Workload]map[partyKey]int{}}
	for _, ep := range before.Snapshot().Endpoints {
		j.add(ep, there[id(ep)], sb, sa)
		delete(there, id(ep))
	}
	for _, ep := range after.Snapshot().Endpoints {
		if there[id(ep)] != nil {
			j.add(nil, ep, sb, sa)
		}
	}
	slices.SortFunc(j.out, func(a, b joint) int { return compareNodes(a.node, b.node) })
	return j.out
}

type joiner struct {
	out   []joint
	index map[policy.Workload]int
	known map[policy.Workload]map[partyKey]int
}

// add adds a pod as it is in both views; nil where it is not.
func (j *joiner) add(before, after *policy.Endpoint, sb, sa *sorts) {
	w := cmp.Or(before, after).Workload
	i, ok := j.index[w]
	if !ok {
		i = len(j.out)
		j.index[w] = i
		j.known[w] = map[partyKey]int{}
		j.out = append(j.out, joint{node: w})
	}
	g := &j.out[i]
	g.before, g.after = g.before || before != nil, g.after || after != nil
	key := partyKey{-1, -1}
	var ports group
	ports.ports = g.ports
	for _, v := range []struct {
		ep  *policy.Endpoint
		s   *sorts
		key *int32
	}{{after, sa, &key.after}, {before, sb, &key.before}} {
		if v.ep != nil {
			*v.key = v.s.pod(v.ep)
			ports.declare(v.ep.Ports)
		}
	}
	g.ports = ports.ports
	n, ok := j.known[w][key]
	if !ok {
		n = len(g.parties)
		j.known[w][key] = n
		g.parties = append(g.parties, jointParty{before: newParty(before, sb), after: newParty(after, sa)})
	}
	g.parties[n].pods++
}

func newParty(ep *policy.Endpoint, s *sorts) *party {
	if ep == nil {
		return nil
	}
	return &party{ep: ep, addrs: addrsOf(ep), sort: s.pod(ep), plain: s.plain(ep), pods: 1}
}
