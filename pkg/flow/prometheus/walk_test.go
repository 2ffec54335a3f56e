package prometheus

import (
	"math"
	"reflect"
	"testing"
	"time"

	"github.com/prometheus/common/model"

	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
)

var since = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

func after(minutes int) time.Time { return since.Add(time.Duration(minutes) * time.Minute) }

// What a counter gains, sample by sample.
func TestGain(t *testing.T) {
	old, young := seconds(after(-1000)), seconds(after(7))
	for name, tc := range map[string]struct {
		samples []sample
		want    int64
		unknown bool
	}{
		"nothing": {nil, 0, false},
		"there at the first scrape of an old one":                 {[]sample{{after(5), 100, old, false}, {after(6), 103, old, true}}, 3, false},
		"there at the first scrape of nobody knows how old a one": {[]sample{{after(5), 100, 0, false}, {after(6), 103, 0, true}}, 3, false},
		"there at the first scrape of a young one":                {[]sample{{after(8), 100, young, false}, {after(9), 103, young, true}}, 103, false},
		"not there at scrapes before":                             {[]sample{{after(5), 2, old, true}, {after(6), 2, old, true}}, 2, false},
		"a reset that shows":                                      {[]sample{{after(5), 100, old, false}, {after(9), 4, 0, true}}, 4, false},
		"a reset that the start alone shows":                      {[]sample{{after(5), 100, old, false}, {after(9), 150, young, true}}, 150, false},
		"a clock that was set":                                    {[]sample{{after(5), 100, old, false}, {after(9), 150, old + 4, true}}, 50, false},
		"a clock that was set back":                               {[]sample{{after(5), 100, old, false}, {after(9), 150, old - 4000, true}}, 50, false},
		"no whole numbers":                                        {[]sample{{after(5), 1.9, old, false}, {after(6), 3.2, old, true}}, 2, false},
		"not a number":                                            {[]sample{{after(5), 1, old, false}, {after(6), math.NaN(), old, true}, {after(7), 3, old, true}}, 2, true},
		"infinite":                                                {[]sample{{after(5), math.Inf(1), old, true}, {after(6), 3, old, true}}, 3, true},
		"less than nothing":                                       {[]sample{{after(5), -1, old, true}}, 0, true},
		"more than can be counted":                                {[]sample{{after(5), 1e300, old, true}}, 0, true},
	} {
		w := newWalk(&target{}, reading{since: since, ends: []time.Time{after(100)}})
		w.step(after(5))
		c := w.counter(metricOf(nil))
		for _, s := range tc.samples {
			w.add(c, s)
		}
		var got int64
		for _, f := range w.sum {
			got += f.Connections
		}
		if got != tc.want || w.t.lostUnknown != tc.unknown {
			t.Errorf("%s: %d, unknown %v; want %d, %v", name, got, w.t.lostUnknown, tc.want, tc.unknown)
		}
	}
}

// metricOf are the labels of a flow, some of them changed.
func metricOf(change map[string]string) model.Metric {
	m := model.Metric{}
	for k, v := range map[string]string{
		"instance": "10.0.0.1:9411", "direction": "Egress", "verdict": "Allow", "pending_verdict": "Deny",
		"source_kind": "Workload", "source_namespace": "shop", "source_workload": "web", "source_workload_kind": "Deployment",
		"destination_kind": "Workload", "destination_namespace": "shop", "destination_workload": "db", "protocol": "TCP", "port": "5432",
	} {
		m[model.LabelName(k)] = model.LabelValue(v)
	}
	for k, v := range change {
		m[model.LabelName(k)] = model.LabelValue(v)
	}
	return m
}

// What a series says is read, and what it does not say is not made up.
func TestKeyOfASeries(t *testing.T) {
	web := flow.Peer{Kind: flow.PeerWorkload, Workload: policy.Workload{Kind: "Deployment", Namespace: "shop", Name: "web"}}
	db := flow.Peer{Kind: flow.PeerWorkload, Workload: policy.Workload{Namespace: "shop", Name: "db"}}
	hit := func(a policy.Action) policy.Hit { return policy.Hit{Rule: policy.NoPolicy, Action: a} }
	whole := flow.Key{Source: web, Destination: db, Protocol: policy.TCP, Port: 5432, Direction: policy.Egress, Enforced: hit(policy.Allow), Pending: hit(policy.Deny)}
	with := func(change func(*flow.Key)) flow.Key {
		k := whole
		change(&k)
		return k
	}
	for name, tc := range map[string]struct {
		change map[string]string
		key    flow.Key
		what   what
	}{
		"whole":                   {nil, whole, aFlow},
		"a label of the server's": {map[string]string{"port": "9411", "exported_port": "5432"}, whole, aFlow},
		"outside": {map[string]string{"destination_kind": "Network", "destination_namespace": "", "destination_workload": ""},
			with(func(k *flow.Key) { k.Destination = flow.Peer{Kind: flow.PeerNetwork} }), aFlow},
		"a network set": {map[string]string{"destination_kind": "NetworkSet", "destination_workload": "bank"},
			with(func(k *flow.Key) {
				k.Destination = flow.Peer{Kind: flow.PeerNetworkSet, Workload: policy.Workload{Namespace: "shop", Name: "bank"}}
			}), aFlow},
		"a global network set": {map[string]string{"destination_kind": "NetworkSet", "destination_namespace": "", "destination_workload": "bank"},
			with(func(k *flow.Key) {
				k.Destination = flow.Peer{Kind: flow.PeerNetworkSet, Workload: policy.Workload{Name: "bank"}}
			}), aFlow},
		"a network set unnamed": {map[string]string{"destination_kind": "NetworkSet", "destination_workload": ""}, flow.Key{}, unknown},
		"a node": {map[string]string{"destination_kind": "Host", "destination_namespace": "", "destination_workload": "node1"},
			with(func(k *flow.Key) {
				k.Destination = flow.Peer{Kind: flow.PeerHost, Workload: policy.Workload{Name: "node1"}}
			}), aFlow},
		"ICMP":                {map[string]string{"protocol": "ICMP", "port": ""}, with(func(k *flow.Key) { k.Protocol, k.Port = policy.ICMP, 0 }), aFlow},
		"counted together":    {map[string]string{"source_kind": "Other", "destination_kind": "Other", "protocol": "", "port": ""}, flow.Key{}, unknown},
		"a kind of tomorrow":  {map[string]string{"source_kind": "Service"}, flow.Key{}, unknown},
		"no port":             {map[string]string{"port": ""}, flow.Key{}, unknown},
		"no such port":        {map[string]string{"port": "70000"}, flow.Key{}, unknown},
		"no protocol":         {map[string]string{"protocol": "QUIC"}, flow.Key{}, unknown},
		"no verdict":          {map[string]string{"verdict": "Maybe"}, flow.Key{}, unknown},
		"no direction":        {map[string]string{"direction": ""}, flow.Key{}, unknown},
		"a workload unnamed":  {map[string]string{"source_workload": ""}, flow.Key{}, unknown},
		"a name that is said": {map[string]string{"source_kind": "Unchecked"}, flow.Key{}, unchecked},
	} {
		if key, what := keyOf(metricOf(tc.change)); key != tc.key || what != tc.what {
			t.Errorf("%s: %+v, %d; want %+v, %d", name, key, what, tc.key, tc.what)
		}
	}
}

// scrapedAt has a target scraped at steps of five minutes, a minute before their
// end.
func scrapedAt(t *target, start float64, counting bool, steps ...int) *target {
	t.steps = map[int64]*scrape{}
	for _, n := range steps {
		t.steps[after(5*n).UnixMilli()] = &scrape{begin: after(5*n - 5), end: after(5 * n), at: after(5*n - 1), counting: counting, start: start, lost: -1}
	}
	t.fold(since)
	return t
}

// Of a node's agents, one after the other, the spans are put together.
func TestCoverage(t *testing.T) {
	at := func(node string, instance string, start float64, steps ...int) *target {
		return scrapedAt(&target{node: node, labels: model.LabelSet{"instance": model.LabelValue(instance)}}, start, true, steps...)
	}
	gap := func(from, to int) flow.Gap { return flow.Gap{From: after(from), To: after(to)} }
	notCounting := scrapedAt(scrapedAt(at("n", "a", 1, 0, 1), 1, false, 2), 1, true, 3, 4)
	anew := scrapedAt(at("n", "a", 1, 0, 1), 100, true, 2, 3)
	for name, tc := range map[string]struct {
		targets []*target
		from    int
		to      int
		gaps    []flow.Gap
	}{
		"all the time":        {[]*target{at("n", "a", 1, 0, 1, 2)}, 0, 9, nil},
		"from the first on":   {[]*target{at("n", "a", 1, 2, 3, 4)}, 9, 19, nil},
		"not scraped":         {[]*target{at("n", "a", 1, 0, 1, 3, 4)}, 0, 19, []flow.Gap{gap(4, 14)}},
		"not counting":        {[]*target{notCounting}, 0, 19, []flow.Gap{gap(4, 14)}},
		"begun anew":          {[]*target{anew}, 0, 14, []flow.Gap{gap(4, 9)}},
		"as another instance": {[]*target{at("n", "a", 1, 0, 1), at("n", "b", 2, 2, 3)}, 0, 14, []flow.Gap{gap(4, 9)}},
		"side by side":        {[]*target{at("n", "a", 1, 0, 1, 2), at("n", "b", 2, 2, 3)}, 0, 14, nil},
	} {
		c := coverage(tc.targets, since)
		want := []flow.NodeCoverage{{Node: "n", From: after(tc.from), To: after(tc.to), Gaps: tc.gaps}}
		if !reflect.DeepEqual(c.Nodes, want) {
			t.Errorf("%s: %+v, want %+v", name, c.Nodes, want)
		}
	}
}

// What can't be added up is refused.
func TestTwice(t *testing.T) {
	of := func(node, instance, cluster string, steps ...int) *target {
		return scrapedAt(&target{node: node, labels: model.LabelSet{"instance": model.LabelValue(instance), "cluster": model.LabelValue(cluster)}}, 1, true, steps...)
	}
	for name, tc := range map[string]struct {
		targets []*target
		refused bool
	}{
		"two nodes":                     {[]*target{of("a", "1", "", 0, 1, 2, 3), of("b", "2", "", 0, 1, 2, 3)}, false},
		"one after the other":           {[]*target{of("a", "1", "", 0, 1, 2), of("a", "2", "", 2, 3, 4)}, false},
		"one node twice":                {[]*target{of("a", "1", "", 0, 1, 2), of("a", "2", "", 0, 1, 2)}, true},
		"two clusters":                  {[]*target{of("a", "1", "x", 0), of("b", "2", "y", 0)}, true},
		"one that is in no cluster too": {[]*target{of("a", "1", "x", 0), of("b", "2", "", 0)}, true},
	} {
		if err := twice(tc.targets); (err != nil) != tc.refused {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Spans are cut into whole steps that follow each other.
func TestPlan(t *testing.T) {
	for _, span := range []time.Duration{time.Second, 15 * time.Second, 40 * time.Minute, time.Hour, 61 * time.Minute, 25*time.Hour + 13*time.Second, 14 * 24 * time.Hour, 100 * 24 * time.Hour} {
		at := since
		for _, seg := range plan(since, since.Add(span)) {
			if early := at.Sub(seg.from); early < 0 || early > time.Second {
				t.Errorf("%s: begins at %s, want %s", span, seg.from, at)
			}
			if d := seg.to.Sub(seg.from); d%seg.step != 0 || seg.step > coarseStep+time.Millisecond || d > perQuery+time.Second || seg.steps() > 11000 {
				t.Errorf("%s: %s in steps of %s", span, d, seg.step)
			}
			at = seg.to
		}
		if !at.Equal(since.Add(span)) {
			t.Errorf("%s: ends at %s", span, at)
		}
	}
}

// Conditions are PromQL's, and nothing else gets into a query.
func TestParseMatch(t *testing.T) {
	for in, want := range map[string]string{
		``: ``, `a="b"`: `a="b"`, ` a = "b" , c=~"d.*",`: `a="b",c=~"d.*"`, `a!="x\"}"`: `a!="x\"}"`,
	} {
		if got, err := ParseMatch(in); err != nil || got != want {
			t.Errorf("%s: %s, %v; want %s", in, got, err, want)
		}
	}
	for _, in := range []string{`a`, `a=b`, `a="b"} or up{x="y"`, `a="b" c="d"`, `1a="b"`, `a=~"("`, `a="\q"`, `__name__`, `{a="b"}`} {
		if got, err := ParseMatch(in); err == nil {
			t.Errorf("%s: %s, want an error", in, got)
		}
	}
}
