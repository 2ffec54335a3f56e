//go:build linux

package enforce

import (
	"net/netip"
	"slices"
	"time"

	"github.com/netpol-project/netpol/pkg/flow"
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

// memoKey is all of a tuple that its reports depend on.
type memoKey struct {
	protocol policy.Protocol
	src, dst netip.Addr
	dstPort  uint16
	dialled  netip.AddrPort
}

// alike is what is reported of connections, all of them allowed.
type alike struct {
	records  []attributed
	keys     []*flow.Key // of the records, shared; not to be changed
	from, to string
}

// maxMemo bounds what is remembered; past it remembering starts over.
const maxMemo = 4096

// recall finds the reports of a connection first heard of at t, or nil if they
// must be found out. settled tells whether they may be remembered.
func (a *Agent) recall(t *tuple, at time.Time) (known *alike, settled bool) {
	model, settled := a.history.settled(at)
	if !settled || a.probes.has(t.source(), at) {
		return nil, false
	}
	m := &a.memo
	if services, places := a.services.Load(), a.places.Load(); m.model != model || m.services != services || m.places != places {
		*m = memo{model: model, services: services, places: places, by: map[memoKey]*alike{}}
	}
	return m.by[t.memoKey()], true
}

// remember keeps the reports of a connection for others like it, if all ends
// allow them without doubt.
func (a *Agent) remember(t *tuple, known *alike) {
	plain := func(r attributed) bool { return r.agreed && r.key.Enforced.Action == policy.Allow && !r.key.Probe }
	if slices.IndexFunc(known.records, func(r attributed) bool { return !plain(r) }) >= 0 {
		return
	}
	if len(a.memo.by) >= maxMemo {
		clear(a.memo.by)
	}
	a.memo.by[t.memoKey()] = known
}

func (t *tuple) memoKey() memoKey { return memoKey{t.protocol, t.src, t.dst, t.dstPort, t.dialled} }

// settled is the model that all verdicts at t are by, if there is but one: it
// is in force since before, and no other is on its way.
func (h *history) settled(t time.Time) (*tier.Model, bool) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	n := len(h.list)
	if n == 0 || h.next != nil || h.list[n-1].since.After(t) {
		return nil, false
	}
	return h.list[n-1].model, true
}
