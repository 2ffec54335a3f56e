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
	// Gone are flows of workloads that have no pods any more, so that nothing
	// can be said of them.
	Gone []Item `json:"gone"`
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
	Direction   string    `json:"direction"`
	Connections int64     `json:"connections"`
	FirstSeen   time.Time `json:"firstSeen"`
	LastSeen    time.Time `json:"lastSeen"`
	BlockedBy   *By       `json:"blockedBy,omitempty"`
	// AlsoBlockedBy is what refuses it at the other end as well.
	AlsoBlockedBy *ByDirection `json:"alsoBlockedBy,omitempty"`
	// PodPairs is set where the verdict is not the same for all pods.
	PodPairs *PodPairs `json:"podPairs,omitempty"`
	Reason   string    `json:"reason"`
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
	}
	return p.Address
}

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
		Connections: o.Connections, FirstSeen: o.FirstSeen.UTC().Truncate(time.Second), LastSeen: o.LastSeen.UTC().Truncate(time.Second),
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
