package prometheus_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/netpol-project/netpol/internal/prometheustest"
	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/flow/prometheus"
)

// now is the end of what the worlds have.
var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// world is a random history of a cluster's agents as Prometheus scraped it, with
// the truth beside: which process counted what.
type world struct {
	rand   *rand.Rand
	name   string
	begin  time.Time
	agents []*history
}

// history is that of one agent.
type history struct {
	node     string
	scrapes  []scraped
	restarts int
}

// scraped is one scrape: which process answered, and what it had counted.
type scraped struct {
	at      time.Time
	process int
	start   time.Time
	counts  map[string]int // by destination's name
}

// destinations are what is connected to.
func destinations() []string { return []string{"a", "b", "c", "d"} }

const every = 2 * time.Minute

// newWorld lets agents count, fail to be scraped, and begin anew; since no agent
// begins anew just before the spans that are asked for, every world has one answer.
func newWorld(seed uint64, begin time.Time, quiet func(time.Time) bool) *world {
	w := &world{rand: rand.New(rand.NewPCG(seed, 7)), name: fmt.Sprintf("c%d", seed), begin: begin}
	for n := range 2 {
		w.agents = append(w.agents, w.agent(fmt.Sprintf("node%d", n), quiet))
	}
	return w
}

func (w *world) agent(node string, quiet func(time.Time) bool) *history {
	h := &history{node: node}
	start := w.begin.Add(-time.Duration(w.rand.IntN(50)) * time.Hour)
	counts := map[string]int{"a": w.rand.IntN(1000), "b": w.rand.IntN(3)}
	down := time.Time{}
	process := 0
	at := w.begin
	if w.rand.IntN(3) == 0 { // it comes later
		at = at.Add(time.Duration(w.rand.IntN(20)) * time.Hour)
	}
	at = at.Add(time.Duration(w.rand.IntN(60)) * time.Second)
	for ; !at.After(now); at = at.Add(every) {
		for i, often := range []int{2, 300, 700, 20} {
			if w.rand.IntN(often) == 0 {
				counts[destinations()[i]] += 1 + w.rand.IntN(3)
			}
		}
		if w.rand.IntN(250) == 0 && !quiet(at) {
			process, start, counts = process+1, at.Add(-time.Minute), map[string]int{}
			if w.rand.IntN(2) == 0 { // it counts more than the one before in no time
				counts["a"] = 2000 + w.rand.IntN(1000)
			}
			h.restarts++
		}
		if w.rand.IntN(400) == 0 {
			down = at.Add(time.Duration(w.rand.IntN(180)) * time.Minute)
		}
		if at.Before(down) {
			continue
		}
		have := map[string]int{}
		for name, n := range counts {
			if n > 0 {
				have[name] = n
			}
		}
		h.scrapes = append(h.scrapes, scraped{at, process, start, have})
	}
	return h
}

// write tells Prometheus.
func (w *world) write(x *prometheustest.Text) {
	for _, h := range w.agents {
		labels := fmt.Sprintf(`cluster=%q,instance="%s:9411",job="netpol"`, w.name, h.node)
		for _, s := range h.scrapes {
			x.Sample("netpol_ready{"+labels+"}", 1, s.at)
			x.Sample("netpol_agent_info{"+labels+`,node="`+h.node+`",version="v1"}`, 1, s.at)
			x.Sample("process_start_time_seconds{"+labels+"}", float64(s.start.Unix()), s.at)
			for _, name := range destinations() {
				if n := s.counts[name]; n > 0 {
					x.Sample(counterOf(name, labels), float64(n), s.at)
				}
			}
		}
	}
}

// truth is what was counted of a destination after since and until now, as far as
// scrapes can tell.
func (w *world) truth(name string, since time.Time) int {
	sum := 0
	for _, h := range w.agents {
		before := -1 // the scrape before
		for i, s := range h.scrapes {
			if !s.at.After(since) {
				if since.Sub(s.at) < 5*time.Minute {
					before = i
				}
				continue
			}
			switch {
			case before >= 0 && h.scrapes[before].process == s.process:
				sum += s.counts[name] - h.scrapes[before].counts[name]
			case before >= 0 || !s.start.Before(since):
				sum += s.counts[name]
			}
			before = i
		}
	}
	return sum
}

func open(t *testing.T, address, match string, span time.Duration) flow.Source {
	t.Helper()
	api, err := prometheus.NewAPI("http://"+address, http.DefaultTransport, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	return prometheus.New(prometheus.Options{API: api, Match: match, Range: span, Now: func() time.Time { return now }})
}

// What is counted is exact, whatever agents and scrapes did: nothing is
// extrapolated, nothing is lost at the edges of steps, and what was counted
// before the span does not count.
func TestPrometheusRandomWorlds(t *testing.T) {
	prometheustest.Bin(t)
	spans := []time.Duration{30*time.Hour + 17*time.Minute, 11 * time.Hour, 40 * time.Minute}
	quiet := func(at time.Time) bool {
		return slices.ContainsFunc(spans, func(d time.Duration) bool {
			ago := now.Add(-d).Sub(at)
			return ago >= 0 && ago < 10*time.Minute
		})
	}
	var worlds []*world
	var text prometheustest.Text
	for seed := range uint64(12) {
		w := newWorld(seed, now.Add(-36*time.Hour), quiet)
		w.write(&text)
		worlds = append(worlds, w)
	}
	address := prometheustest.Blocks(t, &text)
	restarts := 0
	for _, w := range worlds {
		for _, span := range spans {
			source := open(t, address, fmt.Sprintf("cluster=%q", w.name), span)
			flows, coverage, err := source.List(t.Context(), flow.Filter{})
			if err != nil {
				t.Fatalf("%s, %s: %v", w.name, span, err)
			}
			got := map[string]int{}
			for _, f := range flows {
				got[f.Destination.Workload.Name] += int(f.Connections)
			}
			for _, name := range destinations() {
				if want := w.truth(name, now.Add(-span)); got[name] != want {
					t.Errorf("%s, %s, to %s: %d connections, want %d", w.name, span, name, got[name], want)
				}
			}
			w.checkCoverage(t, coverage, now.Add(-span))
			parts, err := flow.Spans(t.Context(), source, flow.Filter{}, []time.Time{now.Add(-span), now.Add(-span / 2), now})
			if err != nil {
				t.Fatalf("%s, %s: %v", w.name, span, err)
			}
			for _, f := range slices.Concat(parts...) {
				got[f.Destination.Workload.Name] -= int(f.Connections)
			}
			for name, n := range got {
				if n != 0 {
					t.Errorf("%s, %s in two parts, to %s: %d connections less than in one", w.name, span, name, n)
				}
			}
		}
		for _, h := range w.agents {
			restarts += h.restarts
		}
	}
	if restarts < 20 {
		t.Errorf("%d restarts in all worlds: too few to show anything", restarts)
	}
}

// checkCoverage checks that nothing is claimed between the last scrape of a
// process and the first of the next, nor where nothing was scraped for ten minutes;
// and that not much more than that is missing.
func (w *world) checkCoverage(t *testing.T, c flow.Coverage, since time.Time) {
	t.Helper()
	for _, h := range w.agents {
		var missing, most time.Duration
		i := slices.IndexFunc(c.Nodes, func(n flow.NodeCoverage) bool { return n.Node == h.node })
		if i < 0 {
			if last := h.scrapes[len(h.scrapes)-1]; last.at.After(since) {
				t.Errorf("%s: nothing of %s", w.name, h.node)
			}
			continue
		}
		n := c.Nodes[i]
		for _, g := range n.Gaps {
			missing += g.To.Sub(g.From)
		}
		for i, s := range h.scrapes[1:] {
			before := h.scrapes[i]
			if !before.at.After(since) || before.at.Before(n.From) || !before.at.Before(n.To) {
				continue
			}
			blind := s.at.Sub(before.at)
			if s.process == before.process && blind < 5*time.Minute {
				continue
			}
			most += blind + 10*time.Minute
			if s.process == before.process && blind < 10*time.Minute {
				continue
			}
			if !slices.ContainsFunc(n.Gaps, func(g flow.Gap) bool { return !g.From.After(before.at) && !g.To.Before(s.at) }) {
				t.Errorf("%s, %s: no gap from %s to %s in %v", w.name, h.node, before.at, s.at, n.Gaps)
			}
		}
		if missing > most {
			t.Errorf("%s, %s: %s are missing, want %s at most", w.name, h.node, missing, most)
		}
	}
}

// counterOf is the counter of connections to a destination.
func counterOf(name string, labels ...string) string {
	return "netpol_flows_total{" + strings.Join(append(labels, `direction="Egress",verdict="Allow",pending_verdict="Allow",source_kind="Workload",source_namespace="shop",source_workload="web",source_workload_kind="Deployment",destination_kind="Workload",destination_namespace="shop",destination_workload="`+name+`",destination_workload_kind="Deployment",protocol="TCP",port="80"`), ",") + "}"
}
