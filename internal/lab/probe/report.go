package probe

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/netpol-project/netpol/internal/lab/prober"
)

// Summary counts pairs by result.
type Summary struct {
	Pairs     int `json:"pairs"`
	Connected int `json:"connected"`
	Closed    int `json:"closed"`
	Blocked   int `json:"blocked"`
	Error     int `json:"error"`
}

// Item is one pair: two workloads, a family, a protocol and a port.
type Item struct {
	Source      Peer   `json:"source"`
	Destination Peer   `json:"destination"`
	Family      string `json:"family"` // IPv4 or IPv6
	Protocol    string `json:"protocol"`
	Port        uint16 `json:"port"` // 0 for a ping
	// Service that the connection was made to, namespace/name; empty where it
	// was made to the pod's address. Port is the pod's in any case.
	Service string        `json:"service,omitempty"`
	Result  prober.Result `json:"result"`
	// DeniedBy is what blocked it, by the agent's record.
	DeniedBy *prober.Denial `json:"deniedBy,omitempty"`
	Error    string         `json:"error,omitempty"`
}

// Report is what became of every pair, sorted by source, destination, family
// and port.
type Report struct {
	Summary Summary `json:"summary"`
	Items   []Item  `json:"items"`
}

// Collect turns outcomes into a report. Where workloads have several pods, a
// pair's result is that of all of them; if they differ it is an error that
// says so.
func (r *Request) Collect(outcomes []prober.Outcome) Report {
	byPair := map[pair]*Item{}
	for i, p := range r.pairs {
		o := prober.Outcome{Result: prober.Error, Error: "the prober gave no answer"}
		if at, ok := slices.BinarySearchFunc(outcomes, i, func(o prober.Outcome, id int) int { return cmp.Compare(o.ID, id) }); ok {
			o = outcomes[at]
		}
		item := byPair[p]
		if item == nil {
			byPair[p] = newItem(p, o)
		} else if item.Result != o.Result && item.Error == "" {
			item.Error = fmt.Sprintf("the pods differ: %s and %s", item.Result, o.Result)
			item.Result, item.DeniedBy = prober.Error, nil
		}
	}
	report := Report{Items: make([]Item, 0, len(byPair))}
	for _, item := range byPair {
		report.Items = append(report.Items, *item)
		report.Summary.count(item.Result)
	}
	slices.SortFunc(report.Items, compareItems)
	return report
}

func newItem(p pair, o prober.Outcome) *Item {
	family := "IPv4"
	if p.IPv6 {
		family = "IPv6"
	}
	return &Item{
		Source: p.Source, Destination: p.Destination, Family: family, Protocol: p.Port.Protocol, Port: p.Port.Port,
		Service: p.Service, Result: o.Result, DeniedBy: o.Denial, Error: o.Error,
	}
}

func (s *Summary) count(r prober.Result) {
	s.Pairs++
	switch r {
	case prober.Connected:
		s.Connected++
	case prober.Closed:
		s.Closed++
	case prober.Blocked:
		s.Blocked++
	default:
		s.Error++
	}
}

func compareItems(a, b Item) int {
	return cmp.Or(
		comparePeers(a.Source, b.Source), comparePeers(a.Destination, b.Destination),
		comparePorts(Port{a.Protocol, a.Port}, Port{b.Protocol, b.Port}), cmp.Compare(a.Family, b.Family),
		cmp.Compare(a.Service, b.Service),
	)
}

func comparePeers(a, b Peer) int {
	return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Workload, b.Workload), cmp.Compare(a.Kind, b.Kind))
}
