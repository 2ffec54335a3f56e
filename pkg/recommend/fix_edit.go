package recommend

import (
	"fmt"
	"net/netip"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/policy/selector"
)

// FixEdit is the edit of one policy, or a new one: Policy.Rules come after the
// rules that are there.
type FixEdit struct {
	Policy
	// Changed are the rules of the base that are extended.
	Changed []*RuleChange
	// rules are all of the policy's, as they are then, but for the new ones of a
	// new policy.
	rules [2][]policy.Rule
}

// RuleChange is what a rule of a policy gets in addition.
type RuleChange struct {
	Direction policy.Direction
	Index     int
	Ports     []policy.PortRange
	Names     []string // of ports
	Nets      []netip.Prefix
	// Selector takes the place of the peer's, nil if that stays.
	Selector *selector.Selector
	// Rule are the rules that would have been needed instead, and What what of
	// each was missing: a port or a peer.
	Rule []Rule
	What []string
}

// stands notes that the change does what r would.
func (c *RuleChange) stands(r Rule, what string) {
	c.Rule, c.What = append(c.Rule, r), append(c.What, what)
}

// add gives the policy a rule more.
func (e *FixEdit) add(d policy.Direction, r Rule) {
	e.Types[d] = true
	e.Rules[d] = append(e.Rules[d], r)
}

// changed is the change of a rule, begun or not.
func (e *FixEdit) changed(d policy.Direction, i int) *RuleChange {
	for _, c := range e.Changed {
		if c.Direction == d && c.Index == i {
			return c
		}
	}
	c := &RuleChange{Direction: d, Index: i}
	e.Changed = append(e.Changed, c)
	return c
}

// Written are the rules that the edit stands for, by direction.
func (e *FixEdit) Written(d policy.Direction) []Rule {
	out := slices.Clone(e.Rules[d])
	for _, c := range e.Changed {
		if c.Direction == d {
			out = append(out, c.Rule...)
		}
	}
	return out
}

// Model is the policy as the evaluator reads it after the edit.
func (e *FixEdit) Model() *policy.Policy {
	out := e.Policy.Model()
	for _, c := range e.Changed {
		out.Rules[c.Direction][c.Index] = e.rules[c.Direction][c.Index]
	}
	return out
}

// Object is the policy as a resource after the edit. base is the resource that is
// edited as it is stored, nil for a new one; it is not changed.
func (e *FixEdit) Object(base *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	out, err := e.Policy.Object(base)
	if err != nil || base == nil {
		return out, err
	}
	if _, given, _ := unstructured.NestedFieldNoCopy(base.Object, "spec", "types"); !given && e.Types == e.Base.Types {
		unstructured.RemoveNestedField(out.Object, "spec", "types") // they follow from the rules (S3)
	}
	for _, c := range e.Changed {
		if err := c.apply(out); err != nil {
			return nil, fmt.Errorf("%s: %w", e.Key, err)
		}
	}
	return out, nil
}

func (c *RuleChange) apply(u *unstructured.Unstructured) error {
	field := directionFields[c.Direction]
	rules, _, err := unstructured.NestedSlice(u.Object, "spec", field)
	if err != nil {
		return err
	}
	if c.Index >= len(rules) {
		return fmt.Errorf("spec.%s has %d rules, but rule %d is to be extended", field, len(rules), c.Index)
	}
	rule, ok := rules[c.Index].(map[string]any)
	if !ok {
		return fmt.Errorf("spec.%s[%d] is no rule", field, c.Index)
	}
	side := "source"
	if c.Direction == policy.Egress {
		side = "destination"
	}
	if err := c.applyPorts(rule); err != nil {
		return err
	}
	if len(c.Nets) > 0 {
		nets, _, err := unstructured.NestedSlice(rule, side, "nets")
		if err != nil {
			return err
		}
		for _, n := range c.Nets {
			nets = append(nets, n.String())
		}
		if err := unstructured.SetNestedSlice(rule, nets, side, "nets"); err != nil {
			return err
		}
	}
	if c.Selector != nil {
		if err := unstructured.SetNestedField(rule, quoted(c.Selector), side, "selector"); err != nil {
			return err
		}
	}
	return unstructured.SetNestedSlice(u.Object, rules, "spec", field)
}

func (c *RuleChange) applyPorts(rule map[string]any) error {
	if len(c.Ports)+len(c.Names) == 0 {
		return nil
	}
	ports, _, err := unstructured.NestedSlice(rule, "destination", "ports")
	if err != nil {
		return err
	}
	for _, p := range c.Ports {
		ports = append(ports, portValue(p))
	}
	for _, name := range c.Names {
		ports = append(ports, name)
	}
	return unstructured.SetNestedSlice(rule, ports, "destination", "ports")
}

// For says in words what the edit does for a flow, empty if nothing.
func (e *FixEdit) For(o *flow.Observed) []string {
	var out []string
	writtenFor := func(r Rule) bool { return slices.Contains(r.Evidence, o) }
	for _, c := range e.Changed {
		for i, r := range c.Rule {
			if writtenFor(r) {
				out = append(out, fmt.Sprintf("a %s more in %s rule %d of %s", c.What[i], c.Direction, c.Index, e.Base.Key))
			}
		}
	}
	for d := range e.Rules {
		switch {
		case !slices.ContainsFunc(e.Rules[d], writtenFor):
		case e.Base == nil:
			out = append(out, fmt.Sprintf("%s in the new %s", policy.Direction(d), e.Key))
		default:
			out = append(out, fmt.Sprintf("an %s rule more in %s", policy.Direction(d), e.Base.Key))
		}
	}
	return out
}
