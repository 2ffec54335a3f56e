package cmd

import (
	"github.com/netpol-project/netpol/internal/output"
	"github.com/netpol-project/netpol/pkg/connectivity"
	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
)

// connectivityReport is the JSON of connectivity.
type connectivityReport struct {
	output.Meta
	Summary connectivitySummary `json:"summary"`
	Items   []connectivityItem  `json:"items"`
	// Pairs have what is allowed on any port, declared or not.
	Pairs []connectivityPair `json:"pairs"`
}

type connectivitySummary struct {
	Pairs int `json:"pairs"` // source, destination and port
	Allow int `json:"allow"`
	Deny  int `json:"deny"`
	Some  int `json:"some"` // of those denied: allowed for some of the pods
}

type connectivityItem struct {
	Source      workloadReport `json:"source"`
	Destination workloadReport `json:"destination"`
	Protocol    string         `json:"protocol"`
	Port        int            `json:"port"`
	Result      string         `json:"result"` // allow or deny
	// AllowedPairs of Pairs pairs of pods may talk; given where only some may.
	AllowedPairs int        `json:"allowedPairs,omitempty"`
	Pairs        int        `json:"pairs,omitempty"`
	By           *hitReport `json:"by,omitempty"`
}

type connectivityPair struct {
	Source      workloadReport `json:"source"`
	Destination workloadReport `json:"destination"`
	Allowed     spaceReport    `json:"allowed"`
	// Partly is what only some of the pods may.
	Partly *spaceReport `json:"partly,omitempty"`
}

// spaceReport is a set of protocols and ports in JSON.
type spaceReport struct {
	Text string `json:"text"` // for people
	// OtherProtocols says whether the protocols not listed are in it.
	OtherProtocols bool             `json:"otherProtocols"`
	Protocols      []protocolReport `json:"protocols"`
}

type protocolReport struct {
	Protocol string        `json:"protocol"`
	Ranges   []rangeReport `json:"ranges"`
}

// rangeReport is a range of ports in JSON; of ICMP and ICMPv6 both are 0, as
// the port of a flow is, and the types and codes stand in ICMP.
type rangeReport struct {
	From int        `json:"from"`
	To   int        `json:"to"`
	ICMP *icmpRange `json:"icmp,omitempty"`
}

// icmpRange is ordered by type, then by code.
type icmpRange struct {
	From flow.ICMP `json:"from"`
	To   flow.ICMP `json:"to"`
}

func newRangeReport(p policy.Protocol, r policy.PortRange) rangeReport {
	if p.HasTypes() {
		return rangeReport{ICMP: &icmpRange{From: icmpOf(r.Min), To: icmpOf(r.Max)}}
	}
	return rangeReport{From: int(r.Min), To: int(r.Max)}
}

func icmpOf(port uint16) flow.ICMP {
	typ, code := policy.ICMPTypeCode(port)
	return flow.ICMP{Type: typ, Code: code}
}

func newConnectivityReport(pairs []connectivity.Pair) connectivityReport {
	r := connectivityReport{Meta: output.NewMeta("Connectivity"), Items: []connectivityItem{}, Pairs: []connectivityPair{}}
	for i := range pairs {
		p := &pairs[i]
		src, dst := newWorkloadReport(p.Source), newWorkloadReport(p.Destination)
		pair := connectivityPair{Source: src, Destination: dst, Allowed: newSpaceReport(p.Open)}
		if !p.Partly.Empty() {
			partly := newSpaceReport(p.Partly)
			pair.Partly = &partly
		}
		r.Pairs = append(r.Pairs, pair)
		for k := range p.Ports {
			v := &p.Ports[k]
			it := connectivityItem{
				Source: src, Destination: dst, Protocol: v.Protocol.String(), Port: int(v.Port), Result: resultWord(v.All()),
			}
			if v.Some() {
				it.AllowedPairs, it.Pairs = v.Allowed, v.Pairs
			}
			if v.By != nil {
				by := newHitReport(*v.By, v.Direction)
				it.By = &by
			}
			r.Items = append(r.Items, it)
		}
	}
	r.Summary = summarize(pairs)
	return r
}

func summarize(pairs []connectivity.Pair) connectivitySummary {
	var s connectivitySummary
	for i := range pairs {
		for k := range pairs[i].Ports {
			s.Pairs++
			switch v := &pairs[i].Ports[k]; {
			case v.All():
				s.Allow++
			case v.Some():
				s.Some++
				s.Deny++
			default:
				s.Deny++
			}
		}
	}
	return s
}

func newSpaceReport(s connectivity.Space) spaceReport {
	out := spaceReport{Text: s.String(), OtherProtocols: s.Others, Protocols: []protocolReport{}}
	for _, p := range s.Protocols {
		r := protocolReport{Protocol: p.Protocol.String(), Ranges: []rangeReport{}}
		for _, pr := range p.Ranges {
			r.Ranges = append(r.Ranges, newRangeReport(p.Protocol, pr))
		}
		out.Protocols = append(out.Protocols, r)
	}
	return out
}
