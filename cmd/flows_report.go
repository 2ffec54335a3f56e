package cmd

import (
	"time"

	"github.com/netpol-project/netpol/internal/output"
	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/stage"
)

// flowsReport is the JSON of flows; with --follow there is a flowItem a line.
type flowsReport struct {
	output.Meta
	Coverage coverageReport `json:"coverage"`
	// Pending is whose the pending verdicts are: "present" (by the policies that
	// there are), "recorded" (of the time of a recording) or "calico"; absent: of
	// the agents that reported the flows.
	Pending string       `json:"pending,omitempty"`
	Summary flowsSummary `json:"summary"`
	Items   []flowItem   `json:"items"`
}

type flowsSummary struct {
	Flows       int   `json:"flows"`
	Connections int64 `json:"connections"` // of both ends, as each reports
}

// flowItem is one flow as one end reports it.
type flowItem struct {
	Source      stage.Peer `json:"source"`
	Destination stage.Peer `json:"destination"`
	flow.Port
	Service string `json:"service"`
	// Domains are the DNS names of an address outside, where the source of flows
	// tells them.
	Domains   []string   `json:"domains,omitempty"`
	Direction string     `json:"direction"`
	Verdict   string     `json:"verdict"` // allow or deny
	By        *hitReport `json:"by,omitempty"`
	// Logs are the Log rules that were passed before that.
	Logs           []hitReport `json:"logs,omitempty"`
	PendingVerdict string      `json:"pendingVerdict"`
	PendingBy      *hitReport  `json:"pendingBy,omitempty"`
	// Trace and PendingTrace are all hits on the way, where the source of flows
	// tells them.
	Trace        []stepReport `json:"trace,omitempty"`
	PendingTrace []stepReport `json:"pendingTrace,omitempty"`
	Connections  int64        `json:"connections"`
	Completed    int64        `json:"completed"`
	Live         int64        `json:"live"`
	PacketsIn    int64        `json:"packetsIn"`
	PacketsOut   int64        `json:"packetsOut"`
	BytesIn      int64        `json:"bytesIn"`
	BytesOut     int64        `json:"bytesOut"`
	FirstSeen    time.Time    `json:"firstSeen"`
	LastSeen     time.Time    `json:"lastSeen"`
	Probe        bool         `json:"probe,omitempty"`
}

func newFlowItem(f *flow.Flow) flowItem {
	it := flowItem{
		Source: stage.NewPeer(f.Source), Destination: stage.NewPeer(f.Destination),
		Port: flow.NewPort(f.Protocol, f.Port), Service: f.ServiceString(), Domains: f.Domains, Direction: f.Direction.String(),
		Verdict: verdictWord(f.Enforced), PendingVerdict: verdictWord(f.Pending),
		Connections: f.Connections, Completed: f.Completed, Live: f.Live,
		PacketsIn: f.PacketsIn, PacketsOut: f.PacketsOut, BytesIn: f.BytesIn, BytesOut: f.BytesOut,
		FirstSeen: f.FirstSeen.UTC().Truncate(time.Second), LastSeen: f.LastSeen.UTC().Truncate(time.Second), Probe: f.Probe,
	}
	if f.Enforced.Rule != policy.NoPolicy {
		by := newHitReport(f.Enforced, f.Direction)
		it.By = &by
	}
	for _, h := range f.Logs.Hits() {
		it.Logs = append(it.Logs, newHitReport(h, f.Direction))
	}
	if f.Pending.Rule != policy.NoPolicy {
		by := newHitReport(f.Pending, f.Direction)
		it.PendingBy = &by
	}
	it.Trace, it.PendingTrace = newStepReports(f.EnforcedTrace, f.Direction), newStepReports(f.PendingTrace, f.Direction)
	return it
}
