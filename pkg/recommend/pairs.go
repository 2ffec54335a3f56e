package recommend

import (
	"net/netip"
	"slices"

	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/flow/replay"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

// port is a port that something listens on or was connected to.
type port struct {
	protocol policy.Protocol
	number   uint16
}

// pairs looks for connections that are possible and were not seen: of every
// workload to every other one's ports, those that its containers declare and those
// that were connected to.
type pairs struct {
	req   *Request
	m     *tier.Model
	seen  map[Pair]bool
	ports map[policy.Workload]map[port]bool
	// reps are one pod for each workload, all are all workloads, sorted.
	reps     map[policy.Workload]*policy.Endpoint
	all      []policy.Workload
	isTarget map[policy.Workload]bool
	// alike are the workloads by tier.Model.Identity of their pods.
	alike map[int][]policy.Workload
	// byAddr are the pods by address, sorted; inSets those with an address that
	// some network set holds.
	byAddr []addrOf
	inSets map[policy.Workload]bool
}

type addrOf struct {
	addr     netip.Addr
	workload policy.Workload
}

func newPairs(req *Request, m *tier.Model, rp *replay.Replay, targets []*target, wanted []wantedFlow) *pairs {
	p := &pairs{
		req: req, m: m, seen: map[Pair]bool{}, ports: map[policy.Workload]map[port]bool{},
		reps: map[policy.Workload]*policy.Endpoint{}, isTarget: map[policy.Workload]bool{},
		alike: map[int][]policy.Workload{}, inSets: map[policy.Workload]bool{},
	}
	for _, t := range targets {
		for _, w := range t.workloads {
			p.isTarget[w] = true
		}
	}
	sets := flow.NewSetNames(m.Snapshot().NetworkSets, nil)
	for _, ep := range m.Snapshot().Endpoints {
		p.endpoint(ep, sets)
	}
	slices.SortFunc(p.all, compareWorkloads)
	slices.SortFunc(p.byAddr, func(a, b addrOf) int { return a.addr.Compare(b.addr) })
	for _, w := range wanted {
		src, dst := workloadOf(rp, w.Source), workloadOf(rp, w.Destination)
		number := replay.Port(w.Observed)
		p.seen[Pair{src, dst, w.Protocol, number}] = true
		if p.ports[dst] != nil {
			p.ports[dst][port{w.Protocol, number}] = true
		}
	}
	return p
}

func (p *pairs) endpoint(ep *policy.Endpoint, sets *flow.SetNames) {
	w := ep.Workload
	if p.reps[w] == nil {
		p.reps[w], p.ports[w] = ep, map[port]bool{}
		p.all = append(p.all, w)
	}
	for _, c := range ep.Ports {
		p.ports[w][port{c.Protocol, c.Port}] = true
	}
	if id := p.m.Identity(ep); !slices.Contains(p.alike[id], w) {
		p.alike[id] = append(p.alike[id], w)
	}
	for _, a := range ep.Addrs {
		p.byAddr = append(p.byAddr, addrOf{a, w})
		p.inSets[w] = p.inSets[w] || sets.Find(a) != nil
	}
}

// find asks both ends of every pair that is possible.
func (p *pairs) find() []Pair {
	var out []Pair
	try := func(src, dst policy.Workload) {
		if src == dst {
			return
		}
		for port := range p.ports[dst] {
			pair := Pair{src, dst, port.protocol, port.number}
			if !p.seen[pair] && p.possible(pair) {
				out = append(out, pair)
			}
		}
	}
	for _, w := range p.all {
		if !p.isTarget[w] {
			continue
		}
		for dst := range p.peers(policy.Egress, w) {
			try(w, dst)
		}
		for src := range p.peers(policy.Ingress, w) {
			if !p.isTarget[src] { // else it was tried from there
				try(src, w)
			}
		}
	}
	slices.SortFunc(out, comparePairs)
	return out
}

// judged says whether the policies of w decide in a direction. The policies of
// workloads that are no targets are not what is being recommended.
func (p *pairs) judged(w policy.Workload, d policy.Direction) bool {
	return p.isTarget[w] && p.req.wants(d)
}

// possible asks the ends that are judged.
func (p *pairs) possible(c Pair) bool {
	src, dst := tier.Peer{Endpoint: p.reps[c.Source]}, tier.Peer{Endpoint: p.reps[c.Destination]}
	if p.judged(c.Source, policy.Egress) && p.m.Judge(p.req.scope(), policy.Egress, src, dst, c.Protocol, c.Port).Action != policy.Allow {
		return false
	}
	return !p.judged(c.Destination, policy.Ingress) || p.m.Judge(p.req.scope(), policy.Ingress, dst, src, c.Protocol, c.Port).Action == policy.Allow
}

// peers are the workloads that w's policies may allow in a direction: whom the
// rules that allow or pass speak of. There may be more of them than are allowed.
func (p *pairs) peers(d policy.Direction, w policy.Workload) map[policy.Workload]bool {
	out := map[policy.Workload]bool{}
	selecting := p.m.Selecting(p.req.scope(), d, p.reps[w])
	if !p.req.wants(d) || len(selecting) == 0 || p.m.Snapshot().Tier(tier.DefaultTier).DefaultAction == policy.Pass {
		return p.everybody()
	}
	for _, pol := range selecting {
		for i := range pol.Rules[d] {
			r := &pol.Rules[d][i]
			if r.Action != policy.Allow && r.Action != policy.Pass {
				continue
			}
			side := &r.Source
			if d == policy.Egress {
				side = &r.Destination
			}
			if !p.side(pol, side, out) {
				return p.everybody()
			}
		}
	}
	return out
}

func (p *pairs) everybody() map[policy.Workload]bool {
	out := make(map[policy.Workload]bool, len(p.all))
	for _, w := range p.all {
		out[w] = true
	}
	return out
}

// side adds the workloads that a side of a rule may speak of; false if that may be
// everybody.
func (p *pairs) side(pol *policy.Policy, e *policy.Entity, out map[policy.Workload]bool) bool {
	for _, n := range e.Nets {
		p.inNet(n, out)
	}
	whom := p.m.Whom(pol, e)
	if whom.Anyone {
		return len(e.Nets) > 0
	}
	for ep := range whom.Endpoints() {
		for _, w := range p.alike[p.m.Identity(ep)] {
			out[w] = true
		}
	}
	if !whom.Addresses {
		return true
	}
	for w, in := range p.inSets {
		if in {
			out[w] = true
		}
	}
	if e.Service != nil {
		if svc := p.m.Snapshot().Service(e.Service.Namespace, e.Service.Name); svc != nil {
			for _, b := range svc.Backends {
				p.inNet(netip.PrefixFrom(b.Addr, b.Addr.BitLen()), out)
			}
		}
	}
	return true
}

// inNet adds the workloads with an address in a net.
func (p *pairs) inNet(n netip.Prefix, out map[policy.Workload]bool) {
	i, _ := slices.BinarySearchFunc(p.byAddr, n.Masked().Addr(), func(a addrOf, want netip.Addr) int { return a.addr.Compare(want) })
	for ; i < len(p.byAddr) && n.Contains(p.byAddr[i].addr); i++ {
		out[p.byAddr[i].workload] = true
	}
}

// workloadOf is the workload of a flow's end as the pods have it.
func workloadOf(rp *replay.Replay, p flow.Peer) policy.Workload {
	if p.Kind == flow.PeerWorkload {
		if eps := rp.Endpoints(p.Workload); len(eps) > 0 {
			return eps[0].Workload
		}
	}
	return p.Workload
}
