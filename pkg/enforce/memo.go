//go:build linux

package enforce

import (
	"net/netip"
	"slices"
	"time"

	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

// memo remembers what was reported of connections that are alike but for the
// source port, while nothing changes that it depends on: in a burst, looking
// it up costs a tenth of finding it out. Only the collecting goroutine uses it.
type memo struct {
	model    *tier.Model
	services *serviceIndex
	places   *places
	by       map[memoKey]*alike
}

// memoKey is all of a tuple that its reports depend on. It has no gaps, so that
// it is hashed at once.
type memoKey struct {
	src, dst, dialled netip.Addr
	numbers           uint64 // protocol, port and port dialled
}

// alike is what is reported of connections.
type alike struct {
	shape   *tuple // without the source port
	records []attributed
	said    *said // its reports are the records'
	// each: the source port matters, too, so it is found out for each.
	each bool
}

// maxMemo bounds what is remembered; past it remembering starts over.
const maxMemo = 4096

// settled is the model that alone was in force at a time, or none. What is
// remembered is by it.
func (a *Agent) settled(at time.Time) *tier.Model {
	model := a.history.settled(at)
	if model == nil {
		return nil
	}
	m := &a.memo
	if services, places := a.services.Load(), a.places.Load(); m.model != model || m.services != services || m.places != places {
		*m = memo{model: model, services: services, places: places, by: map[memoKey]*alike{}}
	}
	return model
}

// recall finds the reports of a connection first heard of at a time, when a
// model was settled, if they are known; else it names the model by which they
// may be learnt, or none.
func (a *Agent) recall(t *tuple, at time.Time, model *tier.Model) (*alike, *tier.Model) {
	if model == nil || a.probes.has(t.source(), at) {
		return nil, nil
	}
	known := a.memo.by[t.memoKey()]
	if known != nil && known.each {
		return nil, nil
	}
	return known, model
}

// learn finds out what is to be reported of a connection and of all like it
// while one model is in force. It is nil if an end does not allow them by it:
// then what was in force before matters, too.
func (a *Agent) learn(t *tuple, m *tier.Model) *alike {
	records := a.present(m, t)
	denied := func(r attributed) bool { return r.key.Enforced.Action != policy.Allow || r.key.Probe }
	if slices.ContainsFunc(records, denied) {
		return nil
	}
	if len(a.memo.by) >= maxMemo {
		clear(a.memo.by)
	}
	known := a.alike(t, m, records)
	a.memo.by[t.memoKey()] = known
	if known.each = a.looksAtSourcePorts(t, m); known.each {
		return nil
	}
	return known
}

// looksAtSourcePorts tells whether a rule at an end of a connection does.
func (a *Agent) looksAtSourcePorts(t *tuple, m *tier.Model) (looks bool) {
	if t.icmp() {
		return false
	}
	a.eachEnd(m, t, func(dir policy.Direction, _ bool) {
		local := m.Owner(t.src)
		if dir == policy.Ingress {
			local = m.Owner(t.dst)
		}
		for _, scope := range []tier.Scope{tier.Enforced(), tier.Pending()} {
			looks = looks || m.SourcePorts(scope, dir, local) != nil
		}
	})
	return looks
}

// report finds out what is reported of one connection.
func (a *Agent) report(t *tuple, at time.Time) *alike {
	r, _ := a.history.latest()
	return a.alike(t, r.model, a.attribute(t, at))
}

func (a *Agent) alike(t *tuple, m *tier.Model, records []attributed) *alike {
	shape := *t
	shape.srcPort = 0
	return &alike{
		shape: &shape, records: records,
		said: &said{reports: a.live.shared(records), counts: a.counts.counters(records), from: refOf(m.Owner(t.src)), to: refOf(m.Owner(t.dst))},
	}
}

func (t *tuple) memoKey() memoKey {
	return memoKey{t.src, t.dst, t.dialled.Addr(), uint64(t.protocol)<<32 | uint64(t.dstPort)<<16 | uint64(t.dialled.Port())}
}

// settled is the model that all verdicts at t are by, if there is but one: it
// is in force since before, and no other is on its way.
func (h *history) settled(t time.Time) *tier.Model {
	h.mu.RLock()
	defer h.mu.RUnlock()
	n := len(h.list)
	if n == 0 || h.next != nil || h.list[n-1].since.After(t) {
		return nil
	}
	return h.list[n-1].model
}
