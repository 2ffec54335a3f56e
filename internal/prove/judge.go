package prove

import (
	"cmp"
	"math"
	"net/netip"
	"slices"

	"github.com/netpol-project/netpol/pkg/policy"
)

// Scope says which policies count: what is enforced, and as if it were
// enforced too every staged policy (All) or the one that Only names.
type Scope struct {
	All  bool
	Only policy.Key
}

// End is one end of a connection. A pod's end has the address that the
// connection uses, or none where only the pod is known.
type End struct {
	Pod  *Pod
	Addr netip.Addr
}

// Answer is a verdict: what was decided, by what, after which Log rules.
type Answer struct {
	Action policy.Action
	By     policy.Hit
	Logs   []policy.Hit
}

// Packet is a new connection as one end's policies see it. Protocol and Port
// are those after translation (S22).
type Packet struct {
	Direction   policy.Direction
	Local, Peer End
	Protocol    int
	Port        int
}

// Judge walks tiers, policies and rules for one packet (S1 to S9).
func (w *World) Judge(scope Scope, c Packet) Answer {
	var logs []policy.Hit
	inForce := w.inForce(scope)
	for _, tier := range w.tiers(inForce) {
		var last *Policy
		passed := false
	policies:
		for _, p := range w.policies(tier, inForce) {
			// S3, S14: a policy that does not act in this direction or does not
			// select the endpoint is as if it were not there.
			if !w.acts(p, c.Direction) || !w.selects(p, c.Local.Pod) {
				continue
			}
			last = p
			for i := range p.ruleCount(c.Direction) {
				action, matches := w.rule(p, i, c)
				if !matches {
					continue
				}
				hit := policy.Hit{Tier: tier.name, Policy: p.Key(), Rule: i, Action: action}
				switch action {
				case policy.Log:
					logs = append(logs, hit) // S7: log, go on with the next rule
				case policy.Pass:
					passed = true // S6: leave the tier
					break policies
				default:
					return Answer{Action: action, By: hit, Logs: logs} // S5
				}
			}
		}
		// S8: some policy selects the endpoint and none decided.
		if last != nil && !passed && tier.defaultAction == policy.Deny {
			by := policy.Hit{Tier: tier.name, Policy: last.Key(), Rule: policy.EndOfTier, Action: policy.Deny}
			return Answer{Action: policy.Deny, By: by, Logs: logs}
		}
	}
	// S9: no tier applied, or all passed.
	return Answer{Action: policy.Allow, By: policy.Hit{Rule: policy.NoPolicy, Action: policy.Allow}, Logs: logs}
}

// Allowed judges both ends (S10). An end that is no endpoint has no say.
func (w *World) Allowed(scope Scope, source, destination End, protocol, port int) bool {
	if source.Pod != nil {
		out := Packet{Direction: policy.Egress, Local: source, Peer: destination, Protocol: protocol, Port: port}
		if w.Judge(scope, out).Action != policy.Allow {
			return false
		}
	}
	if destination.Pod != nil {
		in := Packet{Direction: policy.Ingress, Local: destination, Peer: source, Protocol: protocol, Port: port}
		return w.Judge(scope, in).Action == policy.Allow
	}
	return true
}

// inForce is the policies that count in a scope.
func (w *World) inForce(scope Scope) []*Policy {
	var out []*Policy
	for _, p := range w.Policies {
		if !p.Kind.Staged() { // S26: staged policies are never enforced
			out = append(out, p)
		}
	}
	for _, p := range w.Policies {
		if !p.Kind.Staged() || !scope.All && p.Key() != scope.Only { // S28
			continue
		}
		if p.StagedAction == "Ignore" { // S27: Ignore is absent
			continue
		}
		// S27: Set, Learn and Delete take away the enforced policy of the same
		// kind, namespace and name ...
		out = slices.DeleteFunc(out, func(e *Policy) bool {
			return e.Kind == p.Kind.Enforced() && e.Namespace == p.Namespace && e.Name == p.Name
		})
		if p.StagedAction != "Delete" { // ... and Set and Learn take its place.
			out = append(out, p)
		}
	}
	return out
}

// tierInForce is a tier with its defaults filled in.
type tierInForce struct {
	name          string
	order         float64
	defaultAction policy.Action
	missing       bool
}

// tiers are all tiers in the order in which they are visited.
func (w *World) tiers(inForce []*Policy) []tierInForce {
	// S1: the built-in tier.
	out := []tierInForce{{name: "default", order: 1_000_000, defaultAction: policy.Deny}}
	for _, t := range w.Tiers {
		if t.Name == "default" {
			continue
		}
		next := tierInForce{name: t.Name, order: orderOf(t.Order), defaultAction: policy.Deny}
		if t.DefaultAction == "Pass" { // S8: Deny unless it says Pass
			next.defaultAction = policy.Pass
		}
		out = append(out, next)
	}
	// S13: a tier that does not exist comes after all valid ones, ends in deny.
	for _, p := range inForce {
		exists := slices.ContainsFunc(out, func(t tierInForce) bool { return t.name == p.tier() })
		if !exists {
			out = append(out, tierInForce{name: p.tier(), order: math.Inf(1), defaultAction: policy.Deny, missing: true})
		}
	}
	slices.SortFunc(out, func(a, b tierInForce) int {
		if a.missing != b.missing {
			if b.missing {
				return -1
			}
			return 1
		}
		return cmp.Or(cmp.Compare(a.order, b.order), cmp.Compare(a.name, b.name)) // S1
	})
	return out
}

// policies are the policies of a tier, in order (S2).
func (w *World) policies(t tierInForce, inForce []*Policy) []*Policy {
	var out []*Policy
	for _, p := range inForce {
		if p.tier() == t.name {
			out = append(out, p)
		}
	}
	slices.SortFunc(out, func(a, b *Policy) int {
		return cmp.Or(
			cmp.Compare(a.order(), b.order()),
			cmp.Compare(a.Name, b.Name),
			cmp.Compare(a.Namespace, b.Namespace),
			cmp.Compare(a.Kind.Enforced(), b.Kind.Enforced()))
	})
	return out
}

func (p *Policy) tier() string {
	if p.Tier == "" { // also S4: a Kubernetes policy sits in tier default
		return "default"
	}
	return p.Tier
}

func (p *Policy) order() float64 {
	if p.Kube != nil {
		return 1000 // S4
	}
	return orderOf(p.Order)
}

func orderOf(order *float64) float64 {
	if order == nil {
		return math.Inf(1) // S1, S2: no order is last
	}
	return *order
}

// acts says whether the policy acts in the direction.
func (w *World) acts(p *Policy, dir policy.Direction) bool {
	switch {
	case p.Kube != nil && p.Kube.Types != nil:
		return slices.Contains(p.Kube.Types, dir)
	case p.Kube != nil: // S4: Ingress, plus Egress if it has egress rules
		return dir == policy.Ingress || len(p.Kube.Egress) > 0
	case p.Types != nil:
		return slices.Contains(p.Types, dir)
	case len(p.Egress) == 0: // S3
		return dir == policy.Ingress
	case len(p.Ingress) == 0:
		return dir == policy.Egress
	}
	return true
}

// selects says whether the policy selects the pod (S14).
func (w *World) selects(p *Policy, pod *Pod) bool {
	if p.Namespace != "" && p.Namespace != pod.Namespace {
		return false
	}
	if p.Kube != nil {
		return p.Kube.PodSelector.matches(pod.Labels)
	}
	if p.Selector != nil && !p.Selector.Matches(pod.labels()) {
		return false
	}
	return p.NamespaceSelector == nil || p.NamespaceSelector.Matches(w.namespace(pod.Namespace).labels())
}

// labels are the pod's own and those that every pod has (S15).
func (p *Pod) labels() map[string]string {
	out := map[string]string{}
	for k, v := range p.Labels {
		out[k] = v
	}
	out["projectcalico.org/namespace"] = p.Namespace
	out["projectcalico.org/orchestrator"] = "k8s"
	out["projectcalico.org/serviceaccount"] = p.ServiceAccount
	return out
}

// labels are the namespace's own and those that every namespace has (S15).
func (n *Namespace) labels() map[string]string {
	out := map[string]string{}
	for k, v := range n.Labels {
		out[k] = v
	}
	out["projectcalico.org/name"] = n.Name
	out["kubernetes.io/metadata.name"] = n.Name
	return out
}
