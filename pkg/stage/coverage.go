package stage

import (
	"slices"
	"strings"
	"time"

	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

// Declared is a resource that makes pods, as far as it tells whether they ran.
type Declared struct {
	policy.Workload
	// Created is the zero time where that is not known (in a directory).
	Created time.Time
	// Replicas is what is asked for, of kinds that have replicas; nil: one.
	Replicas *int64
	// Schedule is a CronJob's; Suspended CronJobs and Jobs do not run.
	Schedule  string
	Suspended bool
	// Started and Ended are of the last run of a Job or CronJob; zero: it never
	// ran, it still runs, or nothing is known.
	Started, Ended time.Time
	// Owned: another one made it, and counts in its place.
	Owned bool
}

// Evidence is what Assess goes by.
type Evidence struct {
	Flows    []flow.Flow
	Coverage flow.Coverage
	Declared []Declared
	// Unreadable are resources that Declared lacks, since the user may not list
	// them.
	Unreadable []string
	// Policies are those that the scope promotes; none: there is nothing to be
	// ready for.
	Policies []policy.Key
	// Unjudged is how many resources have faults, so that the model lacks them and
	// nothing is known of what they would block.
	Unjudged int
	// Undecided is how many of the flows may be blocked (Report.MayBlock).
	Undecided int
	// Namespaces are those that it is about; none: all.
	Namespaces []string
	// Least is for how long traffic has to have been seen; from a day on, at
	// all hours of the day.
	Least time.Duration
	// Now is the present.
	Now time.Time
}

// Readiness is what was not seen: whether what was is enough to enforce by. Its
// JSON is a contract.
type Readiness struct {
	Ready bool `json:"ready"`
	// Reasons are why not, each in a few words.
	Reasons []string `json:"reasons"`
	// WindowSeconds is how long was covered, on any node: times apart in which
	// nobody counted.
	WindowSeconds int64 `json:"windowSeconds"`
	LeastSeconds  int64 `json:"leastSeconds"`
	// Selected is how many workloads the policies select.
	Selected int `json:"selectedWorkloads"`
	// HoursMissing are the hours of the day (UTC) in which nothing was seen,
	// where all of them are asked for.
	HoursMissing []int `json:"hoursMissing"`
	// Unrecorded are namespaces of selected workloads whose flows the recording
	// lacks.
	Unrecorded []string `json:"unrecordedNamespaces,omitempty"`
	// Nodes are the windows of the nodes that run selected workloads, or, where it
	// is not known which do, of all that are counted on; empty where the source of
	// flows can't tell.
	Nodes []NodeWindow `json:"nodes"`
	// Unseen are selected workloads of which too little can have been seen.
	Unseen []Unseen `json:"unseen"`
	// Young are selected workloads that are younger than the window; those
	// younger than the least are among the reasons.
	Young []Young `json:"young"`
}

// Unseen is a workload that did not run while anybody looked.
type Unseen struct {
	Namespace string `json:"namespace"`
	Workload  string `json:"workload"`
	Kind      string `json:"kind"`
	// Why is NoRun, Suspended or AtZero.
	Why      string     `json:"why"`
	Schedule string     `json:"schedule,omitempty"`
	LastRun  *time.Time `json:"lastRun,omitempty"`
}

// Why a workload was not seen.
const (
	NoRun     = "no run"
	Suspended = "suspended"
	AtZero    = "at zero replicas"
)

// Young is a workload that was made while traffic was counted already.
type Young struct {
	Namespace  string    `json:"namespace"`
	Workload   string    `json:"workload"`
	Kind       string    `json:"kind"`
	Created    time.Time `json:"created"`
	AgeSeconds int64     `json:"ageSeconds"`
}

// Assess says whether what was seen is enough to enforce a scope by. Only
// workloads count that the scope's policies select; where it changes nothing for
// any, it is ready, unless nothing was observed at all: then it is not known
// which workloads there are either. With flows that may be blocked it is not.
func Assess(m *tier.Model, scope tier.Scope, ev *Evidence) *Readiness {
	r := &Readiness{
		Reasons: []string{}, HoursMissing: []int{}, Nodes: []NodeWindow{}, Unseen: []Unseen{}, Young: []Young{},
		LeastSeconds: int64(ev.Least / time.Second),
	}
	selected, nodes := affected(m, scope, ev.Namespaces)
	r.Selected = len(selected)
	anywhere := observedAnywhere(&ev.Coverage)
	r.WindowSeconds = int64(anywhere.length() / time.Second)
	if ev.Least >= day {
		r.HoursMissing = anywhere.hoursMissing()
	}
	r.Unrecorded = unrecorded(selected, ev.Policies, &ev.Coverage, ev.Namespaces)
	r.nodeWindows(ev, anywhere, nodes, m.Snapshot().Nodes)
	r.workloads(selected, observedEverywhere(&ev.Coverage), ev)
	switch {
	case r.Selected == 0 && len(r.Unrecorded) > 0:
		r.Reasons = append(r.Reasons, counted(len(r.Unrecorded), "namespace")+" not recorded")
	case r.Selected == 0 && r.WindowSeconds == 0:
		r.Reasons = append(r.Reasons, nothingObserved)
	case r.Selected > 0:
		r.reasons(&ev.Coverage)
		if len(ev.Unreadable) > 0 {
			r.Reasons = append(r.Reasons, "you may not list "+strings.Join(ev.Unreadable, ", "))
		}
	}
	if ev.Unjudged > 0 {
		r.Reasons = append(r.Reasons, counted(ev.Unjudged, "resource")+" with faults")
	}
	if ev.Undecided > 0 {
		r.Reasons = append(r.Reasons, counted(ev.Undecided, "flow")+" of unknown address can't be judged")
	}
	r.Ready = len(r.Reasons) == 0
	return r
}

// affected are the workloads whose pods other policies judge in the scope than
// now, and the nodes that these pods are on.
func affected(m *tier.Model, scope tier.Scope, namespaces []string) (workloads map[policy.Workload]bool, nodes map[string]bool) {
	workloads, nodes = map[policy.Workload]bool{}, map[string]bool{}
	differs := map[int]bool{}
	for _, ep := range m.Snapshot().Endpoints {
		if len(namespaces) > 0 && !slices.Contains(namespaces, ep.Namespace) {
			continue
		}
		id := m.Identity(ep)
		changed, known := differs[id]
		if !known {
			for _, d := range []policy.Direction{policy.Egress, policy.Ingress} {
				changed = changed || !slices.Equal(m.Selecting(tier.Enforced(), d, ep), m.Selecting(scope, d, ep))
			}
			differs[id] = changed
		}
		if !changed {
			continue
		}
		workloads[ep.Workload] = true
		if ep.Node != "" {
			nodes[ep.Node] = true
		}
	}
	return workloads, nodes
}
