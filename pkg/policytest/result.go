package policytest

import (
	"slices"

	"github.com/netpol-project/netpol/pkg/connectivity"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

// Outcome is what became of a case, in a word.
type Outcome string

// The outcomes.
const (
	Passed  Outcome = "passed"
	Failed  Outcome = "failed"
	Errored Outcome = "error"   // it could not be judged
	Skipped Outcome = "skipped" // the model is as expected, but nothing could be probed
)

// Outcome is the case's. One connection that is not as expected fails it.
func (r *Result) Outcome() Outcome {
	if r.Err != nil {
		return Errored
	}
	skipped := 0
	for i := range r.Checks {
		switch r.Checks[i].Outcome() {
		case Failed:
			return Failed
		case Skipped:
			skipped++
		}
	}
	if skipped > 0 && skipped == len(r.Checks) {
		return Skipped
	}
	return Passed
}

// NotProbed is how many connections were not tried for each reason; empty
// where probing was not asked for.
func (r *Result) NotProbed() map[string]int {
	out := map[string]int{}
	for i := range r.Checks {
		if l := r.Checks[i].Live; l != nil && l.Skipped != "" {
			out[l.Skipped]++
		}
	}
	return out
}

// Outcome is that of one connection.
func (c *Check) Outcome() Outcome {
	switch {
	case c.Got != c.Expected || !c.byHolds():
		return Failed
	case c.Live == nil:
		return Passed
	case c.Live.Skipped != "":
		return Skipped
	case c.Live.Got != c.Expected:
		return Failed
	}
	return Passed
}

// decide keeps a verdict and the ends that gave it.
func (c *Check) decide(r tier.Result) {
	c.Got, c.Deciders = policy.Allow, nil
	if !r.Allowed() {
		c.Got = policy.Deny
	}
	for _, end := range []struct {
		dir policy.Direction
		v   *tier.Verdict
	}{{policy.Egress, r.Egress}, {policy.Ingress, r.Ingress}} {
		if end.v != nil && end.v.Action == c.Got {
			c.Deciders = append(c.Deciders, Decider{end.dir, end.v.By})
		}
	}
}

// alike says whether two checks of the same ends and protocol got the same.
func (c *Check) alike(o *Check) bool {
	return c.Got == o.Got && c.Source.Endpoint == o.Source.Endpoint && c.Destination.Endpoint == o.Destination.Endpoint &&
		slices.Equal(c.Deciders, o.Deciders)
}

// byHolds says whether what must have decided is among the deciders.
func (c *Check) byHolds() bool {
	return c.By == nil || slices.ContainsFunc(c.Deciders, c.By.holds)
}

func (b *By) holds(d Decider) bool {
	p := d.Hit.Policy
	return (b.Tier == "" || b.Tier == d.Hit.Tier) &&
		(b.Kind == "" || b.Kind == string(p.Kind)) &&
		(b.Namespace == "" || b.Namespace == p.Namespace) &&
		(b.Policy == "" || b.Policy == p.Name) &&
		(b.Rule == nil || *b.Rule == d.Hit.Rule) &&
		(b.Direction == "" || b.Direction == d.Direction.String())
}

// Tier is the scope as the evaluator takes it; a staged policy that there is
// not is an UnknownName.
func (s Scope) Tier(snap *policy.Snapshot) (tier.Scope, error) {
	switch {
	case s.Pending:
		return tier.Pending(), nil
	case s.Only == "":
		return tier.Enforced(), nil
	}
	var known []string
	for _, p := range snap.Policies {
		if !p.Kind.Staged() {
			continue
		}
		if p.Name == s.Only || p.Namespace+"/"+p.Name == s.Only {
			return tier.Only(p.Key), nil
		}
		known = append(known, p.Name)
	}
	return tier.Scope{}, &connectivity.UnknownName{What: "staged policy", Name: s.Only, Known: known}
}
