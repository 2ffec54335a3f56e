package lint

import (
	"fmt"
	"slices"

	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/policy/selector"
)

// ruleRef is one rule of a policy.
type ruleRef struct {
	policy *policy.Policy
	index  int
}

// coverKey is what a rule must have in common with another in order to be
// covered by it: found by table, so that the work does not grow with the square
// of policies. An equality that wide requires, narrow must require, too.
type coverKey struct {
	tier          string
	dir           policy.Direction
	namespace     string // of the wide policy
	subject, peer selector.Equality
}

// mostAlike bounds how many rules with one key are looked at for each other
// rule: more of them are a generated set, where the first ones tell.
const mostAlike = 256

// coverage is what is known while policies are gone through in their order.
type coverage struct {
	// rules that decide, of the policies so far.
	rules map[coverKey][]ruleRef
	// replaced are the enforced policies that a staged one stands in for (S27).
	replaced map[policy.Key]bool
}

// covered finds rules that can't match since an earlier one always decides.
func (r *run) covered() {
	c := coverage{map[coverKey][]ruleRef{}, map[policy.Key]bool{}}
	for _, p := range r.policies {
		if p.Kind.Staged() {
			twin := p.Key
			twin.Kind = p.Kind.Enforced()
			c.replaced[twin] = true
		}
	}
	for _, p := range r.policies {
		subject := subjectOf(p)
		for _, d := range acts(p) {
			for i := range p.Rules[d] {
				if by, ok := c.coveredBy(p, d, i, subject); ok {
					r.warnCovered(p, d, i, by)
				}
			}
		}
		for _, d := range acts(p) {
			for i := range p.Rules[d] {
				if rule := &p.Rules[d][i]; rule.Action != policy.Log && rule.HTTP == nil {
					k := coverKey{p.Tier, d, p.Namespace, first(p.Selector.Equalities()), first(peerOf(rule, d).Selector.Equalities())}
					c.rules[k] = append(c.rules[k], ruleRef{p, i})
				}
			}
		}
	}
}

func first(list []selector.Equality) selector.Equality {
	if len(list) == 0 {
		return selector.Equality{}
	}
	return list[0]
}

// peerOf is the far side of a rule.
func peerOf(rule *policy.Rule, d policy.Direction) *policy.Entity {
	if d == policy.Ingress {
		return &rule.Source
	}
	return &rule.Destination
}

// coveredBy finds the first rule before rule i of p that covers it.
func (c *coverage) coveredBy(p *policy.Policy, d policy.Direction, i int, subject *selector.Selector) (ruleRef, bool) {
	rules := p.Rules[d]
	for j := range i {
		pair := rulePair{&rules[j], &rules[i], p, p}
		if rules[j].Action != policy.Log && pair.covers() {
			return ruleRef{p, j}, true
		}
	}
	subjects := append(subject.Equalities(), selector.Equality{})
	peers := append(peerOf(&rules[i], d).Selector.Equalities(), selector.Equality{})
	namespaces := []string{p.Namespace, ""}
	if p.Namespace == "" {
		namespaces = namespaces[:1]
	}
	for _, ns := range namespaces {
		for _, s := range subjects {
			for _, peer := range peers {
				list := c.rules[coverKey{p.Tier, d, ns, s, peer}]
				for _, ref := range list[:min(len(list), mostAlike)] {
					if c.coversFromBefore(ref, p, d, i) {
						return ref, true
					}
				}
			}
		}
	}
	return ruleRef{}, false
}

// coversFromBefore says whether a rule of another policy, one that is asked
// before, covers rule i of p.
func (c *coverage) coversFromBefore(ref ruleRef, p *policy.Policy, d policy.Direction, i int) bool {
	q := ref.policy
	switch {
	case q.Kind.Staged() && !p.Kind.Staged(), p.Kind.Staged() && c.replaced[q.Key]:
		return false // they never count together
	case q.Rules[d][ref.index].Action == policy.Allow && kubernetes(p):
		// Kubernetes policies add up: that two of them allow the same is usual.
		return false
	}
	pair := rulePair{&q.Rules[d][ref.index], &p.Rules[d][i], q, p}
	return pair.covers() && subjectCovers(q, p)
}

func kubernetes(p *policy.Policy) bool {
	return p.Kind.Enforced() == policy.KindKubernetesNetworkPolicy
}

func (r *run) warnCovered(p *policy.Policy, d policy.Direction, i int, by ruleRef) {
	rule := &by.policy.Rules[d][by.index]
	which := fmt.Sprintf("%s[%d] (%s)", rulesField(d), by.index, rule.Action)
	if kubernetes(by.policy) || by.policy.Kind == policy.KindClusterNetworkPolicy {
		which = "an earlier rule" // they are not numbered as they are written
	}
	f := policy.Fault{Code: "covered", Field: fmt.Sprintf("%s[%d]", rulesField(d), i), Fix: "remove one of them, or change their order"}
	if by.policy == p {
		f.Reason = "the rule can never match: " + which + " matches everything that it does"
	} else {
		f.Reason = fmt.Sprintf("the rule can never match: %s of %s, which is asked before and selects the same, matches everything that it does", which, nameOf(by.policy, p))
	}
	if rule.Action == p.Rules[d][i].Action && slices.Contains([]policy.Action{policy.Allow, policy.Deny}, rule.Action) {
		f.Fix = "remove it"
	}
	r.warn(p, f)
}
