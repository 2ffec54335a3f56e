package policy

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	v3 "github.com/projectcalico/api/pkg/apis/projectcalico/v3"

	"github.com/netpol-project/netpol/pkg/policy/selector"
)

// Bounds that the API enforces.
const (
	maxRules = 1024 // a direction
	maxNets  = 256  // a list
	maxPorts = 50   // a list
)

// policyReader reads a v3 policy.
//
// What it makes of an enforced policy with faults errs on the closed side
// (S4), whatever the author meant:
//   - A rule that is not understood whole: an Allow matches nothing, and a Deny
//     loses the criteria that are not understood, so that it denies at least
//     what it should. A Pass becomes such a Deny: what it matches was not meant
//     for the rules after it, and the tiers after this one may not be meant for
//     what it would match without that criterion. So does a rule whose action is
//     not understood, since it may be a Deny.
//   - The policy's own fields (tier, order, selectors, types, or a field that
//     does not exist) decide to whom and when its rules apply. Where one is not
//     understood, the policy selects everything that it possibly could, but then
//     its Allow and Pass rules would speak for endpoints that they are not meant
//     for: they are treated as not understood. Without a known order it comes
//     first, so that no other policy's Allow is judged before its Deny. A field
//     that does not exist or is given twice may be a list with Deny rules: the
//     policy then denies what reaches its end.
type policyReader struct {
	*reading
	spec   *node
	specs  *schema // of the spec
	pol    *Policy
	broken bool // the policy's own fields have faults
	gap    bool // a field is unknown or given twice, so that rules may be missing
}

// readPolicy reads all kinds of v3 policies.
func readPolicy(r *reading) any {
	pr := policyReader{reading: r, spec: r.root.get("spec"), pol: &Policy{Key: r.key, Origin: r.origin(r.root.line, r.root.col)}}
	pr.specs = r.schema.field("spec")
	r.check(pr.spec, pr.specs, "ingress", "egress")
	pr.head()
	h := r.headFaults()
	pr.broken, pr.gap = h.any, h.unknown || h.twice
	pr.types()
	if h.twice {
		p := pr.pol
		p.Selector, p.NamespaceSelector, p.ServiceAccountSelector = nil, nil, nil
		p.DoNotTrack, p.PreDNAT, p.ApplyOnForward = false, false, false
		p.Order, p.Types = math.Inf(-1), [2]bool{true, true}
	}
	pr.rules(Ingress, "ingress")
	pr.rules(Egress, "egress")
	pr.closeGap()
	if r.since(0) && pr.pol.Kind.Staged() {
		return nil
	}
	return pr.pol
}

// head reads the policy's own fields.
func (r *policyReader) head() {
	p := r.pol
	p.Tier = "default"
	if t := r.spec.get("tier"); !t.empty() && t.kind == isString {
		r.checkName(t, maxName, subdomain)
		p.Tier = r.dec.shared.str(t.text)
	}
	p.Order = r.order(r.spec.get("order"))
	if math.IsNaN(p.Order) {
		p.Order = math.Inf(-1)
	}
	p.Selector = r.selector(r.spec.get("selector"), false)
	if p.Selector.All() {
		p.Selector = nil
	}
	p.NamespaceSelector = r.selector(r.spec.get("namespaceSelector"), false)
	p.ServiceAccountSelector = r.selector(r.spec.get("serviceAccountSelector"), false)
	r.hostFields()
	for i := range items(r.spec.get("performanceHints")) {
		if n := &r.spec.get("performanceHints").kids[i].node; n.kind == isString && n.text != string(v3.PerfHintAssumeNeededOnEveryNode) {
			r.fault(n, Fault{Code: CodeUnknownValue, Warning: true, Reason: "there is no such hint; hints change no verdict",
				Fix: "write " + string(v3.PerfHintAssumeNeededOnEveryNode)})
		}
	}
	if p.Kind.Staged() {
		p.StagedAction = r.stagedAction(r.spec)
	}
}

// order reads an order; NaN for one that is wrong.
func (r *reading) order(n *node) Order {
	if n == nil {
		return Unordered
	}
	v, err := strconv.ParseFloat(n.text, 64)
	switch {
	case n.kind != isNumber:
		r.wrongType(n, isNumber)
		return math.NaN()
	case err != nil || math.IsNaN(v) || math.IsInf(v, 0):
		r.fault(n, Fault{Code: CodeOutOfBounds, Reason: "an order is a finite number", Fix: "leave it out to be last"})
		return math.NaN()
	}
	return v
}

// selector reads a selector; nil if there is none or it is wrong. global()
// has a meaning only as the whole namespaceSelector of a rule.
func (r *reading) selector(n *node, ruleNamespaces bool) *selector.Selector {
	if n.empty() || n.kind != isString {
		return nil
	}
	s, err := r.dec.shared.selector(n.text)
	switch {
	case err != nil:
		r.fault(n, Fault{Code: CodeBadSelector, Reason: err.Error()})
		return nil
	case s.UsesGlobal() && !ruleNamespaces:
		r.fault(n, Fault{Code: CodeBadGlobal, Reason: "global() is allowed in a rule's namespaceSelector only"})
		return nil
	case s.UsesGlobal() && !s.Global():
		r.fault(n, Fault{Code: CodeBadGlobal, Reason: "global() can't be part of a longer selector"})
		return nil
	}
	return s
}

var stagedActions = []string{string(StagedDelete), string(StagedIgnore), string(StagedLearn), string(StagedSet)}

// stagedAction reads what enforcing would do; Delete takes the policy away, so
// that anything else in the spec (but the tier, which says where the policy
// to delete is) contradicts it.
func (r *reading) stagedAction(spec *node) StagedAction {
	n := spec.get("stagedAction")
	if n.empty() || n.kind != isString {
		return StagedSet
	}
	switch a := StagedAction(n.text); a {
	case StagedSet, StagedLearn, StagedIgnore:
		return StagedAction(r.dec.shared.str(n.text))
	case StagedDelete:
		for i := range spec.kids {
			e := &spec.kids[i]
			if e.key != "stagedAction" && e.key != "tier" && !e.node.empty() {
				r.fault(&e.node, Fault{Code: CodeExclusive, Reason: "stagedAction Delete goes with an empty spec", Fix: "remove " + e.key})
			}
		}
		return StagedDelete
	}
	r.fault(n, Fault{Code: CodeUnknownValue, Reason: "there is no such staged action", Fix: didYouMean(n.text, stagedActions)})
	return StagedSet
}

// types reads or infers the directions (S3). Where they can't be known, both
// are closed.
func (r *policyReader) types() {
	p := r.pol
	n := r.spec.get("types")
	if n.empty() {
		in, out := items(r.spec.get("ingress")), items(r.spec.get("egress"))
		p.Types[Egress] = len(out) > 0 || r.gap
		p.Types[Ingress] = len(in) > 0 || len(out) == 0 || r.gap
		return
	}
	start := r.mark()
	for i := range items(n) {
		t := &n.kids[i].node
		var d Direction
		switch t.text {
		case "Ingress":
			d = Ingress
		case "Egress":
			d = Egress
		default:
			r.fault(t, Fault{Code: CodeUnknownValue, Reason: "there is no such policy type", Fix: didYouMean(t.text, []string{"Ingress", "Egress"})})
			continue
		}
		if p.Types[d] {
			r.fault(t, Fault{Code: CodeDuplicate, Reason: "the type is given twice", Fix: "remove one"})
		}
		p.Types[d] = true
	}
	if r.since(start) || n.kind != isList {
		r.broken = true
		p.Types = [2]bool{true, true}
	}
}

// headFaults tells what is wrong with what decides to whom and when the rules
// apply. Faults of the metadata do not touch that, but an unknown field of the
// document itself may be a misspelt spec.
type headFaults struct {
	any     bool
	unknown bool // a field does not exist
	twice   bool // a field is given twice: any may have been meant otherwise
}

func (r *reading) headFaults() (h headFaults) {
	for _, f := range r.faults {
		if f.Warning || strings.HasPrefix(f.Field, "metadata") && f.Field != "metadata.namespace" {
			continue
		}
		h.any = true
		h.unknown = h.unknown || f.Reason == noSuchField
		h.twice = h.twice || f.Reason == givenTwice
	}
	return h
}

// closeGap denies what the rules that may be missing could have denied.
func (r *policyReader) closeGap() {
	if !r.gap {
		return
	}
	for d := range r.pol.Rules {
		r.pol.Rules[d] = append(r.pol.Rules[d], Rule{Action: Deny})
	}
}

func (r *policyReader) rules(dir Direction, field string) {
	n := r.spec.get(field)
	if n == nil {
		return
	}
	if n.kind != isList {
		r.wrongType(n, isList)
		r.pol.Types[dir] = true
		return
	}
	if len(n.kids) > maxRules {
		r.fault(n, Fault{Code: CodeOutOfBounds, Value: strconv.Itoa(len(n.kids)), Reason: fmt.Sprintf("more than %d rules in one direction", maxRules)})
	}
	if len(n.kids) == 0 {
		return
	}
	s := r.specs.field(field)
	rules := make([]Rule, len(n.kids))
	for i := range n.kids {
		rules[i] = r.rule(&n.kids[i].node, s, dir)
	}
	r.pol.Rules[dir] = rules
}
