//go:build linux

package enforce

import (
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/netpol-project/netpol/pkg/policy"
)

// source is the near end of a connection that netpol makes to test: nothing
// that a workload can forge, since the prober has bound it already.
type source struct {
	protocol policy.Protocol
	addr     netip.Addr
	port     uint16
}

// maxProbeLife bounds how long a registration may mark connections. As many as
// maxProbesOf of one source address and maxProbes in all are remembered: whose
// traffic is marked stays out of reports, which must be little of it.
const (
	maxProbeLife = 30 * time.Second
	maxProbesOf  = 512
	maxProbes    = 8192
	// sweepEvery is how often, at most, those whose time is over are looked for.
	sweepEvery = 100 * time.Millisecond
)

// errManyProbes and errManyProbesOf: there is no room for another.
var (
	errManyProbes   = fmt.Errorf("%d probes are registered at the node, there is no room for another", maxProbes)
	errManyProbesOf = fmt.Errorf("%d probes from the address are registered, there is no room for another", maxProbesOf)
)

// probes remembers which connections are netpol's own, so that they stay out
// of reports and recommendations.
type probes struct {
	now func() time.Time

	any   atomic.Bool // some are registered; most of the time none is
	mu    sync.Mutex
	until map[source]time.Time
	of    map[netip.Addr]int // how many of until are of an address
	swept time.Time
}

func newProbes(now func() time.Time) *probes {
	return &probes{now: now, until: map[source]time.Time{}, of: map[netip.Addr]int{}}
}

// register marks connections from s for a while. Where there is no room it is an
// error, so that nobody takes what is counted for a probe's.
func (p *probes) register(s source, life time.Duration) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	p.sweep(now)
	if _, again := p.until[s]; !again {
		switch {
		case p.of[s.addr] >= maxProbesOf:
			return errManyProbesOf
		case len(p.until) >= maxProbes:
			return errManyProbes
		}
		p.of[s.addr]++
	}
	p.until[s] = now.Add(min(life, maxProbeLife))
	p.any.Store(true)
	return nil
}

// sweep drops what is over; it needs the lock, which those who count connections
// wait for, so that it is not done for each registration.
func (p *probes) sweep(now time.Time) {
	if since := now.Sub(p.swept); since >= 0 && since < sweepEvery {
		return
	}
	p.swept = now
	for s, t := range p.until {
		if now.After(t) {
			delete(p.until, s)
			if p.of[s.addr]--; p.of[s.addr] == 0 {
				delete(p.of, s.addr)
			}
		}
	}
}

// has says whether a connection from s, first seen at t, is a probe.
func (p *probes) has(s source, t time.Time) bool {
	if !p.any.Load() {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	until, ok := p.until[s]
	return ok && !t.After(until)
}

// refusal is a denied connection attempt, kept for a while so that a prober
// can tell "blocked by policy" from "no answer".
type refusal struct {
	at        time.Time
	port      uint16
	direction policy.Direction
	hit       policy.Hit
}

// maxRefusals and refusalLife bound what refusals remembers.
const (
	maxRefusals = 16384
	refusalLife = time.Minute
)

// refusals are the latest denied attempts by their source. Memory is bounded:
// when it is full the old half is dropped.
type refusals struct {
	now func() time.Time

	mu     sync.Mutex
	recent map[source]refusal
	older  map[source]refusal
}

func newRefusals(now func() time.Time) *refusals {
	return &refusals{now: now, recent: map[source]refusal{}}
}

func (r *refusals) add(s source, what refusal) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.recent) >= maxRefusals/2 {
		r.older, r.recent = r.recent, map[source]refusal{}
	}
	r.recent[s] = what
}

// forget forgets what was refused of a source, before it is used once more.
func (r *refusals) forget(s source) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.recent, s)
	delete(r.older, s)
}

// find returns the refusal of a connection from s. port is the destination
// port as the client knows it; translation may have changed it, so it is not
// compared when the source port alone is telling (it was bound for the test).
func (r *refusals) find(s source) (refusal, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	what, ok := r.recent[s]
	if !ok {
		what, ok = r.older[s]
	}
	if ok && r.now().Sub(what.at) > refusalLife {
		return refusal{}, false
	}
	return what, ok
}
