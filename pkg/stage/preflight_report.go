package stage

import (
	"slices"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/netpol-project/netpol/pkg/flow"
)

// Class is what a preflight looks after.
type Class string

// The classes, in the order in which they are told.
const (
	ClassObserved  Class = "observed"
	ClassDNS       Class = "dns"
	ClassAPIServer Class = "api-server"
	ClassProbes    Class = "probes"
	ClassWebhooks  Class = "webhooks"
	ClassMetrics   Class = "metrics"
	ClassHosts     Class = "hosts"
)

// Facts are what a preflight is told beside the model.
type Facts struct {
	// Flows that were seen.
	Flows []flow.Flow
	// Blind: no traffic could be looked at, so nothing is known of who uses what.
	Blind bool
	// Unseen: it could be, and there was none at all yet, which tells no more.
	Unseen bool
	// Hosts: policies for host endpoints are enforced here, or may be. No agent of
	// ours enforces them; Calico does.
	Hosts bool
	// Calls are what the API server calls: admission and conversion webhooks,
	// and the servers of aggregated APIs.
	Calls []Call
	// Scrapes are what is collected metrics from.
	Scrapes []Scrape
	// NotChecked says what could not be found out, and why.
	NotChecked []string
}

// unknown says that nothing is known of who uses what.
func (f *Facts) unknown() bool { return f.Blind || f.Unseen }

// Call is a Service that the API server calls.
type Call struct {
	Who                string // the resource that says so
	Namespace, Service string
	Port               uint16 // of the Service
}

// Scrape is where a workload serves metrics.
type Scrape struct {
	Who       string // what says so
	Namespace string
	// The pods are those of Service, or that Selector picks, or Pod by its own
	// name or its workload's.
	Service  string
	Selector labels.Selector
	Pod      string
	// Port is a number, or PortName names a port of the Service or of a
	// container; without both it is every TCP port that the pod declares.
	Port     uint16
	PortName string
}

// PreflightReport is what Preflight found. Its JSON is a contract.
type PreflightReport struct {
	Checks   []Check   `json:"checks"`
	Problems []Problem `json:"problems"`
	// NotChecked says what could not be looked at, and why.
	NotChecked []string `json:"notChecked"`
	// Notes say what else is to be known.
	Notes []string `json:"notes,omitempty"`
	// Order is the order in which the policies are promoted.
	Order []string `json:"order"`
	// Bridge are temporary policies that are enforced from the first step to the
	// last, where no order alone leaves no gap.
	Bridge []string `json:"bridge,omitempty"`
	// Opens is a connection that is open for a moment, and closed before and after.
	Opens string `json:"opens,omitempty"`
	// Gap is a connection that is refused for a moment, whatever the order.
	Gap string `json:"gap,omitempty"`

	// Closes says that one of the policies has no rules and selects a pod.
	Closes bool `json:"-"`

	plan Plan
	// Impact is the judgement of the observed flows; nil if Blind.
	Impact *Report `json:"-"`
}

// Check counts what was looked at in a class: connections that are allowed now.
type Check struct {
	Class   Class `json:"class"`
	Checked int   `json:"checked"`
	Cut     int   `json:"cut"`
}

// Problem is a connection that is allowed now and would not be then, or of which
// that can't be said.
type Problem struct {
	Class Class `json:"class"`
	// Undecided: it may be cut or not, since the address of one end is not known
	// (Report.Undecided).
	Undecided bool `json:"undecided,omitempty"`
	// Refuses: it is a reason not to go on. What is not a reason is a warning:
	// traffic was looked at, and nobody was seen to need it.
	Refuses     bool `json:"refuses"`
	Source      Peer `json:"source"`
	Destination Peer `json:"destination"`
	flow.Port
	// For says who needs it.
	For       string `json:"for"`
	Direction string `json:"direction"`
	BlockedBy *By    `json:"blockedBy,omitempty"`
	Reason    string `json:"reason"`
	// Fix is the rule that would allow it, or the command that writes it; empty
	// where no rule can be named.
	Fix string `json:"fix"`
}

// Plan is how the policies are to be promoted.
func (r *PreflightReport) Plan() Plan { return r.plan }

// Refusals are the problems that are reasons not to go on.
func (r *PreflightReport) Refusals() []Problem {
	return slices.DeleteFunc(slices.Clone(r.Problems), func(p Problem) bool { return !p.Refuses })
}
