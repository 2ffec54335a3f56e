package cmd

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/netpol-project/netpol/internal/prometheustest"
)

// metricsOf is what Prometheus scraped of the voting application over 16 days:
// every flow begins a connection every ten minutes.
type metricsOf struct {
	prometheustest.Text
	// missed says when nothing was scraped.
	missed func(time.Time) bool
}

const metricsEvery = 4 * time.Minute

// series are the labels of a flow's counter at an end.
func series(target, from, to, port, direction string) string {
	end := func(side, name string) string {
		kind, namespace, workload := "Workload", "vote", name
		if ns, n, ok := strings.Cut(name, "/"); ok {
			namespace, workload = ns, n
		}
		of := "Deployment"
		switch name {
		case "Network", "Other":
			kind, namespace, workload, of = name, "", "", ""
		case "old": // of an agent that did not tell the kind
			workload, of = "worker", ""
		}
		out := fmt.Sprintf(`%[1]s_kind=%[2]q,%[1]s_namespace=%[3]q,%[1]s_workload=%[4]q`, side, kind, namespace, workload)
		if of != "" {
			out += fmt.Sprintf(`,%s_workload_kind=%q`, side, of)
		}
		return out
	}
	protocol, number, _ := strings.Cut(port, "/")
	return "netpol_flows_total{" + target + fmt.Sprintf(`,direction=%q,verdict="Allow",pending_verdict="Allow",%s,%s,protocol=%q,port=%q}`,
		direction, end("source", from), end("destination", to), protocol, number)
}

// count adds a counter that grows by one every ten minutes from begin to end.
func (m *metricsOf) count(name string, begin, end time.Time, before int) {
	for at := testNow.Add(-16 * 24 * time.Hour); !at.After(testNow); at = at.Add(metricsEvery) {
		n := before
		if upTo := min(at.Sub(begin), end.Sub(begin)); upTo > 0 {
			n += int(upTo / (10 * time.Minute))
		}
		if n > 0 && !m.missed(at) {
			m.Sample(name, float64(n), at)
		}
	}
}

func (m *metricsOf) gauge(name string, v float64) {
	for at := testNow.Add(-16 * 24 * time.Hour); !at.After(testNow); at = at.Add(metricsEvery) {
		if !m.missed(at) {
			m.Sample(name, v, at)
		}
	}
}

// agent adds what an agent tells of itself.
func (m *metricsOf) agent(cluster, node string) (target string) {
	target = fmt.Sprintf(`cluster=%q,job="netpol",instance="%s:9411"`, cluster, node)
	m.gauge("netpol_ready{"+target+"}", 1)
	m.gauge(fmt.Sprintf("netpol_agent_info{%s,exported_node=%q,node=\"of-prometheus\",version=\"v1\"}", target, node), 1)
	m.gauge("process_start_time_seconds{"+target+"}", float64(testNow.Add(-30*24*time.Hour).Unix()))
	m.gauge("netpol_lost_events_total{"+target+"}", 0)
	m.gauge("netpol_lost_events_unknown{"+target+"}", 0)
	return target
}

const tenDays = 10 * 24 * time.Hour

// votesWeeksBack are two clusters: a whole one, and one that was not scraped for
// some hours, where flows are counted together.
func votesWeeksBack() *prometheustest.Text {
	begin, end := testNow.Add(-16*24*time.Hour), testNow.Add(time.Hour)
	m := &metricsOf{missed: func(time.Time) bool { return false }}
	target := m.agent("prod", "node1")
	for _, f := range []string{"vote redis TCP/6379", "worker redis TCP/6379", "worker db TCP/5432", "result db TCP/5432"} {
		w := strings.Fields(f)
		m.count(series(target, w[0], w[1], w[2], "Egress"), begin, end, 500)
		m.count(series(target, w[0], w[1], w[2], "Ingress"), begin, end, 400)
	}
	m.count(series(target, "vote", "kube-system/coredns", "UDP/53", "Egress"), begin, end, 0)
	m.count(series(target, "vote", "Network", "TCP/443", "Egress"), begin, end, 0)
	// Ten days ago, a few hours long; of an agent that did not tell kinds.
	m.count(series(target, "old", "vote", "TCP/80", "Egress"), testNow.Add(-tenDays), testNow.Add(5*time.Hour-tenDays), 0)
	// Only before the last 14 days.
	m.count(series(target, "redis", "db", "TCP/5432", "Egress"), begin, begin.Add(time.Hour), 0)

	m.missed = func(at time.Time) bool {
		ago := testNow.Sub(at)
		return ago >= 8*time.Hour && ago < 13*time.Hour
	}
	target = m.agent("gaps", "node1")
	m.count(series(target, "worker", "db", "TCP/5432", "Egress"), begin, end, 0)
	m.count(strings.Replace(series(target, "Other", "Other", "/", "Egress"), `protocol=""`, `protocol=""`, 1), testNow.Add(-tenDays), testNow.Add(30*time.Minute-tenDays), 0)
	return &m.Text
}

// Flows weeks back from a real Prometheus server: counts, coverage, what the
// metric does not tell, and what it takes to be ready.
func TestPrometheusIsASourceOfFlows(t *testing.T) {
	prometheustest.Bin(t)
	address := "prometheus://" + prometheustest.Blocks(t, votesWeeksBack())
	b := newBench(t)
	b.agg = nil // there are no other flows
	b.write("deny.yaml", stagedDeny)
	prod := []string{"--flows", address + `?match=cluster="prod"`}

	out, errs := b.must(0, append(prod, "flows", "--to", "vote/db", "-o", "wide")...)
	// Every ten minutes for 14 days, at both ends; what was counted before is not.
	contains(t, out, "2026-02-15T13:00:00Z   2026-03-01T12:00:00Z   vote/result   vote/db   TCP/5432", "Egress      2016", "Ingress     2016")
	if strings.Contains(out, "vote/redis") {
		t.Errorf("what was before the last 14 days is there:\n%s", out)
	}
	contains(t, errs, "4 rows, seen from 2026-02-15T12:00:00Z to 2026-03-01T12:00:00Z")
	out, _ = b.must(0, append(prod, "flows", "--to", "vote/db", "--from", "vote/worker", "--since", "2026-02-27T12:00:00Z", "--until", "2026-02-28T12:00:00Z", "-o", "wide")...)
	contains(t, out, "Egress      144", "Ingress     144")
	out, _ = b.must(0, append(prod, "flows", "--to", "vote/vote", "-o", "json")...)
	contains(t, out, `"kind": "Deployment"`, `"connections": 30`)
	_, errs = b.must(0, "--flows", address+`?match=cluster="prod"&range=16d`, "flows", "--from", "vote/redis")
	contains(t, errs, "1 row")

	out, errs = b.must(0, append(prod, "report", "--ns", "vote")...)
	contains(t, out, "7 of 7 flows would be blocked", "vote/worker", "TCP/5432   2016")
	contains(t, errs, "of 1 flow the address outside is not known")

	out, errs = b.must(0, append(prod, "recommend", "--ns", "vote", "--stage")...)
	contains(t, out+errs, "vote/vote → network tcp/443", "the address is not known; a rule for any address is never recommended")
	out, _ = b.must(0, append(prod, "report", "--ns", "vote")...)
	contains(t, out, "1 of 7 flows would be blocked", "vote/vote   network   TCP/443   2016")
	_, errs = b.must(1, append(prod, "enforce", "vote", "--ns", "vote", "--dry-run")...)
	contains(t, errs, "would block 1 flow that was seen")
	b.must(0, append(prod, "enforce", "redis", "--ns", "vote", "--dry-run")...)
	b.must(0, append(prod, "report", "redis", "--ns", "vote", "--exit-code")...)

	// A recording of it is judged alike, with its coverage.
	file := filepath.Join(t.TempDir(), "flows.jsonl")
	_, errs = b.must(0, append(prod, "flows", "record", "-o", file, "--ns", "vote")...)
	contains(t, errs, "records in")
	out, _ = b.must(0, "--flows", file, "report", "redis", "--ns", "vote")
	contains(t, out, "0 of 7 flows would be blocked", "seen from 2026-02-15T12:00:00Z to 2026-03-01T12:00:00Z")

	// Hours that nobody scraped are hours that nobody saw.
	gaps := []string{"--flows", address + `?match=cluster="gaps"&range=24h`}
	out, _ = b.must(0, append(gaps, "report", "redis", "--ns", "vote")...)
	contains(t, out, "not ready: seen for 18h")
	b.must(1, append(gaps, "report", "redis", "--ns", "vote", "--exit-code")...)
	// What was counted meanwhile is told afterwards.
	out, errs = b.must(0, append(gaps, "flows", "--from", "vote/worker", "-o", "wide")...)
	contains(t, out, "Egress      144")
	contains(t, errs, "on 1 of 1 node not all of the time")
	// Flows that an agent counted together are nobody's.
	_, errs = b.must(0, "--flows", address+`?match=cluster="gaps"`, "flows")
	contains(t, errs, "1 row", "3 connections more were lost")

	_, errs = b.must(2, "--flows", address, "flows")
	contains(t, errs, "is scraped twice", "?match=cluster=")
	_, errs = b.must(2, "--flows", address+`?match=cluster="none"`, "flows")
	contains(t, errs, "no agent's metrics from 2026-02-15T12:00:00Z to 2026-03-01T12:00:00Z")
	_, errs = b.must(2, "--flows", strings.TrimSuffix(address, "/all"), "flows")
	contains(t, errs, "Prometheus' flows can't be read", "404", "the address up to /api/v1")
}
