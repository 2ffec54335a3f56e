// Package prometheus reads flows from a Prometheus server that scrapes netpol's
// agents: from their metric netpol_flows_total, as far back as the server keeps
// it.
//
// Counters are read at the end of each step (an hour; five minutes in the last
// hour). Where an agent began anew within a step, or was first seen, the samples
// themselves are read, so that what is counted is exact but for what an agent
// counted between its last scrape and its end. Nothing is extrapolated.
//
// The metric has neither addresses nor Services, bytes or open connections, and
// says what was decided but not by which policy.
package prometheus

// The metrics that are read. All of them are an agent's own.
const (
	metricFlows       = "netpol_flows_total"
	metricReady       = "netpol_ready"
	metricInfo        = "netpol_agent_info"
	metricLost        = "netpol_lost_events_total"
	metricLostUnknown = "netpol_lost_events_unknown"
	metricStart       = "process_start_time_seconds"
)
