//go:build linux

package enforce_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/netpol-project/netpol/internal/netnstest"
	"github.com/netpol-project/netpol/internal/prometheustest"
	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/flow/prometheus"
	"github.com/netpol-project/netpol/pkg/policy"
)

// A real Prometheus server scrapes a real agent, and what it has are the flows.
func TestPrometheusScrapesAnAgent(t *testing.T) {
	prometheustest.Bin(t)
	netnstest.Run(t, func(t *testing.T) {
		n := newNode(t)
		client, server, live := n.policedPods()
		api := n.apiSource()
		api.tell()
		a := n.start(from(api))
		a.awaitLive(live)
		address := prometheustest.Scrape(t, healthAddr)
		prom, err := prometheus.NewAPI("http://"+address, http.DefaultTransport, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		since := flow.Filter{Since: time.Now()}
		// What was there at the first scrape, the live connection, is from before.
		source := prometheus.New(prometheus.Options{API: prom, Now: time.Now})
		await(t, "the agent to be scraped", func() bool {
			_, c, err := source.List(t.Context(), since)
			return err == nil && len(c.Nodes) == 1 && !c.Nodes[0].From.IsZero()
		})
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
		count := func(d policy.Direction, action policy.Action, port uint16) (sum int64) {
			flows, _, err := source.List(t.Context(), since)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range flows {
				if f.Direction == d && f.Enforced.Action == action && f.Port == port && f.Source.Is("shop/client") && f.Destination.Is("shop/server") {
					sum += f.Connections
				}
			}
			return sum
		}
		await(t, "all to be scraped", func() bool {
			return count(policy.Ingress, policy.Allow, allowedPort) == 3 && count(policy.Egress, policy.Allow, allowedPort) == 3 &&
				count(policy.Ingress, policy.Deny, forbiddenPort) == 2
		})
		if _, c, err := source.List(t.Context(), since); err != nil || c.Nodes[0].Node != nodeName || c.Lost != 0 || c.LostUnknown {
			t.Errorf("coverage %+v, %v", c, err)
		}
	})
}
