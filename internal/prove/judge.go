package prove

import (
	"net/netip"
	"slices"

	"github.com/netpol-project/netpol/pkg/policy"
)

// Scope says which policies count: what is enforced, and as if it were
// enforced too every staged policy (All), the one that Only names, or those in
// Some.
type Scope struct {
	All  bool
	Only policy.Key
	Some []policy.Key
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

// Packet is a new connection as one end's policies see it. Protocol and Port,
// the destination's, are those after translation (S22). ICMP has type and code
// there, type<<8|code. SourcePort 0 is not known.
type Packet struct {
	Direction   policy.Direction
	Local, Peer End
	Protocol    int
	Port        int
	SourcePort  int
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

// Wire is what a connection is about but for its ends: protocol,
// destination port or ICMP type and code, and source port.
type Wire struct{ Protocol, Port, SourcePort int }

// Over is the packet with another protocol and other ports.
func (c Packet) Over(v Wire) Packet {
	c.Protocol, c.Port, c.SourcePort = v.Protocol, v.Port, v.SourcePort
	return c
}

// Allowed judges both ends (S10). An end that is no endpoint has no say.
func (w *World) Allowed(scope Scope, source, destination End, v Wire) bool {
	if source.Pod != nil {
		out := Packet{Direction: policy.Egress, Local: source, Peer: destination}
		if w.Judge(scope, out.Over(v)).Action != policy.Allow {
			return false
		}
	}
	if destination.Pod != nil {
		in := Packet{Direction: policy.Ingress, Local: destination, Peer: source}
		return w.Judge(scope, in.Over(v)).Action == policy.Allow
	}
	return true
}

// acts says whether the policy acts in the direction.
func (w *World) acts(p *Policy, dir policy.Direction) bool {
	switch {
	case p.Kube != nil && p.Kube.Types != nil:
		return slices.Contains(p.Kube.Types, dir)
	case p.Kube != nil: // S4: Ingress, plus Egress if it has egress rules
		return dir == policy.Ingress || len(p.Kube.Egress) > 0
	case p.Cluster != nil: // without rules for a direction it has no say there
		return len(p.Cluster.Rules(dir)) > 0
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
	switch {
	case p.Kube != nil:
		return p.Kube.PodSelector.matches(pod.Labels)
	case p.Cluster != nil:
		return w.clusterPods(p.Cluster.Subject, pod)
	case p.DoNotTrack || p.PreDNAT: // S30: these are for host endpoints
		return false
	case p.Selector != nil && !p.Selector.Matches(pod.labels()):
		return false
	case p.ServiceAccountSelector != nil && !p.ServiceAccountSelector.Matches(w.account(pod.Namespace, pod.ServiceAccount)):
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
