package dialect

import (
	"fmt"
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

// terms puts a rule into those words, into several if not all of its peers have the
// same ports. Where that is not possible ok is false; why, and what else changes, is
// in losses.
func (w *writer) terms(r *recommend.Rule) (all []terms, losses []string, ok bool) {
	t := terms{proto: r.Protocol, icmp: r.ICMP, api: r.Purpose == recommend.PurposeAPI}
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
		if t.api && w.name == Cilium {
			losses = append(losses, "Cilium's nets hold no API server: all of its addresses are allowed, by its entity")
		}
		return []terms{t}, losses, true
	}
	for _, alternative := range r.Selector.Alternatives() {
		reqs, ok := w.requirements(alternative)
		if !ok {
			return nil, []string{"its peers' selector has no form there: " + alternative.String()}, false
		}
		t.pods = append(t.pods, podTerm{namespaces: r.Namespaces, reqs: reqs})
	}
	return []terms{t}, nil, true
}

// setTerms writes network sets as the nets that they hold now.
func (w *writer) setTerms(t terms, keys []policy.Key) ([]terms, []string, bool) {
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
		return nil, []string{strings.Join(names, ", ") + " holds no nets"}, false
	}
	return []terms{t}, []string{reason}, true
}

// serviceTerms writes a Service as the pods and addresses behind it, each with its
// own ports: those of other addresses are not the pods'.
func (w *writer) serviceTerms(t terms, ref *policy.ServiceRef) (all []terms, losses []string, ok bool) {
	name := "Service " + ref.Namespace + "/" + ref.Name
	svc := w.snap.Service(ref.Namespace, ref.Name)
	if svc == nil {
		return nil, []string{name + " is not there"}, false
	}
	if len(svc.Selector) > 0 && len(svc.Ports) > 0 {
		var reqs []requirement
		for _, k := range slices.Sorted(maps.Keys(svc.Selector)) {
			reqs = append(reqs, requirement{Label: k, Operator: "In", Values: []string{svc.Selector[k]}})
		}
		pods := t
		pods.pods = []podTerm{{namespaces: []string{svc.Namespace}, reqs: reqs}}
		for _, p := range svc.Ports {
			pods.ports = append(pods.ports, portTerm{protocol: p.Protocol, from: p.TargetPort, to: p.TargetPort, name: p.TargetName})
		}
		all = append(all, pods)
	}
	all = append(all, w.backendTerms(t, svc)...)
	if len(all) == 0 {
		return nil, []string{"nothing is behind " + name}, false
	}
	if t.api && w.name == Cilium {
		return all, nil, true // its entity follows the Service
	}
	return all, []string{name + " has no form there: written as the pods and addresses behind it now"}, true
}

// backendTerms are the addresses behind a Service, those of the same ports together.
func (w *writer) backendTerms(t terms, svc *policy.Service) []terms {
	var out []terms
	at := map[string]int{}
	for _, b := range svc.Backends {
		var ports []portTerm
		for _, p := range b.Ports {
			ports = append(ports, portTerm{protocol: p.Protocol, from: p.Port, to: p.Port})
		}
		if len(ports) == 0 {
			continue
		}
		key := fmt.Sprint(ports)
		if _, ok := at[key]; !ok {
			at[key] = len(out)
			one := t
			one.ports = ports
			out = append(out, one)
		}
		one := &out[at[key]]
		one.nets = append(one.nets, netip.PrefixFrom(b.Addr, b.Addr.BitLen()))
		one.nodes = w.holdNodes(one.nets)
	}
	return out
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
func (w *writer) rule(r *recommend.Rule, dir policy.Direction, namespace string) (rules []any, losses []string) {
	all, losses, ok := w.terms(r)
	if !ok {
		return nil, append(losses, "the rule is left out")
	}
	for i := range all {
		var more []any
		var lost []string
		if w.name == Cilium {
			more, lost = ciliumRules(&all[i], dir, namespace)
		} else {
			more, lost = kubernetesRules(&all[i], dir)
		}
		rules = append(rules, more...)
		for _, reason := range lost {
			if !slices.Contains(losses, reason) {
				losses = append(losses, reason)
			}
		}
	}
	return rules, losses
}
