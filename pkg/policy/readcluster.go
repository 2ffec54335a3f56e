package policy

import (
	"fmt"
	"math"
	"strconv"

	"github.com/netpol-project/netpol/pkg/policy/selector"
)

// Bounds of a ClusterNetworkPolicy.
const (
	maxClusterItems = 25 // rules a direction, and peers, protocols and networks a list
	maxRuleName     = 100
	maxPriority     = 1000
)

// clusterReader reads a policy.networking.k8s.io ClusterNetworkPolicy. One with
// faults errs on the closed side, as the API asks of whoever can't represent
// one: of what is not understood, Accept matches nothing, and Deny and Pass
// deny all that they could have matched. Fields of the policy itself are as
// with policyReader.
type clusterReader struct {
	*reading
	spec   *node
	pol    *Policy
	broken bool
}

// clusterTiers are where the API's tiers stand among ours (S1).
var clusterTiers = map[string]string{"Admin": "kube-admin", "Baseline": "kube-baseline"}

func readCluster(r *reading) any {
	c := clusterReader{reading: r, spec: r.root.get("spec"),
		pol: &Policy{Key: r.key, Tier: "kube-admin", Origin: r.origin(r.root.line, r.root.col)}}
	r.check(c.spec, r.schema.field("spec"), "ingress", "egress")
	c.head()
	h := r.headFaults()
	c.broken = h.any
	p := c.pol
	for dir, field := range [...]string{"ingress", "egress"} {
		list := c.spec.get(field)
		if list != nil && list.kind != isList {
			r.wrongType(list, isList)
			p.Types[dir] = true
		}
		r.atMost(list, maxClusterItems, "rules in one direction")
		for i := range items(list) {
			p.Types[dir] = true
			p.Rules[dir] = append(p.Rules[dir], c.rule(&list.kids[i].node, Direction(dir))...)
		}
	}
	if h.twice {
		p.Selector, p.NamespaceSelector, p.Order = nil, selector.All(), math.Inf(-1)
		p.Tier = "kube-admin"
	}
	if h.unknown || h.twice {
		// A list of rules may be what is not understood.
		p.Types = [2]bool{true, true}
		for d := range p.Rules {
			p.Rules[d] = append(p.Rules[d], Rule{Action: Deny})
		}
	}
	return p
}

// head reads the policy's own fields. What is not understood is as if it came
// first and selected every pod.
func (r *clusterReader) head() {
	p := r.pol
	if r.spec == nil {
		r.fault(r.root, Fault{Code: CodeRequired, Field: "spec", Reason: "the policy has no spec"})
	}
	switch t := r.spec.get("tier"); {
	case r.spec == nil:
	case t == nil:
		r.required(r.spec, "tier", "write Admin or Baseline")
	case t.kind == isString && clusterTiers[t.text] != "":
		p.Tier = clusterTiers[t.text]
	case t.kind == isString:
		r.fault(t, Fault{Code: CodeUnknownValue, Reason: "there is no such tier of ClusterNetworkPolicies", Fix: didYouMean(t.text, []string{"Admin", "Baseline"})})
	}
	p.Order = math.Inf(-1)
	switch n := r.spec.get("priority"); {
	case r.spec == nil:
	case n == nil:
		r.required(r.spec, "priority", "write a number from 0 to 1000")
	case n.kind == isNumber:
		v, err := strconv.Atoi(n.text)
		if err != nil || v < 0 || v > maxPriority {
			r.fault(n, Fault{Code: CodeOutOfBounds, Reason: "a priority is a whole number from 0 to 1000"})
			break
		}
		p.Order = float64(v)
	}
	start := r.mark()
	e := r.subject(r.spec.get("subject"))
	if r.since(start) || e.NamespaceSelector == nil {
		e = Entity{NamespaceSelector: selector.All()}
	}
	p.Selector, p.NamespaceSelector = e.Selector, e.NamespaceSelector
	if p.Selector.All() {
		p.Selector = nil
	}
}

// subject reads which pods the policy is about.
func (r *clusterReader) subject(n *node) (e Entity) {
	switch {
	case r.spec == nil:
	case n == nil:
		r.required(r.spec, "subject", "write subject: {namespaces: {}} for all pods")
	case n.kind == isMap:
		if r.exactlyOne(n, "subject", "namespaces", "pods") {
			return r.podsOf(n)
		}
	}
	return Entity{}
}

// podsOf reads namespaces or pods, of a subject or a peer.
func (r *clusterReader) podsOf(n *node) (e Entity) {
	if ns := n.get("namespaces"); ns != nil {
		return Entity{NamespaceSelector: r.labelSelector(ns)}
	}
	pods := n.get("pods")
	if pods == nil || pods.kind != isMap {
		return Entity{}
	}
	if pods.get("podSelector") == nil {
		r.required(pods, "podSelector", "write podSelector: {} for all pods")
	}
	return Entity{NamespaceSelector: r.labelSelector(pods.get("namespaceSelector")), Selector: r.labelSelector(pods.get("podSelector"))}
}

// exactlyOne says, with faults if not, whether n has one of the fields and no
// other.
func (r *clusterReader) exactlyOne(n *node, what string, fields ...string) bool {
	found := ""
	for _, f := range fields {
		switch o := n.get(f); {
		case o == nil:
		case found != "":
			r.fault(o, Fault{Code: CodeExclusive, Value: showAny(o), Reason: fmt.Sprintf("a %s has %s or %s, not both", what, found, f), Fix: "remove one, or make two of them"})
			return false
		default:
			found = f
		}
	}
	if found == "" {
		r.fault(n, Fault{Code: CodeRequired, Reason: fmt.Sprintf("the %s is empty", what), Fix: didYouMean("", fields)})
	}
	return found != ""
}

func (r *reading) required(in *node, field, fix string) {
	r.fault(in, Fault{Code: CodeRequired, Field: joinPath(pathOf(r.root, in), field), Value: "", Reason: "the field must be given", Fix: fix})
}

// atMost faults a list that is too long.
func (r *reading) atMost(list *node, most int, what string) {
	if n := len(items(list)); n > most {
		r.fault(list, Fault{Code: CodeOutOfBounds, Value: strconv.Itoa(n), Reason: fmt.Sprintf("more than %d %s", most, what)})
	}
}
