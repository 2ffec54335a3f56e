package tier

import (
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/netpol-project/netpol/pkg/policy"
)

// Model is a snapshot prepared for judging: labels have become identities,
// selectors have become bits, so that judging a connection is walking a short
// list of bit tests. It does not change once it is made, and is safe for use
// by several goroutines.
type Model struct {
	snap       *policy.Snapshot
	epoch      uint64
	ids        identities
	namespaces namespaceLabels
	owners     overlay[netip.Addr, *policy.Endpoint]
	shared     bool // some address has more than one claimant (S35)

	entityNumbers overlay[string, int32]
	ownNumbers    bool // entityNumbers is ours to write
	entities      []entity
	columns       []column // by entity: which identities it matches

	policies []*compiled // as snap.Policies
	tiers    []*policy.Tier

	// enforced is the view that nearly every question asks for.
	enforced atomic.Pointer[view]
	mu       sync.Mutex
	views    map[Scope]*view
	// The model that this one was made from, for views not yet asked for; its
	// own predecessor is cut off so that old models can be collected.
	prev                          *Model
	addedPolicies                 []*compiled
	removedPolicies               []*compiled
	sameTiers, sameNamespaceNames bool
}

// New prepares a snapshot. prev, if not nil, is the model of an earlier
// snapshot of the same source: whatever did not change is taken over from it,
// so that a small change costs little.
func New(s *policy.Snapshot, prev *Model) *Model {
	if prev != nil && prev.littered(s) {
		return fresh(s, prev.epoch+1)
	}
	if prev == nil {
		return fresh(s, 0)
	}
	m := &Model{snap: s, epoch: prev.epoch, views: map[Scope]*view{}, prev: prev}
	m.namespaces = prev.namespaces
	if gone, come := changed(prev.snap.Namespaces, s.Namespaces); len(gone)+len(come) > 0 {
		m.namespaces = namespaceLabelsOf(s)
	}
	m.sameNamespaceNames = m.namespaces.equal(prev.namespaces)
	removed, added := changed(prev.snap.Endpoints, s.Endpoints)
	var newIDs []int32
	m.ids, newIDs = prev.ids.extend(added)
	m.setOwners(prev, removed, added)

	// Clipped, so that an append does not write into prev's arrays.
	m.entityNumbers, m.entities = prev.entityNumbers, slices.Clip(prev.entities)
	m.columns = slices.Clip(prev.columns)
	m.extendColumns(newIDs)
	if !m.sameNamespaceNames {
		m.recountColumns()
	}
	m.setPolicies(prev)
	m.tiers = orderTiers(s)
	m.sameTiers = slices.EqualFunc(m.tiers, prev.tiers, func(a, b *policy.Tier) bool {
		return a.Name == b.Name && a.Order == b.Order && a.DefaultAction == b.DefaultAction
	})
	prev.mu.Lock()
	prev.prev = nil
	prev.mu.Unlock()
	return m
}

// fresh builds a model from nothing.
func fresh(s *policy.Snapshot, epoch uint64) *Model {
	m := &Model{snap: s, epoch: epoch, views: map[Scope]*view{}, namespaces: namespaceLabelsOf(s), tiers: orderTiers(s)}
	m.ids = identities{
		byEndpoint: overlay[*policy.Endpoint, int32]{base: make(map[*policy.Endpoint]int32, len(s.Endpoints))},
		byKey:      overlay[string, int32]{base: map[string]int32{}},
	}
	m.ids, _ = m.ids.extend(s.Endpoints)
	m.rebuildOwners()
	m.entityNumbers, m.ownNumbers = overlay[string, int32]{base: map[string]int32{}}, true
	m.policies = make([]*compiled, len(s.Policies))
	for i, p := range s.Policies {
		m.policies[i] = compile(p, m.intern)
	}
	return m
}

// littered says that more than half of what the model remembers is of
// endpoints and policies long gone, so that starting afresh is cheaper.
func (m *Model) littered(s *policy.Snapshot) bool {
	return len(m.ids.reps) > 2*len(s.Endpoints)+maxDelta ||
		m.ids.byEndpoint.len() > 2*len(s.Endpoints)+2*maxDelta ||
		m.owners.len() > 4*len(s.Endpoints)+2*maxDelta ||
		len(m.entities) > 8*len(s.Policies)+8*maxDelta
}

// Epoch changes when identities were numbered anew: a cache by Identity or
// Profile that was made under another epoch must be dropped.
func (m *Model) Epoch() uint64 { return m.epoch }

// Snapshot is what the model was made from.
func (m *Model) Snapshot() *policy.Snapshot { return m.snap }

// Identity numbers endpoints: those with one number are alike to every
// selector there is (same labels, same namespace), as subject and as peer.
// Numbers stay the same from one model to the next made from it, within an
// Epoch. -1: the endpoint is not of this model's snapshot.
func (m *Model) Identity(ep *policy.Endpoint) int { return int(m.ids.of(ep)) }

// setPolicies compiles what is new and takes over the rest.
func (m *Model) setPolicies(prev *Model) {
	gone, come := changed(prev.snap.Policies, m.snap.Policies)
	if len(gone)+len(come) == 0 {
		m.policies = prev.policies
		return
	}
	dead := make(map[*policy.Policy]bool, len(gone))
	for _, p := range gone {
		dead[p] = true
	}
	kept := make(map[*policy.Policy]*compiled, len(come))
	for _, p := range come {
		kept[p] = compile(p, m.intern)
		m.addedPolicies = append(m.addedPolicies, kept[p])
	}
	live := make([]*compiled, 0, len(prev.policies))
	for _, c := range prev.policies {
		if dead[c.Policy] {
			m.removedPolicies = append(m.removedPolicies, c)
		} else {
			live = append(live, c)
		}
	}
	m.policies = make([]*compiled, len(m.snap.Policies))
	for i, p := range m.snap.Policies {
		if c, ok := kept[p]; ok {
			m.policies[i] = c
			continue
		}
		if len(live) > 0 && live[0].Policy == p {
			m.policies[i], live = live[0], live[1:]
			continue
		}
		// The order of the kept ones differs: only if the snapshot is not
		// sorted as the last one was.
		m.policies[i] = compile(p, m.intern)
	}
}

// intern numbers an entity, and finds out whom it matches if it is new. It is
// called while the model is being built only.
func (m *Model) intern(e entity) int32 {
	key := e.key()
	if n, ok := m.entityNumbers.get(key); ok {
		return n
	}
	n := int32(len(m.entities))
	if !m.ownNumbers {
		m.entityNumbers, m.ownNumbers = m.entityNumbers.with(8), true
	}
	m.entityNumbers.set(key, n)
	m.entities = append(m.entities, e)
	m.columns = append(m.columns, m.count(&e))
	return n
}

func (m *Model) matches(e *entity, id int32) bool {
	rep := m.ids.reps[id]
	return e.matches(rep.Namespace, m.namespaces[rep.Namespace], rep.Labels)
}

func (m *Model) count(e *entity) column {
	col := make(column, (len(m.ids.reps)+63)/64)
	for id := range m.ids.reps {
		if m.matches(e, int32(id)) {
			col[id>>6] |= 1 << (uint(id) & 63)
		}
	}
	return col
}

// extendColumns adds new identities to the entities that match them.
func (m *Model) extendColumns(newIDs []int32) {
	if len(newIDs) == 0 {
		return
	}
	m.columns = slices.Clone(m.columns)
	for i := range m.entities {
		for _, id := range newIDs {
			if m.matches(&m.entities[i], id) {
				m.columns[i] = m.columns[i].plus(id)
			}
		}
	}
}

// recountColumns starts over after labels of a namespace changed.
func (m *Model) recountColumns() {
	m.columns = make([]column, len(m.entities))
	for i := range m.entities {
		m.columns[i] = m.count(&m.entities[i])
	}
}
