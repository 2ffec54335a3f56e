package stage

import (
	"net/netip"
	"strconv"
	"time"

	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
)

// Report is what Impact found. Its JSON is a contract.
type Report struct {
	Summary Summary `json:"summary"`
	// Items are the flows that would be blocked: allowed now, then refused.
	Items []Item `json:"items"`
	// WouldAllow are the flows that would be allowed: refused now. Their
	// blockedBy is what refuses them now.
	WouldAllow []Item `json:"wouldAllow"`
	// Gone are flows of workloads that have no pods any more, and of addresses
	// that another pod has since, so that nothing can be said of them.
	Gone []Item `json:"gone"`
	// Undecided are flows that can't be judged: the address of one end is not
	// known, and they would be blocked, or allowed, with some addresses and not
	// with others.
	Undecided []Item `json:"undecided"`
}

// Summary counts flows and their connections.
type Summary struct {
	Flows       Counts `json:"flows"`
	Connections Counts `json:"connections"`
}

// Counts are numbers of flows or of connections.
type Counts struct {
	Observed   int64 `json:"observed"`
	WouldBlock int64 `json:"wouldBlock"`
	WouldAllow int64 `json:"wouldAllow"`
	Gone       int64 `json:"gone"`
	Undecided  int64 `json:"undecided"`
}

// MayBlock are the undecided flows that would be blocked with some addresses.
func (r *Report) MayBlock() []Item {
	var out []Item
	for i := range r.Undecided {
		if r.Undecided[i].MayBeBlockedBy != nil {
			out = append(out, r.Undecided[i])
		}
	}
	return out
}

// AddUndecided adds flows that can't be judged.
func (r *Report) AddUndecided(items ...Item) {
	for i := range items {
		r.Undecided = append(r.Undecided, items[i])
		r.Summary.Flows.Undecided++
		r.Summary.Connections.Undecided += items[i].Connections
	}
}

// Item is one flow.
type Item struct {
	Source      Peer `json:"source"`
	Destination Peer `json:"destination"`
	flow.Port
	// Service is namespace/name of the Service that was connected to; several
	// are separated by ", ".
	Service string `json:"service"`
	// Direction is that of the policy in BlockedBy: Egress at the source,
	// Ingress at the destination.
	Direction   string `json:"direction"`
	Connections int64  `json:"connections"`
	// Live is how many of them are open, as the end that knows of more counts.
	Live      int64     `json:"live"`
	FirstSeen time.Time `json:"firstSeen"`
	LastSeen  time.Time `json:"lastSeen"`
	BlockedBy *By       `json:"blockedBy,omitempty"`
	// AlsoBlockedBy is what refuses it at the other end as well.
	AlsoBlockedBy *ByDirection `json:"alsoBlockedBy,omitempty"`
	// MayBeBlockedBy is what would refuse an undecided flow, with some addresses;
	// absent if it would be blocked with none.
	MayBeBlockedBy *By `json:"mayBeBlockedBy,omitempty"`
	// PodPairs is set where the verdict is not the same for all pods.
	PodPairs *PodPairs `json:"podPairs,omitempty"`
	Reason   string    `json:"reason"`
	// Trend is how many of its connections began in each of the windows of the
	// report's trend.
	Trend []int64 `json:"trend,omitempty"`
}

// Peer is one end: a workload, a host (its name is in Workload), a network set
// (likewise, and the address that it holds), or an address. Kind says which: a
// workload's own kind, Host, NetworkSet or Network.
type Peer struct {
	Namespace string `json:"namespace"`
	Workload  string `json:"workload"`
	Kind      string `json:"kind"`
	Address   string `json:"address,omitempty"`
}

// String is the peer as people read it.
func (p Peer) String() string {
	if p.Kind == string(flow.PeerNetworkSet) {
		addr, _ := netip.ParseAddr(p.Address) // the zero Addr if there is none
		return flow.Peer{
			Kind: flow.PeerNetworkSet, Workload: policy.Workload{Namespace: p.Namespace, Name: p.Workload}, Addr: addr,
		}.String()
	}
	switch {
	case p.Namespace != "":
		return p.Namespace + "/" + p.Workload
	case p.Workload != "":
		return p.Workload
	case p.Address == "" && p.Kind == string(flow.PeerNetwork):
		return unknownAddress
	}
	return p.Address
}

// unknownAddress stands for an end outside whose address is not known.
const unknownAddress = "network"

// By is what decides: Rule is the index of a policy's rule, or -1 at the end of
// the tier, where the policy is the last one that selects the pod.
type By struct {
	Tier      string `json:"tier"`
	Kind      string `json:"kind"`
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	Rule      int    `json:"rule"`
}

// ByDirection is what decides at one end.
type ByDirection struct {
	Direction string `json:"direction"`
	By
}

// PodPairs counts the pairs of pods that one flow stands for, pairs that no
// policy can tell apart counted once.
type PodPairs struct {
	Affected int `json:"affected"`
	All      int `json:"all"`
}

func newItem(o *flow.Observed) Item {
	return Item{
		Source: NewPeer(o.Source), Destination: NewPeer(o.Destination),
		Port: flow.NewPort(o.Protocol, o.Port), Service: o.Service(),
		Connections: o.Connections, Live: o.Live, FirstSeen: o.FirstSeen.UTC().Truncate(time.Second), LastSeen: o.LastSeen.UTC().Truncate(time.Second),
	}
}

// NewPeer is p as JSON has it.
func NewPeer(p flow.Peer) Peer {
	out := Peer{Namespace: p.Workload.Namespace, Workload: p.Workload.Name, Kind: string(p.Workload.Kind)}
	if p.Kind != flow.PeerWorkload {
		out.Kind = string(p.Kind)
	}
	if p.Addr.IsValid() {
		out.Address = p.Addr.String()
	}
	return out
}

func newBy(h policy.Hit) *By {
	return &By{
		Tier: h.Tier, Kind: string(h.Policy.Kind), Namespace: h.Policy.Namespace, Name: h.Policy.Name,
		Rule: h.Rule,
	}
}

func reason(h policy.Hit) string {
	switch h.Rule {
	case policy.EndOfTier:
		return "end of tier " + h.Tier + ": no rule of " + h.Policy.String() + " or another policy decides"
	case policy.NoPolicy:
		return "no policy applies"
	}
	return "rule " + strconv.Itoa(h.Rule) + " of " + h.Policy.String()
}
