package dialect

import (
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/recommend"
)

// The labels by which Cilium knows a pod's namespace and service account.
const (
	ciliumNamespace = "k8s:io.kubernetes.pod.namespace"
	ciliumAccount   = "k8s:io.cilium.k8s.policy.serviceaccount"
)

// terms is a rule in words that both dialects have.
type terms struct {
	pods  []podTerm
	nets  []netip.Prefix
	nodes bool // some of the nets are nodes' addresses
	api   bool // the peer is the API server
	ports []portTerm
	icmp  *policy.ICMPMatch
	proto policy.Protocol
}

// podTerm picks pods; no namespaces means the policy's own.
type podTerm struct {
	namespaces []string
	reqs       []requirement
}

// portTerm is a port, a range, or a name.
type portTerm struct {
	protocol policy.Protocol
	from, to uint16
	name     string
}

// terms puts a rule into those words. Where that is not possible ok is false; why,
// and what else changes, is in losses.
func (w *writer) terms(r *recommend.Rule) (t terms, losses []string, ok bool) {
	t.proto, t.icmp, t.api = r.Protocol, r.ICMP, r.Purpose == recommend.PurposeAPI
	for _, p := range r.Ports {
		t.ports = append(t.ports, portTerm{protocol: r.Protocol, from: p.Min, to: p.Max})
	}
	for _, p := range r.NamedPorts {
		t.ports = append(t.ports, portTerm{protocol: r.Protocol, name: p.Name})
	}
	switch {
	case r.Service != nil:
		return w.serviceTerms(t, r.Service)
	case len(r.Sets) > 0:
		return w.setTerms(t, r.Sets)
	case len(r.Nets) > 0:
		t.nets, t.nodes = r.Nets, w.holdNodes(r.Nets)
		return t, nil, true
	}
	for _, alternative := range r.Selector.Alternatives() {
		reqs, ok := w.requirements(alternative)
		if !ok {
			return t, []string{"its peers' selector has no form there: " + alternative.String()}, false
		}
		t.pods = append(t.pods, podTerm{namespaces: r.Namespaces, reqs: reqs})
	}
	return t, nil, true
}

// setTerms writes network sets as the nets that they hold now.
func (w *writer) setTerms(t terms, keys []policy.Key) (terms, []string, bool) {
	var names []string
	for _, k := range keys {
		if set := w.snap.NetworkSet(k); set != nil {
			t.nets = append(t.nets, set.Nets...)
		}
		names = append(names, k.String())
	}
	slices.SortFunc(t.nets, netip.Prefix.Compare)
	t.nets = slices.Compact(t.nets)
	t.nodes = w.holdNodes(t.nets)
	reason := strings.Join(names, ", ") + " has no form there: written as the nets that it holds now"
	if len(t.nets) == 0 {
		return t, []string{strings.Join(names, ", ") + " holds no nets"}, false
	}
	return t, []string{reason}, true
}

// serviceTerms writes a Service as the pods and addresses behind it.
func (w *writer) serviceTerms(t terms, ref *policy.ServiceRef) (terms, []string, bool) {
	svc := w.snap.Service(ref.Namespace, ref.Name)
	if svc == nil {
		return t, []string{"Service " + ref.Namespace + "/" + ref.Name + " is not there"}, false
	}
	for _, p := range svc.Ports {
		switch {
		case p.TargetName != "":
			t.ports = append(t.ports, portTerm{protocol: p.Protocol, name: p.TargetName})
		case p.TargetPort != 0:
			t.ports = append(t.ports, portTerm{protocol: p.Protocol, from: p.TargetPort, to: p.TargetPort})
		}
	}
	if len(svc.Selector) > 0 {
		var reqs []requirement
		for _, k := range slices.Sorted(maps.Keys(svc.Selector)) {
			reqs = append(reqs, requirement{Label: k, Operator: "In", Values: []string{svc.Selector[k]}})
		}
		t.pods = append(t.pods, podTerm{namespaces: []string{svc.Namespace}, reqs: reqs})
	}
	for _, b := range svc.Backends {
		t.nets = append(t.nets, netip.PrefixFrom(b.Addr, b.Addr.BitLen()))
	}
	t.nodes = w.holdNodes(t.nets)
	if len(t.pods)+len(t.nets) == 0 || len(t.ports) == 0 {
		return t, []string{"nothing is behind Service " + ref.Namespace + "/" + ref.Name}, false
	}
	return t, []string{"Service " + ref.Namespace + "/" + ref.Name + " has no form there: written as the pods and addresses behind it now"}, true
}

// holdNodes says whether some of the nets hold the address of a node.
func (w *writer) holdNodes(nets []netip.Prefix) bool {
	return slices.ContainsFunc(w.snap.Nodes, func(n *policy.Node) bool {
		return slices.ContainsFunc(n.Addrs, func(a netip.Addr) bool {
			return slices.ContainsFunc(nets, func(p netip.Prefix) bool { return p.Contains(a) })
		})
	})
}

// rule is a rule as the dialect's objects, and what is lost.
func (w *writer) rule(r *recommend.Rule, dir policy.Direction, namespace string) ([]any, []string) {
	t, losses, ok := w.terms(r)
	if !ok {
		return nil, append(losses, "the rule is left out")
	}
	if w.name == Cilium {
		rules, more := ciliumRules(&t, dir, namespace)
		return rules, append(losses, more...)
	}
	rules, more := kubernetesRules(&t, dir)
	return rules, append(losses, more...)
}
