//go:build linux

package enforce_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	dto "github.com/prometheus/client_model/go"

	"github.com/netpol-project/netpol/internal/netnstest"
)

// scrape reads the agent's metrics as Prometheus does.
func scrape(t testing.TB) map[string]*dto.MetricFamily {
	t.Helper()
	code, body, err := ask("/metrics")
	if err != nil || code != http.StatusOK {
		t.Fatalf("/metrics: %d, %v", code, err)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(body))
	if err != nil {
		t.Fatalf("%v in\n%s", err, body)
	}
	return families
}

// value adds up a family's metrics that have all labels given.
func value(families map[string]*dto.MetricFamily, name string, labels ...string) (sum float64, found bool) {
	for _, m := range families[name].GetMetric() {
		has := map[string]string{}
		for _, l := range m.Label {
			has[l.GetName()] = l.GetValue()
		}
		fits := true
		for _, l := range labels {
			k, v, _ := strings.Cut(l, "=")
			fits = fits && has[k] == v
		}
		if fits {
			sum, found = sum+m.Gauge.GetValue()+m.Counter.GetValue(), true
		}
	}
	return sum, found
}

func TestMetrics(t *testing.T) {
	netnstest.Run(t, func(t *testing.T) {
		n := newNode(t)
		client, server, live := n.policedPods()
		api := n.apiSource()
		api.tell()
		a := n.start(from(api))
		a.awaitLive(live)
		n.listenOnce(server, allowedPort)
		for range 3 {
			if got := a.try(client, server, 1, allowedPort); got != connected {
				t.Fatalf("allowed: %s", got)
			}
		}
		for range 2 {
			if got := a.try(client, server, 0, forbiddenPort); got != denied {
				t.Fatalf("forbidden: %s", got)
			}
		}
		ends := []string{"source_kind=Workload", "source_namespace=shop", "source_workload=client", "destination_kind=Workload",
			"destination_namespace=shop", "destination_workload=server", "protocol=TCP"}
		flows := func(verdict, direction, port string) float64 {
			v, _ := value(scrape(t), "netpol_flows_total", append(ends, "verdict="+verdict, "pending_verdict="+verdict, "direction="+direction, "port="+port)...)
			return v
		}
		await(t, "all to be counted", func() bool { return flows("Allow", "Ingress", "8081") == 3 && flows("Deny", "Ingress", "8082") == 2 })
		if got := flows("Allow", "Egress", "8081"); got != 3 {
			t.Errorf("allowed, at the source: %v, want 3", got)
		}
		await(t, "the table of connections to be looked at", func() bool {
			n, _ := value(scrape(t), "netpol_conntrack_entries")
			return n > 0
		})
		families := scrape(t)
		for name, want := range map[string]float64{
			"netpol_ready": 1, "netpol_enforcing": 1, "netpol_lag_seconds": 0, "netpol_policies": 2, "netpol_endpoints": 2,
			"netpol_resyncs_total": 1, "netpol_repairs_total": 0, "netpol_disagreements_total": 0, "netpol_lost_events_total": 0,
			"netpol_lost_events_unknown": 0, "netpol_cut_connections_total": 0, "netpol_failed_commits_total": 0, "netpol_flows_store_failing": 0,
			"netpol_agent_info": 1, "netpol_faults": 0, "netpol_conntrack_early_dropped_total": 0, "netpol_conntrack_insert_failed_total": 0,
		} {
			if got, found := value(families, name); !found || got != want {
				t.Errorf("%s: %v, there %v; want %v", name, got, found, want)
			}
		}
		for _, name := range []string{
			"netpol_programmed_revision", "netpol_last_program_seconds", "netpol_commits_total", "netpol_live_connections",
			"netpol_conntrack_entries", "netpol_conntrack_max", "process_resident_memory_bytes",
		} {
			if got, _ := value(families, name); got <= 0 {
				t.Errorf("%s: %v, want more than 0", name, got)
			}
		}
		if families["go_goroutines"] != nil {
			t.Error("the metrics of a registry that is not ours")
		}
	})
}
