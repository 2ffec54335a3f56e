package flow

import (
	"context"
	"time"

	"github.com/netpol-project/netpol/pkg/policy"
)

// Filter picks flows; the zero Filter picks all but probes.
type Filter struct {
	// Since and Until bound when flows were seen; zero is unbounded.
	Since, Until time.Time
	// Namespaces: either end is in one of them; empty is any.
	Namespaces []string
	// Workload: either end is that workload (by name); empty is any.
	Workload string
	// From and To: the source or destination is namespace/workload, a
	// workload name, or an address; empty is any.
	From, To string
	// FromNamespace and ToNamespace are what the source or destination is in;
	// empty is any.
	FromNamespace, ToNamespace string
	Protocol                   policy.Protocol
	Port                       uint16
	// Action is what was enforced: Allow, Deny or 0 for any.
	Action policy.Action
	// Pending is what would be enforced with all staged policies, likewise.
	Pending       policy.Action
	IncludeProbes bool
}

// Coverage says what the flows are evidence of.
type Coverage struct {
	// From is since when flows were collected, To until when.
	From, To time.Time
	// Lost connections; LostUnknown: at least so many (shown as ≥).
	Lost        int64
	LostUnknown bool
	// Evicted flows that were dropped to stay within bounds.
	Evicted int64
	// Restricted: flows are left out that the user may not see.
	Restricted bool
	// Namespaces are those whose flows a recording has; none: of all that there
	// are. Of other namespaces it is no evidence.
	Namespaces []string
	// Nodes are the windows that each node's agent counted in, sorted by name;
	// empty where the source of flows can't tell.
	Nodes []NodeCoverage
	// Policies says of staged policies since when each has been judged as it is
	// now, sorted by key; empty where the source of flows can't tell.
	Policies []PolicySince
}

// PolicySince says since when a staged policy has been as it is.
type PolicySince struct {
	Key policy.Key
	// Since is when it was first seen with its present specification.
	Since time.Time
}

// NodeCoverage says since when and until when a node's agent counted.
type NodeCoverage struct {
	Node     string
	From, To time.Time
	// Gaps between From and To in which nobody counted, sorted.
	Gaps []Gap
	// Lost connections of this node; LostUnknown: at least so many.
	Lost        int64
	LostUnknown bool
}

// Gap is a span of time in which nothing was counted.
type Gap struct{ From, To time.Time }

// Source is where flows come from. NewClient makes one.
type Source interface {
	// List returns the flows that pass the filter, aggregated over the whole
	// span, sorted by key.
	List(ctx context.Context, f Filter) ([]Flow, Coverage, error)
	// Follow calls each for every flow as it changes, until ctx ends, with what
	// it gained since the call before (so that the calls add up to what List
	// says). Without Since it begins now; with it, with what there is.
	Follow(ctx context.Context, f Filter, each func(Flow) error) error
}
