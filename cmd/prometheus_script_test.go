package cmd

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/rogpeppe/go-internal/testscript"
)

// prometheus FILE starts a server for the rest of the script, at $PROMETHEUS, that
// answers queries from a file: each line has what a query contains, a blank, and
// the series of the answer, of which the server gives the span that is asked for.
// What no line has is answered with nothing. With "always" the first sample of a
// series stands for one at every time that is asked for, up to the present: counters
// of flows grow by one a minute, and timestamps are the time itself.
func prometheus(ts *testscript.TestScript, neg bool, args []string) {
	always := len(args) == 2 && args[0] == "always"
	if neg || len(args) != 1 && !always {
		ts.Fatalf("usage: prometheus [always] FILE")
	}
	lines := strings.Split(strings.TrimSpace(ts.ReadFile(args[len(args)-1])), "\n")
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		query := r.FormValue("query")
		if strings.HasSuffix(r.URL.Path, "/series") {
			query = r.FormValue("match[]")
		}
		answer := "[]"
		for _, line := range lines {
			if of, series, ok := strings.Cut(line, " "); ok && strings.Contains(query, of) {
				answer = series
				break
			}
		}
		if strings.HasSuffix(r.URL.Path, "/series") {
			_, _ = fmt.Fprintf(w, `{"status":"success","data":%s}`, answer)
			return
		}
		_, _ = fmt.Fprintf(w, `{"status":"success","data":{"resultType":"matrix","result":%s}}`, withinAsked(ts, answer, r, always))
	}))
	ts.Defer(s.Close)
	ts.Setenv("PROMETHEUS", strings.TrimPrefix(s.URL, "http://"))
}

// withinAsked is what of an answer lies in the span that is asked for.
func withinAsked(ts *testscript.TestScript, answer string, r *http.Request, always bool) []byte {
	var series model.Matrix
	ts.Check(json.Unmarshal([]byte(answer), &series))
	start, end, step, err := asked(r)
	ts.Check(err)
	if always {
		atEachStep(series, r.FormValue("query"), start, end, step)
	}
	for _, one := range series {
		one.Values = slices.DeleteFunc(one.Values, func(p model.SamplePair) bool { return p.Timestamp.Before(start) || p.Timestamp.After(end) })
	}
	out, err := json.Marshal(slices.DeleteFunc(series, func(one *model.SampleStream) bool { return len(one.Values) == 0 }))
	ts.Check(err)
	return out
}

func parseTime(text string) (t model.Time, err error) {
	err = t.UnmarshalJSON([]byte(text))
	return t, err
}

// asked is the span of a query, and every how often: of samples themselves (the
// span is in the query then, in milliseconds) every minute.
func asked(r *http.Request) (start, end model.Time, step time.Duration, err error) {
	if r.FormValue("start") == "" {
		query := strings.TrimSuffix(r.FormValue("query"), "ms]")
		span, err := strconv.Atoi(query[strings.LastIndex(query, "[")+1:])
		if err != nil {
			return 0, 0, 0, err
		}
		end, err = parseTime(r.FormValue("time"))
		return end.Add(-time.Duration(span) * time.Millisecond), end, time.Minute, err
	}
	seconds, err := strconv.ParseFloat(r.FormValue("step"), 64)
	if err == nil {
		start, err = parseTime(r.FormValue("start"))
	}
	if err == nil {
		end, err = parseTime(r.FormValue("end"))
	}
	return start, end, time.Duration(seconds * float64(time.Second)), err
}

// atEachStep gives series a sample at each time that is asked for.
func atEachStep(series model.Matrix, query string, start, end model.Time, step time.Duration) {
	for _, one := range series {
		v := one.Values[0].Value
		one.Values = nil
		for at := start; !at.After(end); at = at.Add(step) {
			switch {
			case strings.Contains(query, "timestamp("):
				v = model.SampleValue(at.Unix())
			case strings.Contains(query, "netpol_flows_total"):
				v = model.SampleValue(at.Unix() / 60)
			}
			one.Values = append(one.Values, model.SamplePair{Timestamp: at, Value: v})
		}
	}
}
