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
// that were connected to. There are millions of them in a large cluster, so
// workloads are known by their place in all.
type pairs struct {
	req *Request
	m   *tier.Model
	// all are the workloads, sorted; index is where they are.
	all   []ended
	index map[policy.Workload]int32
	seen  map[numbered]bool
	// alike are the workloads by tier.Model.Identity of their pods.
	alike map[int][]int32
	// byAddr are the pods by address, sorted.
	byAddr []addrOf
}

// ended is a workload as an end of pairs.
type ended struct {
	policy.Workload
	pod      *policy.Endpoint // one for all
	isTarget bool
	inSet    bool // some network set holds an address of its
	ports    []port
}

// numbered is a Pair of workloads by their places.
type numbered struct {
	src, dst int32
	port     port
}

type addrOf struct {
	addr     netip.Addr
	workload int32
}

func newPairs(req *Request, m *tier.Model, rp *replay.Replay, targets []*target, wanted []wantedFlow) *pairs {
	p := &pairs{req: req, m: m, index: map[policy.Workload]int32{}, seen: map[numbered]bool{}, alike: map[int][]int32{}}
	for _, ep := range m.Snapshot().Endpoints {
		if _, known := p.index[ep.Workload]; !known {
			p.index[ep.Workload] = 0
			p.all = append(p.all, ended{Workload: ep.Workload, pod: ep})
		}
	}
	slices.SortFunc(p.all, func(a, b ended) int { return compareWorkloads(a.Workload, b.Workload) })
	for i := range p.all {
		p.index[p.all[i].Workload] = int32(i)
	}
	for _, t := range targets {
		for _, w := range t.workloads {
			if i, ok := p.index[w]; ok {
				p.all[i].isTarget = true
			}
		}
	}
	sets := flow.NewSetNames(m.Snapshot().NetworkSets, nil)
	for _, ep := range m.Snapshot().Endpoints {
		p.endpoint(ep, sets)
	}
	slices.SortFunc(p.byAddr, func(a, b addrOf) int { return a.addr.Compare(b.addr) })
	for _, w := range wanted {
		src, known := p.index[workloadOf(rp, w.Source)]
		dst, too := p.index[workloadOf(rp, w.Destination)]
		number := port{w.Protocol, replay.Port(w.Observed)}
		if too {
			p.all[dst].listens(number)
		}
		if known && too {
			p.seen[numbered{src, dst, number}] = true
		}
	}
	return p
}

func (p *pairs) endpoint(ep *policy.Endpoint, sets *flow.SetNames) {
	i := p.index[ep.Workload]
	w := &p.all[i]
	for _, c := range ep.Ports {
		w.listens(port{c.Protocol, c.Port})
	}
	if id := p.m.Identity(ep); !slices.Contains(p.alike[id], i) {
		p.alike[id] = append(p.alike[id], i)
	}
	for _, a := range ep.Addrs {
		p.byAddr = append(p.byAddr, addrOf{a, i})
		w.inSet = w.inSet || sets.Find(a) != nil
	}
}

func (e *ended) listens(p port) {
	if !slices.Contains(e.ports, p) {
		e.ports = append(e.ports, p)
	}
}

// find asks every pair that has an end which is judged. What both ends leave open is
// not what is being recommended.
func (p *pairs) find() []Pair {
	var out []Pair
	try := func(src, dst int32) {
		if src == dst {
			return
		}
		for _, port := range p.all[dst].ports {
			n := numbered{src, dst, port}
			if !p.seen[n] && p.possible(n) {
				out = append(out, Pair{p.all[src].Workload, p.all[dst].Workload, port.protocol, port.number})
			}
		}
	}
	among := newPeers(len(p.all))
	for i := range p.all {
		w := int32(i)
		if p.judged(&p.all[w], policy.Egress) {
			p.peers(policy.Egress, w, among)
			for _, dst := range among.list {
				try(w, dst)
			}
		}
		if p.judged(&p.all[w], policy.Ingress) {
			p.peers(policy.Ingress, w, among)
			for _, src := range among.list {
				if !p.judged(&p.all[src], policy.Egress) { // else it was tried from there
					try(src, w)
				}
			}
		}
	}
	slices.SortFunc(out, comparePairs)
	return out
}

// judged says whether the policies of w decide in a direction. The policies of
// workloads that are no targets are not what is being recommended.
func (p *pairs) judged(w *ended, d policy.Direction) bool {
	return w.isTarget && p.req.wants(d)
}

// possible asks the ends that are judged.
func (p *pairs) possible(n numbered) bool {
	src, dst := &p.all[n.src], &p.all[n.dst]
	allows := func(d policy.Direction, local, remote *ended) bool {
		if !p.judged(local, d) {
			return true
		}
		hit := p.m.Judge(p.req.scope(), d, tier.Peer{Endpoint: local.pod}, tier.Peer{Endpoint: remote.pod}, n.port.protocol, n.port.number)
		return hit.Action == policy.Allow
	}
	return allows(policy.Egress, src, dst) && allows(policy.Ingress, dst, src)
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
