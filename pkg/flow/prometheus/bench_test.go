package prometheus_test

import (
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/flow/prometheus"
)

// full answers as a server does that scrapes agents with as many series as there
// may be, all of them growing all the time.
type full struct{ agents, series int }

// RoundTrip implements http.RoundTripper.
func (f full) RoundTrip(r *http.Request) (*http.Response, error) {
	body, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(strings.NewReader(string(body)))
	if err := r.ParseForm(); err != nil {
		return nil, err
	}
	out, in := io.Pipe()
	go func() {
		f.answer(in, r)
		_ = in.Close()
	}()
	return &http.Response{StatusCode: http.StatusOK, Body: out, Request: r, Header: http.Header{}}, nil
}

func (f full) answer(w io.Writer, r *http.Request) {
	query := r.Form.Get("query")
	if strings.HasSuffix(r.URL.Path, "/series") {
		_, _ = fmt.Fprint(w, `{"status":"success","data":[`)
		for a := range f.agents {
			_, _ = fmt.Fprintf(w, `%s{"__name__":"netpol_agent_info","instance":"i%d","node":"n%d","version":"v1"}`, comma(a), a, a)
		}
		_, _ = fmt.Fprint(w, "]}")
		return
	}
	_, _ = fmt.Fprint(w, `{"status":"success","data":{"resultType":"matrix","result":[`)
	var from, to, step float64
	_, _ = fmt.Sscan(r.Form.Get("start")+" "+r.Form.Get("end")+" "+r.Form.Get("step"), &from, &to, &step)
	values := func(v func(i int, at float64) float64) {
		for i := 0; from+float64(i)*step <= to; i++ {
			at := from + float64(i)*step
			_, _ = fmt.Fprintf(w, `%s[%.3f,"%.0f"]`, comma(i), at, v(i, at))
		}
	}
	switch {
	case strings.HasPrefix(query, "max(resets"):
	case strings.Contains(query, "netpol_flows_total"):
		instance := query[strings.Index(query, `instance="`)+10:]
		instance = instance[:strings.IndexByte(instance, '"')]
		for n := range f.series {
			_, _ = fmt.Fprintf(w, `%s{"metric":{"__name__":"netpol_flows_total","instance":%q,"direction":"Egress","verdict":"Allow","pending_verdict":"Allow","source_kind":"Workload","source_namespace":"a-namespace","source_workload":"workload-%d","source_workload_kind":"Deployment","destination_kind":"Workload","destination_namespace":"another-namespace","destination_workload":"another-workload-%d","destination_workload_kind":"Deployment","protocol":"TCP","port":"8080"},"values":[`, comma(n), instance, n, n%10)
			values(func(_ int, at float64) float64 { return at / 10 })
			_, _ = fmt.Fprint(w, "]}")
		}
	default:
		for a := range f.agents {
			_, _ = fmt.Fprintf(w, `%s{"metric":{"instance":"i%d"},"values":[`, comma(a), a)
			values(func(_ int, at float64) float64 {
				switch {
				case strings.HasPrefix(query, "timestamp"):
					return at
				case strings.Contains(query, "ready") && !strings.Contains(query, "start"):
					return 1
				}
				return 0
			})
			_, _ = fmt.Fprint(w, "]}")
		}
	}
	_, _ = fmt.Fprint(w, "]}}")
}

func comma(i int) string {
	if i == 0 {
		return ""
	}
	return ","
}

// Two weeks of four agents that have all the series that they may: what it takes
// here, without the server's own time.
func BenchmarkTwoWeeks(b *testing.B) {
	api, err := prometheus.NewAPI("http://prometheus.example", full{agents: 4, series: 2000}, time.Minute)
	if err != nil {
		b.Fatal(err)
	}
	source := prometheus.New(prometheus.Options{API: api, Now: func() time.Time { return now }})
	var most uint64
	for b.Loop() {
		done, ended := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(ended)
			var m runtime.MemStats
			for {
				select {
				case <-done:
					return
				case <-time.After(20 * time.Millisecond):
					runtime.ReadMemStats(&m)
					most = max(most, m.HeapAlloc)
				}
			}
		}()
		flows, _, err := source.List(b.Context(), flow.Filter{})
		close(done)
		<-ended
		if err != nil || len(flows) != 2000 {
			b.Fatal(len(flows), err)
		}
	}
	b.ReportMetric(float64(most)/1e6, "MB-heap")
}
