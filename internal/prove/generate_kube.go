package prove

import (
	"net/netip"

	"github.com/netpol-project/netpol/pkg/policy"
)

// blocks are ipBlocks with an except that lies inside.
var blocks = []KubePeer{
	{Block: netip.MustParsePrefix("10.0.0.0/24"), Except: prefixes("10.0.0.0/30", "10.0.0.200/32")},
	{Block: netip.MustParsePrefix("10.0.0.4/30")},
	{Block: any4, Except: prefixes("192.0.2.0/24")},
	{Block: netip.MustParsePrefix("192.0.2.0/24"), Except: prefixes("192.0.2.7/32")},
	{Block: netip.MustParsePrefix("fd00::/64"), Except: prefixes("fd00::4/126")},
	{Block: any6},
}

// kube draws the spec of a Kubernetes NetworkPolicy.
func (g gen) kube() *KubePolicy {
	k := &KubePolicy{PodSelector: *g.labelSelector(podKeys), Types: pick(g, [][]policy.Direction{
		nil, {policy.Ingress}, nil, {policy.Egress}, {policy.Ingress, policy.Egress},
	})}
	k.Ingress, k.Egress = g.kubeRules(), g.kubeRules()
	return k
}

func (g gen) kubeRules() []KubeRule {
	var out []KubeRule
	for range g.between(0, 2) {
		var r KubeRule
		for range pick(g, []int{0, 1, 2, 0}) {
			r.Peers = append(r.Peers, g.kubePeer())
		}
		for range g.between(0, 3) {
			r.Ports = append(r.Ports, g.kubePort())
		}
		out = append(out, r)
	}
	return out
}

func (g gen) kubePeer() KubePeer {
	switch pick(g, []string{"pods", "namespaces", "both", "block"}) {
	case "pods":
		return KubePeer{PodSelector: g.labelSelector(podKeys)}
	case "namespaces":
		return KubePeer{NamespaceSelector: g.labelSelector(kubeNamespaceKeys)}
	case "both":
		return KubePeer{PodSelector: g.labelSelector(podKeys), NamespaceSelector: g.labelSelector(kubeNamespaceKeys)}
	}
	return pick(g, blocks)
}

var kubeNamespaceKeys = append([]string{"kubernetes.io/metadata.name"}, namespaceKeys...)

func (g gen) kubePort() KubePort {
	p := KubePort{Protocol: pick(g, []string{"", "TCP", "UDP", "SCTP"})}
	switch {
	case g.eighths(3):
		p.Name = pick(g, portNamePool)
	case g.eighths(6):
		p.Port = pick(g, rulePorts)
		if g.eighths(5) {
			p.EndPort = min(p.Port+pick(g, []int{0, 1, 10, 1000}), 65535)
		}
	}
	return p
}

func (g gen) labelSelector(keys []string) *LabelSelector {
	s := &LabelSelector{MatchLabels: map[string]string{}}
	if g.eighths(3) {
		s.MatchLabels[pick(g, keys)] = pick(g, labelValues)
	}
	if g.eighths(3) {
		e := LabelExpression{Key: pick(g, keys), Operator: pick(g, []string{"In", "NotIn", "Exists", "DoesNotExist"})}
		if e.Operator == "In" || e.Operator == "NotIn" {
			for range g.between(1, 2) {
				e.Values = append(e.Values, pick(g, labelValues))
			}
		}
		s.Expressions = append(s.Expressions, e)
	}
	return s
}
