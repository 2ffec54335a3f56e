package lint

import (
	"fmt"
	"math"
	"net/netip"
	"slices"

	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

// pairOf is two policies, the one that is asked first in front.
type pairOf [2]*policy.Policy

// mostTrials bounds how many pairs of tied policies are tried out. Where there
// are more the first findings tell what there is to do.
const mostTrials = 2000

// ties finds policies of one order of which the names decide what happens.
func (r *run) ties() {
	tried := map[pairOf]bool{}
	told := map[*policy.Policy]bool{}
	for _, pr := range r.profiles {
		for j, b := range pr.policies {
			for i := j - 1; i >= 0 && tied(pr.policies[i], b); i-- {
				a := pr.policies[i]
				if told[b] || tried[pairOf{a, b}] || !r.judgedIn(pr, a, b) || len(tried) > mostTrials || !opposed(a, b, pr.dir) {
					continue
				}
				tried[pairOf{a, b}] = true
				// More than one endpoint, since some rules are about one of them.
				for _, local := range pr.endpoints[:min(len(pr.endpoints), mostLocals)] {
					if conn, ok := r.differ(pr.dir, local, a, b); ok {
						told[b] = true
						r.warnTie(a, b, conn)
						break
					}
				}
			}
		}
	}
}

func tied(a, b *policy.Policy) bool { return a.Tier == b.Tier && a.Order == b.Order }

// judgedIn says that both policies have no errors, and that the profile's scope
// is where they meet: two enforced ones are not told of again as pending.
func (r *run) judgedIn(pr *profile, a, b *policy.Policy) bool {
	if r.selected[a] == nil || r.selected[b] == nil {
		return false
	}
	return pr.scope == scopeOf(a) || pr.scope == scopeOf(b)
}

func (r *run) warnTie(a, b *policy.Policy, conn string) {
	p, other, field := b, a, "spec.order"
	if kubernetes(p) || p.Kind == policy.KindClusterNetworkPolicy {
		p, other = a, b // the order of a Kubernetes policy is fixed
	}
	f := policy.Fault{Code: "tie", Field: field, Fix: "give one of them another order"}
	order := "has no order either"
	if !math.IsInf(p.Order, 0) {
		order = "has the same order"
	}
	f.Reason = fmt.Sprintf("%s %s, so their names decide about %s", nameOf(other, p), order, conn)
	r.warn(p, f)
}

// opposed says whether two policies may decide differently about something:
// some rule of one and some of the other, with other actions, may match one
// connection. It is quick and may be wrong; differ is not.
func opposed(a, b *policy.Policy, d policy.Direction) bool {
	for i := range a.Rules[d] {
		for j := range b.Rules[d] {
			x, y := &a.Rules[d][i], &b.Rules[d][j]
			if x.Action != y.Action && x.Action != policy.Log && y.Action != policy.Log && mayMeet(x, y) {
				return true
			}
		}
	}
	return false
}

func mayMeet(x, y *policy.Rule) bool {
	return (x.Protocol == 0 || y.Protocol == 0 || x.Protocol == y.Protocol) &&
		x.HTTP == nil && y.HTTP == nil &&
		portsMayMeet(&x.Destination, &y.Destination) && netsMayMeet(x.Source.Nets, y.Source.Nets) && netsMayMeet(x.Destination.Nets, y.Destination.Nets)
}

func portsMayMeet(x, y *policy.Entity) bool {
	if len(x.Ports) == 0 || len(y.Ports) == 0 || len(x.NamedPorts)+len(y.NamedPorts) > 0 {
		return true
	}
	return slices.ContainsFunc(x.Ports, func(p policy.PortRange) bool {
		return slices.ContainsFunc(y.Ports, func(o policy.PortRange) bool { return overlap(p, o) })
	})
}

func netsMayMeet(x, y []netip.Prefix) bool {
	return len(x) == 0 || len(y) == 0 ||
		slices.ContainsFunc(x, func(n netip.Prefix) bool { return slices.ContainsFunc(y, n.Overlaps) })
}

// differ asks the model about the two policies alone, in either order, and
// returns a connection about which the orders differ.
func (r *run) differ(dir policy.Direction, local *policy.Endpoint, a, b *policy.Policy) (conn string, ok bool) {
	peers := r.peersOf(dir, local, a, b)
	one, other := r.trial(local, peers, a, b), r.trial(local, peers, b, a)
	for _, peer := range peers {
		me := tier.Peer{Endpoint: local}
		p1, p2 := one.Pair(tier.Enforced(), dir, me, peer), other.Pair(tier.Enforced(), dir, me, peer)
		for _, q := range questions(p1.Cuts(), p2.Cuts()) {
			if answer(p1.Judge(q.proto, q.port)) == answer(p2.Judge(q.proto, q.port)) {
				continue
			}
			way, where := "to", local.Workload.String()
			who := nameOfPeer(peer)
			if dir == policy.Egress {
				who, where = where, who
			}
			return fmt.Sprintf("%s from %s %s %s", q, who, way, where), true
		}
	}
	return "", false
}

func nameOfPeer(p tier.Peer) string {
	if p.Endpoint != nil {
		return p.Endpoint.Workload.String()
	}
	return p.Addr.String()
}

// answer is what a verdict of a trial says: which action a rule took. A trial
// has one tier, that denies at its end, so only Pass reaches beyond it.
func answer(v tier.Verdict) policy.Action {
	switch v.By.Rule {
	case policy.NoPolicy:
		return policy.Pass
	case policy.EndOfTier:
		return 0
	}
	return v.Action
}
