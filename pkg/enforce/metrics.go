//go:build linux

package enforce

import (
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/netpol-project/netpol/pkg/enforce/agentpb"
)

// exporter tells Prometheus what the agent knows of itself and of its node's flows, read
// when somebody asks.
type exporter struct{ a *Agent }

// metric is one number of the agent.
type metric struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(*reading) float64
}

// reading is what all numbers of one answer are taken from.
type reading struct {
	*agentpb.StatusReply
	a *Agent
}

func gauge(name, help string, value func(*reading) float64) metric {
	return metric{prometheus.NewDesc("netpol_"+name, help, nil, nil), prometheus.GaugeValue, value}
}

func counter(name, help string, value func(*reading) float64) metric {
	return metric{prometheus.NewDesc("netpol_"+name, help, nil, nil), prometheus.CounterValue, value}
}

// list are the metrics without labels.
func (*exporter) list() []metric {
	return []metric{
		gauge("ready", "1 if the first full sync is in the kernel and connections are counted.", func(r *reading) float64 { return truth(r.Ready) }),
		gauge("enforcing", "1 if the traffic of all pods of this node passes the rules, and the newest rules are in the kernel.", func(r *reading) float64 { return truth(r.Enforcing) }),
		gauge("programmed_revision", "Revision of the snapshot that is in the kernel, counted by this agent.", func(r *reading) float64 { return float64(r.Revision) }),
		gauge("last_program_seconds", "How long the last change took from the snapshot to the kernel.", func(r *reading) float64 { return r.LastProgramSeconds }),
		gauge("lag_seconds", "Age of the oldest change that is known and not in the kernel; 0 in sync.", func(r *reading) float64 { return r.a.lag().Seconds() }),
		gauge("policies", "Policies of the cluster, staged ones too.", func(r *reading) float64 { return float64(r.Policies) }),
		gauge("endpoints", "Pods of this node.", func(r *reading) float64 { return float64(r.Endpoints) }),
		gauge("flows_store_failing", "1 while flows are counted in memory alone because they can't be written.", func(r *reading) float64 { return truth(r.a.store.Problem() != "") }),
		gauge("live_connections", "Open connections of this node's pods.", func(r *reading) float64 { return float64(r.a.live.count()) }),
		counter("commits_total", "Batches that the kernel took.", func(r *reading) float64 { return float64(r.a.kernel.Stats().Commits) }),
		counter("failed_commits_total", "Batches that the kernel refused.", func(r *reading) float64 { return float64(r.a.kernel.Stats().Failed) }),
		counter("resyncs_total", "Complete rebuilds of the rules, the first included.", func(r *reading) float64 { return float64(r.Resyncs) }),
		counter("repairs_total", "Times that somebody else removed or changed the rules, and they were mended.", func(r *reading) float64 { return float64(r.Repairs) }),
		counter("disagreements_total", "Connections that the kernel judged otherwise than the model: must stay 0.", func(r *reading) float64 { return float64(r.Disagreements) }),
		counter("lost_events_total", "Messages of the kernel about connections that are known to be lost.", func(r *reading) float64 { return float64(r.LostEvents) }),
		gauge("lost_events_unknown", "1 if more were lost, and nobody knows how many.", func(r *reading) float64 { return truth(r.LostUnknown) }),
		counter("late_events_total", "Messages about connections that did not fit into the socket's buffer and that the kernel offered again: nothing is missing, but it keeps entries meanwhile.", func(r *reading) float64 { return float64(r.a.counters.late.Load()) }),
		counter("cut_connections_total", "Connections that were cut since a change forbade them.", func(r *reading) float64 { return float64(r.CutConnections) }),
	}
}

// What has labels, or may be missing.
var (
	infoDesc  = prometheus.NewDesc("netpol_agent_info", "What runs here.", []string{"node", "version"}, nil)
	faultDesc = prometheus.NewDesc("netpol_faults", "What is wrong in resources, on the node or with the rules; status tells.", []string{"severity"}, nil)
	flowDesc  = prometheus.NewDesc("netpol_flows_total",
		"Connections that began, and attempts that were refused, since the agent did; a connection between two pods of one node once for each direction.",
		flowLabelNames, nil)
	conntrackEntries = prometheus.NewDesc("netpol_conntrack_entries", "Entries of the node's table of connections.", nil, nil)
	conntrackMax     = prometheus.NewDesc("netpol_conntrack_max", "Room of the node's table of connections.", nil, nil)
	conntrackFailed  = prometheus.NewDesc("netpol_conntrack_insert_failed_total", "Connections that could not be entered into the table.", nil, nil)
	conntrackDropped = prometheus.NewDesc("netpol_conntrack_dropped_total", "Packets dropped since the table was full.", nil, nil)
	conntrackEarly   = prometheus.NewDesc("netpol_conntrack_early_dropped_total", "Entries pushed out to make room.", nil, nil)
)

// Describe implements prometheus.Collector.
func (m *exporter) Describe(out chan<- *prometheus.Desc) {
	for _, one := range m.list() {
		out <- one.desc
	}
	for _, d := range []*prometheus.Desc{infoDesc, faultDesc, flowDesc, conntrackEntries, conntrackMax, conntrackFailed, conntrackDropped, conntrackEarly} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (m *exporter) Collect(out chan<- prometheus.Metric) {
	r := &reading{m.a.status(), m.a}
	put := func(d *prometheus.Desc, kind prometheus.ValueType, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, kind, v, labels...)
	}
	for _, one := range m.list() {
		put(one.desc, one.kind, one.value(r))
	}
	put(infoDesc, prometheus.GaugeValue, 1, r.Node, r.Version)
	warnings := 0
	for _, p := range r.Problems {
		if strings.HasPrefix(p, "warning: ") {
			warnings++
		}
	}
	put(faultDesc, prometheus.GaugeValue, float64(warnings), "warning")
	put(faultDesc, prometheus.GaugeValue, float64(len(r.Problems)-warnings), "error")
	if f := m.a.fill.Load(); f != nil {
		put(conntrackEntries, prometheus.GaugeValue, float64(f.Entries))
		put(conntrackMax, prometheus.GaugeValue, float64(f.Max))
		put(conntrackFailed, prometheus.CounterValue, float64(f.InsertFailed))
		put(conntrackDropped, prometheus.CounterValue, float64(f.Dropped))
		put(conntrackEarly, prometheus.CounterValue, float64(f.EarlyDropped))
	}
	m.a.counts.each(func(l *flowLabels, n uint64) {
		put(flowDesc, prometheus.CounterValue, float64(n), l.values()...)
	})
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
