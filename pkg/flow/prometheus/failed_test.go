package prometheus_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/common/model"

	"github.com/netpol-project/netpol/internal/prometheustest"
	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/flow/prometheus"
)

// A scrape that fails where a span begins makes nothing of what was counted long
// before.
func TestPrometheusFailedScrape(t *testing.T) {
	prometheustest.Bin(t)
	var count atomic.Int64 // 0: it does not answer
	count.Store(5000)
	agent := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		n := count.Load()
		if n == 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		_, _ = fmt.Fprintf(w, "netpol_ready 1\nnetpol_agent_info{node=\"n\",version=\"v\"} 1\nprocess_start_time_seconds 1000\n%s %d\n", counterOf("a"), n)
	}))
	defer agent.Close()
	api, err := prometheus.NewAPI("http://"+prometheustest.Scrape(t, strings.TrimPrefix(agent.URL, "http://")), http.DefaultTransport, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	knows := func(want int) bool {
		v, _, _, err := api.Query(t.Context(), "netpol_flows_total", time.Now())
		vector, ok := v.(model.Vector)
		return err == nil && ok && len(vector) == want
	}
	until(t, func() bool { return knows(1) })
	count.Store(0)
	until(t, func() bool { return knows(0) })
	since := time.Now()
	count.Store(5003)
	source := prometheus.New(prometheus.Options{API: api, Now: time.Now})
	until(t, func() bool {
		flows, _, err := source.List(t.Context(), flow.Filter{Since: since})
		if err != nil {
			t.Fatal(err)
		}
		if len(flows) == 1 && flows[0].Connections != 3 {
			t.Fatalf("%d connections, want 3", flows[0].Connections)
		}
		return len(flows) == 1
	})
}

// until waits until something is so.
func until(t *testing.T, is func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("waited in vain")
		}
	}
}
