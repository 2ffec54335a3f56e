//go:build linux

package enforce

import (
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/netpol-project/netpol/pkg/enforce/ruleset"
	"github.com/netpol-project/netpol/pkg/policy"
)

// announceLife is how long the API server may take to tell this agent of a pod
// that a CNI plugin told of. From then on the pod keeps the addresses that were
// told until the API server has them, however long it is out of reach, and
// whichever agent was told: the pod runs (S31).
const announceLife = 2 * time.Minute

// maxAnnounced bounds the pods that were told of; a node runs some hundred.
const maxAnnounced = 4096

// announced is what a CNI plugin told of a pod that is being made.
type announced struct {
	namespace, name string
	addrs           []netip.Addr
	until           time.Time
	// recalled: it was told the agent before.
	recalled bool
	// base is the endpoint as the API server has it, made the one with the
	// addresses.
	base, made *policy.Endpoint
}

// announcements are the addresses that this node knows before the API server
// does, by the CNI's container.
type announcements struct {
	// news wakes the programming loop.
	news chan struct{}

	mu sync.Mutex
	by map[string]*announced
	// from became made, as long as nothing was told since.
	from, made *policy.Snapshot

	// path is the file that it is kept in for the next agent; empty: none.
	path string
	log  *slog.Logger
}

func newAnnouncements() *announcements {
	return &announcements{news: make(chan struct{}, 1), by: map[string]*announced{}}
}

// put notes what was told of a container; false: there is no room. Of a pod's containers the last one
// counts: a sandbox is made anew when the one before is gone, whether or not
// that was told. The same goes for who has an address.
func (a *announcements) put(container string, what *announced, now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	for other, old := range a.by {
		if other != container && (old.namespace == what.namespace && old.name == what.name || slices.ContainsFunc(old.addrs, what.has)) {
			delete(a.by, other)
			a.changed()
		}
	}
	if old := a.by[container]; old != nil && slices.Equal(old.addrs, what.addrs) && old.name == what.name && old.namespace == what.namespace {
		old.until, old.recalled = what.until, false
		return true
	}
	if len(a.by) >= maxAnnounced {
		maps.DeleteFunc(a.by, func(_ string, w *announced) bool { return w.made == nil && now.After(w.until) })
	}
	if len(a.by) >= maxAnnounced {
		return false
	}
	a.by[container] = what
	a.changed()
	a.keep()
	return true
}

// forget takes it back.
func (a *announcements) forget(container string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.by[container] != nil {
		delete(a.by, container)
		a.changed()
		a.keep()
	}
}

func (a *announcements) changed() {
	a.from, a.made = nil, nil
	select {
	case a.news <- struct{}{}:
	default:
	}
}

func (w *announced) has(addr netip.Addr) bool { return slices.Contains(w.addrs, addr) }

// apply gives the pods of a node the addresses that were told of them, if the
// API server knows the pods and does not know these addresses. It may know
// others: a kubelet whose pod's sandbox is made anew goes on reporting those of
// the old one until the new one is ready, which is after the CNI was asked.
func (a *announcements) apply(snap *policy.Snapshot, node string, now time.Time) *policy.Snapshot {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.from == snap && a.from != nil {
		return a.made
	}
	out, before := snap, len(a.by)
	for container, what := range a.by {
		ep := snap.Endpoint(what.namespace, what.name)
		switch {
		case ep == nil || ep.Node != node:
			if now.After(what.until) {
				delete(a.by, container)
			}
		case what.known(ep):
			delete(a.by, container) // from now on the API server says
		default:
			if what.base != ep {
				made := *ep
				made.Addrs = what.addrs
				what.base, what.made = ep, &made
			}
			out = out.WithEndpoint(what.made)
		}
	}
	if len(a.by) < before {
		a.keep()
	}
	a.from, a.made = snap, out
	return out
}

// known says whether the API server has all addresses of a pod.
func (w *announced) known(ep *policy.Endpoint) bool {
	return !slices.ContainsFunc(w.addrs, func(addr netip.Addr) bool { return !slices.Contains(ep.Addrs, addr) })
}

// placed says whether the policies of a pod with these addresses are in the
// kernel, and if not, why.
func (a *Agent) placed(what *announced) (bool, string) {
	r, ok := a.history.latest()
	if !ok {
		return false, "the agent has not read the cluster's policies yet"
	}
	ep := r.model.Snapshot().Endpoint(what.namespace, what.name)
	if ep == nil {
		return false, "the API server has not told the agent of the pod yet"
	}
	local := a.local.Load()
	i := slices.IndexFunc(*local, func(l ruleset.Local) bool { return l.Endpoint == ep })
	if i < 0 {
		return false, "no route leads to the pod through an interface " + a.finder().what()
	}
	for _, addr := range what.addrs {
		if r.model.Owner(addr) != ep {
			return false, "address " + addr.String() + " is not the pod's"
		}
	}
	return true, ""
}
