// Package lint finds what is valid in policies but hardly meant so: rules that
// can never match, selectors that select nothing, egress rules without DNS.
//
// A lint speaks only where the resources that it was given show that it is
// right; what depends on resources that may be elsewhere it leaves alone. Who
// is selected and what is allowed comes from package tier. Nothing here reads
// files: places of fields are found by Locate in texts that are handed in.
package lint

import (
	"cmp"
	"slices"
	"strings"

	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

// Lint is one thing that is looked for.
type Lint struct {
	// Code is the Code of its faults; it never changes.
	Code string
	// Short is what it finds, a few words; Help is why that matters and what to
	// do, one sentence or two.
	Short, Help string
	check       func(*run)
}

// Lints are all of them, in the order in which they are explained to people.
func Lints() []Lint {
	return []Lint{
		{"covered", "a rule that can never match", "An earlier rule of the same policy, or of an earlier policy of the tier that selects all the same endpoints, matches everything that this one matches.", (*run).covered},
		{"never-matches", "a rule whose criteria exclude each other", "What one criterion asks for the other excludes, so no connection satisfies both.", (*run).neverMatches},
		{"rules-ignored", "rules for a direction in which the policy does not act", "A policy acts only in the directions of its types (S3); add the direction to types, or remove the rules.", (*run).rulesIgnored},
		{"selects-nothing", "a selector that matches nothing", "Nothing among the resources that were read has such labels: a label or value may be misspelt.", (*run).selectsNothing},
		{"no-such-service", "a Service that does not exist", "A rule that names it matches nothing.", (*run).namedThings},
		{"no-such-account", "a service account that does not exist", "A rule that names no other matches nothing.", nil},
		{"no-such-port", "a port name that no container declares", "Names of ports match only where a pod that the rule speaks of declares the name with the rule's protocol (S21).", nil},
		{"dns-forgotten", "egress rules without DNS", "The pods may connect to others but can reach no DNS server, so names don't resolve; allow UDP and TCP 53 to the cluster's DNS.", (*run).dnsForgotten},
		{"log-only", "a policy of Log rules only", "Log does not decide, so what these rules match goes on to the end of the tier, which denies it (S7, S8).", (*run).logOnly},
		{"pass-nowhere", "Pass with no later tier", "Pass leaves the decision to the next tier with a policy for the endpoint; where there is none the connection is allowed (S9).", (*run).passNowhere},
		{"tie", "policies whose order is undecided", "Policies of a tier with the same order, or none, are asked in the order of their names (S2), and here that decides; give them orders.", (*run).ties},
		{"tier-tie", "tiers whose order is undecided", "Tiers with the same order, or none, are asked in the order of their names (S1); give them orders.", (*run).tierTies},
		{"allow-all", "a rule that allows everything", "An Allow without any criterion opens the direction whole; say in the policy's name that this is meant (allow-all), or give the rule criteria.", (*run).allowAll},
		{"net-covered", "a net within another net of the same list", "It changes nothing, or the other was meant to be smaller.", (*run).netsCovered},
		{"delete-nothing", "a staged deletion of a policy that does not exist", "A staged policy with stagedAction Delete removes the enforced policy of its kind, namespace and name (S27).", (*run).deleteNothing},
	}
}

// Check looks for everything that Lints lists. broken says which resources have
// errors: they are not judged as they are written, so nothing is said of them.
// The faults are warnings at the Origins of their resources; Locate finds the
// places of their fields.
func Check(s *policy.Snapshot, broken func(policy.Key) bool) policy.Faults {
	r := newRun(s, broken)
	for _, l := range Lints() {
		if l.check != nil {
			l.check(r)
		}
	}
	slices.SortStableFunc(r.faults, func(a, b policy.Fault) int {
		return cmp.Or(strings.Compare(a.Origin.File, b.Origin.File), cmp.Compare(a.Origin.Line, b.Origin.Line),
			cmp.Compare(a.Origin.Column, b.Origin.Column))
	})
	return r.faults
}

// run is one Check.
type run struct {
	snap  *policy.Snapshot // with the stranger
	model *tier.Model
	// stranger stands for a cluster's DNS where that is not among what was
	// read; nil if it is.
	stranger *policy.Endpoint
	sound    []*policy.Policy // those without errors
	// policies are those of them that judge or would judge something, in the
	// order of tiers' names and in each of them in the order in which they are
	// asked.
	policies []*policy.Policy
	// selected are the endpoints that a policy selects, one of each identity,
	// by direction.
	selected map[*policy.Policy]*[2][]*policy.Endpoint
	profiles []*profile
	faults   policy.Faults
}

// profile is endpoints that the same policies judge in one direction, under
// one scope.
type profile struct {
	scope     tier.Scope
	dir       policy.Direction
	policies  []*policy.Policy   // in the order in which they are asked
	endpoints []*policy.Endpoint // one of each identity
}

// warn adds a finding about a policy.
func (r *run) warn(p *policy.Policy, f policy.Fault) {
	f.Key, f.Origin, f.Warning = p.Key, p.Origin, true
	r.faults = append(r.faults, f)
}

// rulesField is the field of the rules of a direction.
func rulesField(d policy.Direction) string {
	if d == policy.Ingress {
		return "spec.ingress"
	}
	return "spec.egress"
}
