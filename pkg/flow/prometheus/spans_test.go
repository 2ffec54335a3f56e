package prometheus_test

import (
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/flow/prometheus"
)

// counting counts what is asked.
type counting struct {
	http.RoundTripper
	n atomic.Int64
}

// RoundTrip implements http.RoundTripper.
func (c *counting) RoundTrip(r *http.Request) (*http.Response, error) {
	c.n.Add(1)
	return c.RoundTripper.RoundTrip(r)
}

// Spans that are read at once are what each is that is read for itself, for fewer
// queries.
func TestSpansAreWhatListHasOfEach(t *testing.T) {
	server := &counting{RoundTripper: full{agents: 2, series: 3}}
	api, err := prometheus.NewAPI("http://prometheus.example", server, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	source := prometheus.New(prometheus.Options{API: api, Now: func() time.Time { return now }})
	for name, c := range map[string]struct {
		width time.Duration
		from  time.Time
		n     int
	}{
		"seconds":                         {15 * time.Second, now.Add(-3 * time.Minute), 12},
		"minutes, the last one begun":     {5 * time.Minute, now.Add(-52 * time.Minute), 11},
		"hours, the last one begun":       {time.Hour, now.Add(-11*time.Hour - 30*time.Minute), 12},
		"days, more than one query's":     {48 * time.Hour, now.Add(-13*24*time.Hour - 5*time.Hour), 7},
		"all that is later than now":      {time.Hour, now.Add(-time.Hour), 3},
		"one that is not over":            {24 * time.Hour, now.Add(-90 * time.Minute), 1},
		"weeks, each more than a query's": {28 * 24 * time.Hour, now.Add(-29 * 24 * time.Hour), 2},
	} {
		between := []time.Time{c.from}
		for range c.n {
			between = append(between, between[len(between)-1].Add(c.width))
		}
		server.n.Store(0)
		got, err := flow.Spans(t.Context(), source, flow.Filter{}, between)
		if err != nil || len(got) != c.n {
			t.Fatal(name, len(got), err)
		}
		once := server.n.Swap(0)
		for i := range got {
			want, _, err := source.List(t.Context(), flow.Filter{Since: between[i], Until: between[i+1]})
			if err != nil || len(want) != len(got[i]) {
				t.Fatalf("%s: span %d: %d flows, want %d, %v", name, i, len(got[i]), len(want), err)
			}
			for j := range want {
				if got[i][j].Key != want[j].Key || got[i][j].Connections != want[j].Connections {
					t.Errorf("%s: span %d: %s counted %d, want %d", name, i, got[i][j].Source, got[i][j].Connections, want[j].Connections)
				}
			}
		}
		if each := server.n.Load(); c.n > 3 && once >= each {
			t.Errorf("%s: %d queries at once, %d for each", name, once, each)
		}
	}
}
