package lint

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

// trial is a model of two policies, in this order, and a few endpoints.
func (r *run) trial(local *policy.Endpoint, peers []tier.Peer, a, b *policy.Policy) *tier.Model {
	snap := &policy.Snapshot{Namespaces: r.snap.Namespaces, Services: r.snap.Services, NetworkSets: r.snap.NetworkSets,
		HostEndpoints: r.snap.HostEndpoints, ServiceAccounts: r.snap.ServiceAccounts}
	for i, p := range []*policy.Policy{a, b} {
		c := *p
		c.Kind, c.StagedAction, c.Tier, c.Order = p.Kind.Enforced(), "", "default", float64(i)
		snap.Policies = append(snap.Policies, &c)
	}
	snap.Endpoints = append(snap.Endpoints, local)
	for _, p := range peers {
		if p.Endpoint != nil && p.Endpoint != local {
			snap.Endpoints = append(snap.Endpoints, p.Endpoint)
		}
	}
	slices.SortFunc(snap.Endpoints, func(x, y *policy.Endpoint) int {
		return cmp.Or(strings.Compare(x.Namespace, y.Namespace), strings.Compare(x.Name, y.Name))
	})
	return tier.New(snap, nil)
}

// Bounds on the endpoints, and on the peers of each kind, with which a pair is
// tried.
const (
	mostLocals = 4
	mostPeers  = 16
)

// peersOf are those that rules of the two policies speak of, and some that
// none does.
func (r *run) peersOf(d policy.Direction, local *policy.Endpoint, policies ...*policy.Policy) []tier.Peer {
	var endpoints []*policy.Endpoint
	addrs := []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")}
	for _, p := range policies {
		for i := range p.Rules[d] {
			far := peerOf(&p.Rules[d][i], d)
			for _, n := range far.Nets[:min(len(far.Nets), mostPeers)] {
				addrs = append(addrs, n.Addr())
			}
			n := 0
			who := r.model.Whom(p, far)
			for ep := range who.Endpoints() {
				if n++; n > mostPeers {
					break
				}
				endpoints = append(endpoints, ep)
			}
		}
	}
	for _, set := range r.snap.NetworkSets[:min(len(r.snap.NetworkSets), mostPeers)] {
		if len(set.Nets) > 0 {
			addrs = append(addrs, set.Nets[0].Addr())
		}
	}
	endpoints = append(endpoints, r.snap.Endpoints[:min(len(r.snap.Endpoints), mostPeers)]...)
	var out []tier.Peer
	seen := map[any]bool{local: true}
	for _, ep := range endpoints {
		if !seen[ep] && len(out) < 4*mostPeers {
			seen[ep] = true
			out = append(out, tier.Peer{Endpoint: ep})
		}
	}
	for _, a := range addrs {
		if !seen[a] && len(out) < 8*mostPeers {
			seen[a] = true
			out = append(out, tier.Peer{Addr: a})
		}
	}
	return out
}

// ask is a protocol and a port, or an ICMP type and code.
type ask struct {
	proto policy.Protocol
	port  uint16
}

func (q ask) String() string {
	switch {
	case q.proto == unheardOf:
		return "other protocols"
	case q.port == 0: // below the first port that a rule gives
		return q.proto.String()
	case q.proto.HasTypes():
		typ, _ := policy.ICMPTypeCode(q.port)
		return fmt.Sprintf("%s/%d", q.proto, typ)
	}
	return fmt.Sprintf("%s/%d", q.proto, q.port)
}

// unheardOf stands for protocols that no rule names (RFC 3692 gives 253 to
// experiments).
const unheardOf policy.Protocol = 253

// questions are one of each interval in which verdicts don't change. The port
// to be told comes first where rules give one, before what lies around it.
func questions(cuts ...tier.Cuts) []ask {
	var out []ask
	for _, c := range cuts {
		for _, p := range c.Protocols {
			ports := c.Ports[p]
			for i := range ports {
				if ports[i] != 0 {
					out = append(out, ask{p, ports[i]})
				}
			}
			out = append(out, ask{p, 0})
		}
	}
	return append(out, ask{policy.TCP, 0}, ask{policy.UDP, 0}, ask{unheardOf, 0})
}
