package prove

import (
	"github.com/netpol-project/netpol/pkg/policy"
)

// kinds are drawn evenly, those with the most criteria more than once.
var kinds = []policy.Kind{
	policy.KindNetworkPolicy, policy.KindGlobalNetworkPolicy,
	policy.KindNetworkPolicy, policy.KindGlobalNetworkPolicy,
	policy.KindStagedNetworkPolicy, policy.KindStagedGlobalNetworkPolicy,
	policy.KindKubernetesNetworkPolicy, policy.KindStagedKubernetesNetworkPolicy,
	policy.KindClusterNetworkPolicy,
}

// policy draws a policy of any kind.
func (g gen) policy(w *World) *Policy { return g.policyOf(w, pick(g, kinds)) }

// policyOf draws a policy of one kind.
func (g gen) policyOf(w *World, kind policy.Kind) *Policy {
	p := &Policy{Kind: kind, Name: pick(g, policyNames)}
	global := kind.Enforced() == policy.KindGlobalNetworkPolicy || kind == policy.KindClusterNetworkPolicy
	if !global {
		p.Namespace = pick(g, w.Namespaces).Name
	}
	if kind.Staged() {
		p.StagedAction = pick(g, []string{"", "Set", "Delete", "Learn", "Ignore"})
	}
	switch {
	case kind.Enforced() == policy.KindKubernetesNetworkPolicy && p.StagedAction == "Delete":
		p.Kube = &KubePolicy{}
	case p.StagedAction == "Delete": // its spec must be empty
	case kind.Enforced() == policy.KindKubernetesNetworkPolicy:
		p.Kube = g.kube()
	case kind == policy.KindClusterNetworkPolicy:
		p.Cluster = g.cluster()
	default:
		g.spec(w, p, global)
	}
	return p
}

func (g gen) spec(w *World, p *Policy, global bool) {
	p.Tier, p.Order, p.Types = g.tierOf(w), g.order(), g.types()
	if g.eighths(4) {
		p.Selector = g.expr(policySubjectKeys, 2)
	}
	if global && g.eighths(3) {
		p.NamespaceSelector = g.expr(namespaceSelectorKeys, 2)
	}
	if g.eighths(1) {
		p.ServiceAccountSelector = g.expr(accountKeys, 1)
	}
	p.Ingress, p.Egress = g.rules(w, p, policy.Ingress), g.rules(w, p, policy.Egress)
	if !global || p.NamespaceSelector != nil || p.ServiceAccountSelector != nil || !g.eighths(1) {
		return
	}
	p.ApplyOnForward = true
	switch pick(g, []string{"forward", "untracked", "preDNAT"}) {
	case "untracked":
		p.DoNotTrack = true
	case "preDNAT":
		p.PreDNAT, p.Types, p.Egress = true, []policy.Direction{policy.Ingress}, nil
	}
}

// cluster draws the spec of a ClusterNetworkPolicy.
func (g gen) cluster() *ClusterPolicy {
	c := &ClusterPolicy{Tier: pick(g, []string{"Admin", "Baseline"}), Priority: pick(g, []int{1, 0, 1000, 1}), Subject: g.clusterPods()}
	c.Ingress, c.Egress = g.clusterRules(policy.Ingress), g.clusterRules(policy.Egress)
	return c
}

func (g gen) clusterPods() ClusterPods {
	out := ClusterPods{Namespaces: *g.labelSelector(kubeNamespaceKeys)}
	if g.eighths(4) {
		out.Pods = g.labelSelector(podKeys)
	}
	return out
}

func (g gen) clusterRules(dir policy.Direction) []ClusterRule {
	var out []ClusterRule
	for range g.between(0, 3) {
		r := ClusterRule{Action: pick(g, []string{"Accept", "Deny", "Pass"})}
		networks := false
		for range g.between(1, 2) {
			peer := ClusterPeer{Pods: g.clusterPods()}
			if dir == policy.Egress && g.eighths(3) {
				nets, anyNet := nets4, any4
				if g.eighths(4) {
					nets, anyNet = nets6, any6
				}
				peer.Networks, networks = g.some(append(nets[:len(nets):len(nets)], anyNet)), true
			}
			r.Peers = append(r.Peers, peer)
		}
		for range g.between(0, 2) {
			if p := g.clusterProtocol(); p.NamedPort == "" || !networks {
				r.Protocols = append(r.Protocols, p)
			}
		}
		out = append(out, r)
	}
	return out
}

func (g gen) clusterProtocol() ClusterProtocol {
	if g.eighths(3) {
		return ClusterProtocol{NamedPort: pick(g, portNamePool)}
	}
	port := pick(g, rulePorts)
	p := ClusterProtocol{Protocol: pick(g, []string{"TCP", "UDP", "SCTP"}), Min: port, Max: port}
	if g.eighths(3) {
		r := pick(g, ranges[:len(ranges)-1])
		p.Min, p.Max = r.Min, r.Max
	}
	return p
}
