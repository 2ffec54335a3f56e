// Package dialect writes recommended policies as Kubernetes NetworkPolicies and
// as CiliumNetworkPolicies, says what these can't say, and judges the observed
// flows by what was written.
//
// It is pure. Cilium's side is judged by a reader of its own, which knows what
// Cilium documents and nothing of how the policies were made.
package dialect

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/recommend"
)

// Name is a dialect, as users name it.
type Name string

// The dialects.
const (
	Kubernetes Name = "kubernetes"
	Cilium     Name = "cilium"
)

// Loss is something that a dialect can't say.
type Loss struct {
	// Policy is the recommended policy, or one that is there.
	Policy policy.Key
	// Rule is the index in the recommended policy's Direction, -1 for all of it.
	Direction policy.Direction
	Rule      int
	Reason    string
}

// Result is what was written, in the order of the policies.
type Result struct {
	Objects []*unstructured.Unstructured
	// Comments stand before the objects, one for each.
	Comments []string
	Losses   []Loss
}

// Write writes policies in a dialect. snap holds the network sets, Services and
// nodes that they speak of. Of a policy that extends another, only what is new is
// written, as a policy of its own: both dialects add up what policies allow. So no
// name is taken that a Kubernetes policy has: to apply it would undo that one.
func Write(name Name, policies []*recommend.Policy, snap *policy.Snapshot) *Result {
	w := &writer{name: name, snap: snap, used: map[string]bool{}}
	for _, there := range snap.Policies {
		if name == Kubernetes && there.Kind == policy.KindKubernetesNetworkPolicy {
			w.used[there.Namespace+"/"+there.Name] = true
		}
	}
	for _, p := range policies {
		w.write(p)
	}
	w.unsaid(policies)
	return &w.res
}

// writer writes in one dialect.
type writer struct {
	name Name
	snap *policy.Snapshot
	used map[string]bool // namespace/name
	res  Result
}

func (w *writer) lose(p *recommend.Policy, dir policy.Direction, rule int, reason string) {
	w.res.Losses = append(w.res.Losses, Loss{Policy: p.Key, Direction: dir, Rule: rule, Reason: reason})
}

func (w *writer) write(p *recommend.Policy) {
	// What a policy selects may take several: neither dialect has an "or".
	for i, alternative := range p.Selector.Alternatives() {
		reqs, ok := w.requirements(alternative)
		if !ok {
			w.lose(p, policy.Ingress, -1, "its selector has no form there: "+alternative.String())
			continue
		}
		sections := map[policy.Direction][]any{}
		for d, on := range p.Types {
			dir := policy.Direction(d)
			if !on {
				continue
			}
			sections[dir] = []any{}
			for n := range p.Rules[d] {
				rules, losses := w.rule(&p.Rules[d][n], dir, p.Namespace)
				for _, reason := range losses {
					if i == 0 {
						w.lose(p, dir, n, reason)
					}
				}
				sections[dir] = append(sections[dir], rules...)
			}
		}
		w.add(p, reqs, sections)
	}
	if p.Tier != "" && p.Tier != "default" {
		w.lose(p, policy.Ingress, -1, "it has no tiers: the policy stands beside all others, not in tier "+p.Tier)
	}
}

// add keeps one object.
func (w *writer) add(p *recommend.Policy, reqs []requirement, sections map[policy.Direction][]any) {
	var spec map[string]any
	u := &unstructured.Unstructured{Object: map[string]any{}}
	if w.name == Cilium {
		u.SetAPIVersion("cilium.io/v2")
		u.SetKind("CiliumNetworkPolicy")
		spec = ciliumSpec(reqs, sections)
	} else {
		u.SetAPIVersion("networking.k8s.io/v1")
		u.SetKind("NetworkPolicy")
		spec = kubernetesSpec(reqs, sections)
	}
	u.SetNamespace(p.Namespace)
	u.SetName(w.free(p.Namespace, p.Name))
	u.SetAnnotations(map[string]string{recommend.Annotation: "true"})
	u.Object["spec"] = spec
	w.res.Objects = append(w.res.Objects, u)
	comment := p.Heading()
	if p.Base != nil {
		comment += "# what is new beside " + p.Base.String() + "\n"
	}
	w.res.Comments = append(w.res.Comments, comment)
}

// free is a name that no other object has.
func (w *writer) free(namespace, name string) string {
	for i, try := 2, name; ; i++ {
		if !w.used[namespace+"/"+try] {
			w.used[namespace+"/"+try] = true
			return try
		}
		try = name + "-" + strconv.Itoa(i)
	}
}

// unsaid lists what policies that are there do for the same pods and the dialect
// has no word for: order among them, Pass, Deny and Log.
func (w *writer) unsaid(policies []*recommend.Policy) {
	for _, there := range w.snap.Policies {
		if !slices.ContainsFunc(policies, func(p *recommend.Policy) bool { return w.meets(there, p) }) {
			continue
		}
		if words := unsayable(there, w.name); words != "" {
			w.res.Losses = append(w.res.Losses, Loss{Policy: there.Key, Rule: -1, Reason: words})
		}
	}
	slices.SortStableFunc(w.res.Losses, func(a, b Loss) int {
		return cmp.Or(strings.Compare(a.Policy.String(), b.Policy.String()), cmp.Compare(a.Direction, b.Direction), cmp.Compare(a.Rule, b.Rule))
	})
}

// meets says whether a policy that is there selects some of the same pods.
func (w *writer) meets(there *policy.Policy, p *recommend.Policy) bool {
	if there.Namespace != "" && there.Namespace != p.Namespace || p.Base != nil && p.Base.Key == there.Key {
		return false
	}
	ns := w.snap.Namespace(p.Namespace)
	if there.NamespaceSelector != nil && (ns == nil || !there.NamespaceSelector.Matches(ns.Labels)) {
		return false
	}
	return slices.ContainsFunc(w.snap.EndpointsIn(p.Namespace), func(ep *policy.Endpoint) bool {
		return p.Selector.Matches(ep.Labels) && there.Selector.Matches(ep.Labels)
	})
}

// unsayable are the words of a policy that a dialect does not have.
func unsayable(p *policy.Policy, name Name) string {
	if p.Kind == policy.KindKubernetesNetworkPolicy || p.Kind == policy.KindStagedKubernetesNetworkPolicy {
		return ""
	}
	seen := map[policy.Action]bool{}
	for _, rules := range p.Rules {
		for i := range rules {
			seen[rules[i].Action] = true
		}
	}
	var words []string
	for _, a := range []policy.Action{policy.Deny, policy.Pass, policy.Log} {
		if seen[a] && (a != policy.Deny || name == Kubernetes) {
			words = append(words, a.String())
		}
	}
	if seen[policy.Deny] && name == Cilium {
		words = append(words, "Deny in an order (its ingressDeny and egressDeny go before all that is allowed)")
	}
	if p.Order != policy.Unordered && len(words) > 0 {
		words = append(words, "its order")
	}
	if len(words) == 0 {
		return ""
	}
	return "selects the same pods, and has no form there for " + strings.Join(words, ", ")
}
