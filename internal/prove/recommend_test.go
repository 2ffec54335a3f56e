package prove

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/recommend"
	"github.com/netpol-project/netpol/pkg/tier"
)

// observed is a connection that was seen, as people see it: between workloads
// (here each pod is one) or an address outside.
type observed struct {
	from, to tier.Peer
	protocol policy.Protocol
	port     uint16
}

func (o observed) String() string {
	return fmt.Sprintf("%s → %s %s/%d", peerName(o.from), peerName(o.to), o.protocol, o.port)
}

// flowName is the same of a flow; which set holds an address is no matter.
func flowName(o *flow.Observed) string {
	name := func(p flow.Peer) string {
		if p.Kind == flow.PeerWorkload {
			return p.Workload.String()
		}
		return p.Addr.String()
	}
	return fmt.Sprintf("%s → %s %s/%d", name(o.Source), name(o.Destination), o.Protocol, o.Port)
}

func peerName(p tier.Peer) string {
	if p.Endpoint != nil {
		return p.Endpoint.ID()
	}
	return p.Addr.String()
}

// outsiders are addresses that no pod has; some sets of the worlds hold some.
var outsiders = []netip.Addr{netip.MustParseAddr("192.0.2.7"), netip.MustParseAddr("198.51.100.1"), netip.MustParseAddr("2001:db8::7")}

var triedPorts = []uint16{80, 81, 82, 53, 443}

// connections are all that can be tried between some ends.
func connections(s *subject) []observed {
	var ends []tier.Peer
	for _, ep := range s.snap.Endpoints {
		ends = append(ends, tier.Peer{Endpoint: ep})
	}
	for _, a := range outsiders {
		ends = append(ends, tier.Peer{Addr: a})
	}
	var out []observed
	for _, from := range ends {
		for _, to := range ends {
			if from.Endpoint == nil && to.Endpoint == nil || from == to {
				continue
			}
			for _, c := range byFamily(from, to) {
				for _, p := range []policy.Protocol{policy.TCP, policy.UDP} {
					for _, port := range triedPorts {
						out = append(out, observed{c[0], c[1], p, port})
					}
				}
			}
		}
	}
	return out
}

// byFamily are two ends with addresses of one family, for each that both have.
func byFamily(from, to tier.Peer) [][2]tier.Peer {
	of := func(p tier.Peer, is4 bool) (tier.Peer, bool) {
		if p.Endpoint == nil {
			return p, p.Addr.Is4() == is4
		}
		for _, a := range p.Endpoint.Addrs {
			if a.Is4() == is4 {
				return tier.Peer{Endpoint: p.Endpoint, Addr: a}, true
			}
		}
		return p, false
	}
	var out [][2]tier.Peer
	for _, is4 := range []bool{true, false} {
		src, ok1 := of(from, is4)
		dst, ok2 := of(to, is4)
		if ok1 && ok2 {
			out = append(out, [2]tier.Peer{src, dst})
		}
	}
	return out
}

func allowed(m *tier.Model, scope tier.Scope, o observed) bool {
	return m.Evaluate(scope, tier.Conn{Source: o.from, Destination: o.to, Protocol: o.protocol, Port: o.port}).Allowed()
}

// flows are what both ends report of some connections.
func flows(list []observed) []flow.Flow {
	peer := func(p tier.Peer) flow.Peer {
		if p.Endpoint == nil {
			return flow.Peer{Kind: flow.PeerNetwork, Addr: p.Addr}
		}
		return flow.Peer{Kind: flow.PeerWorkload, Workload: p.Endpoint.Workload}
	}
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	var out []flow.Flow
	for _, o := range list {
		for d, local := range map[policy.Direction]tier.Peer{policy.Egress: o.from, policy.Ingress: o.to} {
			if local.Endpoint == nil {
				continue
			}
			out = append(out, flow.Flow{Key: flow.Key{
				Source: peer(o.from), Destination: peer(o.to), Protocol: o.protocol, Port: o.port, Direction: d,
				Enforced: policy.Hit{Rule: policy.NoPolicy, Action: policy.Allow},
			}, FirstSeen: at, LastSeen: at, Connections: 5, Completed: 5})
		}
	}
	return out
}

// applied is the world with policies as manifests of their own beside it, and a
// default-deny for every namespace.
func applied(t fataler, s *subject, policies []string) *tier.Model {
	t.Helper()
	var all []string
	for _, ns := range s.Namespaces {
		all = append(all, fmt.Sprintf("{apiVersion: projectcalico.org/v3, kind: NetworkPolicy, metadata: {name: zz-default-deny, namespace: %s}, spec: {types: [Ingress, Egress]}}\n", ns.Name))
	}
	text := string(s.Manifests()) + "\n---\n" + strings.Join(append(all, policies...), "---\n")
	resources, faults := policy.Decode("world.yaml", []byte(text))
	if err := faults.Err(); err != nil {
		t.Fatalf("%v\n\n%s", err, text)
	}
	snap, _ := policy.NewSnapshot(1, resources, nil)
	return tier.New(snap, nil)
}

func workloadOf(p tier.Peer) policy.Workload {
	if p.Endpoint == nil {
		return policy.Workload{}
	}
	return p.Endpoint.Workload
}

// in finds the ends in another model of the same world.
func (o observed) in(m *tier.Model) observed {
	for _, p := range []*tier.Peer{&o.from, &o.to} {
		if p.Endpoint != nil {
			p.Endpoint = m.Snapshot().Endpoint(p.Endpoint.Namespace, p.Endpoint.Name)
		}
	}
	return o
}

// A recommendation for all workloads of a random world, applied as text, allows
// every flow that was seen and that it does not leave out by name with a reason;
// and if exactness is asked for, its rules add nothing that was not seen.
func TestRecommendationsAllowWhatWasSeen(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newSubject(t, Worlds().Draw(t, "world"), nil)
		var seen, never []observed
		for _, c := range connections(s) {
			if allowed(s.model, tier.Enforced(), c) && rapid.IntRange(0, 19).Draw(t, "seen") == 0 {
				seen = append(seen, c)
			} else {
				never = append(never, c)
			}
		}
		req := recommend.Request{Model: s.model, Flows: flows(seen), Tier: tier.DefaultTier}
		req.IncludeSuspicious = true
		req.Exact = rapid.Bool().Draw(t, "exact")
		for _, ep := range s.snap.Endpoints {
			req.Targets = append(req.Targets, ep.Workload)
		}
		res := recommend.Recommend(req)
		left := map[string]bool{}
		unlabelled := map[policy.Workload]bool{}
		for _, sk := range res.Skipped {
			if sk.Flow == nil {
				unlabelled[sk.Workload] = true
			} else {
				if sk.Kind != recommend.SkipNoRule {
					t.Fatalf("left out %s: %s\n\nThe world:\n%s", recommend.FlowText(sk.Flow), sk.Reason, s.Manifests())
				}
				left[flowName(sk.Flow)] = true
			}
		}
		var rules, bare []string
		for _, p := range res.Policies {
			rules = append(rules, p.YAML())
			p.Rules = [2][]recommend.Rule{}
			bare = append(bare, p.YAML())
		}
		with := applied(t, s, rules)
		for _, o := range seen {
			if !left[o.String()] && !unlabelled[workloadOf(o.from)] && !unlabelled[workloadOf(o.to)] && !allowed(with, tier.Enforced(), o.in(with)) {
				t.Fatalf("seen, not left out, and refused: %s\n\nRecommended:\n%s\nThe world:\n%s", o, strings.Join(rules, "---\n"), s.Manifests())
			}
		}
		if !req.Exact {
			return
		}
		without := applied(t, s, bare)
		known := map[string]bool{}
		for _, o := range seen {
			known[o.String()] = true // flows between pods do not tell the family
		}
		for _, o := range never {
			if !known[o.String()] && allowed(with, tier.Enforced(), o.in(with)) && !allowed(without, tier.Enforced(), o.in(without)) {
				c := o.in(with)
				r := with.Evaluate(tier.Enforced(), tier.Conn{Source: c.from, Destination: c.to, Protocol: c.protocol, Port: c.port})
				t.Fatalf("not seen, and allowed by the rules: %s\negress %+v\ningress %+v\n\nRecommended:\n%s\nThe world:\n%s", o, r.Egress, r.Ingress, strings.Join(rules, "---\n"), s.Manifests())
			}
		}
	})
}
