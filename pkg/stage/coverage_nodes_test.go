package stage

import (
	"fmt"
	"testing"
	"time"

	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

// nodesWorld is coverageWorld on nodes n1 and n2, the latter of which joined as
// long ago as told; 0: nobody knows when.
func nodesWorld(joined time.Duration) (*tier.Model, tier.Scope) {
	m, scope := coverageWorld()
	s := *m.Snapshot()
	s.Endpoints = append([]*policy.Endpoint{}, s.Endpoints...)
	for i, ep := range s.Endpoints {
		if ep.Node == "n1" && i%2 == 1 {
			moved := *ep
			moved.Node = "n2"
			s.Endpoints[i] = &moved
		}
	}
	s.Nodes = []*policy.Node{{Name: "n1", Created: seen.Add(-1000 * time.Hour).UnixNano()}, {Name: "n2"}}
	if joined > 0 {
		s.Nodes[1].Created = seen.Add(-joined).UnixNano()
	}
	return tier.New(&s, nil), scope
}

// ago is a node's window, from and to so long ago, with gaps alike.
func ago(name string, from, to time.Duration, gaps ...time.Duration) flow.NodeCoverage {
	n := flow.NodeCoverage{Node: name, From: seen.Add(-from), To: seen.Add(-to)}
	for i := 0; i < len(gaps); i += 2 {
		n.Gaps = append(n.Gaps, flow.Gap{From: seen.Add(-gaps[i]), To: seen.Add(-gaps[i+1])})
	}
	return n
}

// Nodes are judged each by its own window.
func TestCoverageOfEachNode(t *testing.T) {
	const h = time.Hour
	lost := func(n flow.NodeCoverage, count int64, more bool) flow.NodeCoverage {
		n.Lost, n.LostUnknown = count, more
		return n
	}
	since := func(d time.Duration) func(*Evidence) {
		return func(ev *Evidence) { ev.Coverage.From = seen.Add(-d) }
	}
	least := func(d time.Duration) func(*Evidence) { return func(ev *Evidence) { ev.Least = d } }
	many := func(each func(name string) flow.NodeCoverage) []flow.NodeCoverage {
		out := []flow.NodeCoverage{ago("n1", 48*h, 0)}
		for i := range 4 {
			out = append(out, each(fmt.Sprintf("n%d", i+2)))
		}
		return out
	}
	for _, c := range []struct {
		name   string
		joined time.Duration // of n2
		nodes  []flow.NodeCoverage
		change func(*Evidence)
		want   string
	}{
		{"both all the time", 0, []flow.NodeCoverage{ago("n1", 48*h, 0), ago("n2", 48*h, 0)}, nil, "ready"},
		{"one for ten minutes", 0, []flow.NodeCoverage{ago("n1", 48*h, 0), ago("n2", h/6, 0)}, nil, "not ready: node n2 seen for 10m of 24h"},
		{"one for long enough, the other longer", 0, []flow.NodeCoverage{ago("n1", 48*h, 0), ago("n2", 30*h, 0)}, nil, "ready"},
		{"ten minutes are what is asked for", 0, []flow.NodeCoverage{ago("n1", 48*h, 0), ago("n2", h/6, 0)}, least(h / 6), "ready"},
		{"half a minute is asked for", 0, []flow.NodeCoverage{ago("n1", h, 0), ago("n2", time.Second, 0)}, least(h / 120), "not ready: node n2 seen for 1s of 30s"},
		{"the window is short too", 0, []flow.NodeCoverage{ago("n1", 3*h, 0), ago("n2", h/6, 0)}, since(3 * h), "not ready: seen for 3h of 24h, node n2 seen for 10m of 3h"},
		{"both alike", 0, []flow.NodeCoverage{ago("n1", 3*h, 0), ago("n2", 3*h-time.Minute, 0)}, since(3 * h), "not ready: seen for 3h of 24h"},
		{"a gap leaves too little", 0, []flow.NodeCoverage{ago("n1", 48*h, 0), ago("n2", 48*h, 0, 40*h, 10*h)}, nil, "not ready: node n2 seen for 18h of 24h"},
		{"gaps of two nodes", 0, []flow.NodeCoverage{ago("n1", 24*h, 0, 20*h, 18*h), ago("n2", 24*h, 0, 10*h, 7*h)}, since(24 * h), "not ready: node n1 seen for 22h of 24h, node n2 seen for 21h of 24h"},
		{"the same hours of both days, on one", 0, []flow.NodeCoverage{ago("n1", 48*h, 0), ago("n2", 48*h, 0, 36*h, 34*h, 12*h, 10*h)}, nil, "not ready: 2 hours of the day missing on node n2"},
		{"the same hours of both days, on both", 0, []flow.NodeCoverage{ago("n1", 48*h, 0, 36*h, 34*h, 12*h, 10*h), ago("n2", 48*h, 0, 36*h, 34*h, 12*h, 10*h)}, nil, "not ready: 2 hours of the day missing"},
		{"two of both and one more of one", 0, []flow.NodeCoverage{ago("n1", 48*h, 0, 36*h, 34*h, 12*h, 10*h), ago("n2", 48*h, 0, 37*h, 34*h, 13*h, 10*h)}, nil,
			"not ready: 2 hours of the day missing, 1 hour of the day missing on node n2"},
		{"a gap of one day alone", 0, []flow.NodeCoverage{ago("n1", 48*h, 0), ago("n2", 48*h, 0, 12*h, 10*h)}, nil, "ready"},
		{"hours of a gap that nobody asks for", 0, []flow.NodeCoverage{ago("n1", 48*h, 0), ago("n2", 48*h, 0, 36*h, 34*h, 12*h, 10*h)}, least(20 * h), "ready"},
		{"an agent that starts again", 0, []flow.NodeCoverage{ago("n1", 24*h, 0), ago("n2", 24*h, 0, 10*h, 10*h-time.Minute)}, since(24 * h), "ready"},
		{"a second is not told yet", 0, []flow.NodeCoverage{ago("n1", 24*h, time.Second), ago("n2", 24*h, time.Second)}, since(24 * h), "ready"},

		{"a young node, watched since", 2 * h, []flow.NodeCoverage{ago("n1", 48*h, 0), ago("n2", 2*h-time.Minute, 0)}, nil, "ready"},
		{"a young node, watched for less", 2 * h, []flow.NodeCoverage{ago("n1", 48*h, 0), ago("n2", h/6, 0)}, nil, "not ready: node n2 seen for 10m of 2h"},
		{"a young node, not watched", 2 * h, []flow.NodeCoverage{ago("n1", 48*h, 0)}, nil, "not ready: 1 node not observed"},
		{"an old node, watched lately", 1000 * h, []flow.NodeCoverage{ago("n1", 48*h, 0), ago("n2", 2*h, 0)}, nil, "not ready: node n2 seen for 2h of 24h"},
		{"one that joined two days after the first", 47 * h, []flow.NodeCoverage{ago("n1", 96*h, 0), ago("n2", 10*h, 0)}, since(96 * h), "not ready: node n2 seen for 10h of 24h"},

		{"one without pods of the scope, for ten minutes", 0, []flow.NodeCoverage{ago("n1", 48*h, 0), ago("n2", 48*h, 0), ago("n9", h/6, 0)}, nil, "ready"},
		{"one without pods of the scope, with gaps", 0, []flow.NodeCoverage{ago("n1", 48*h, 0), ago("n2", 48*h, 0), ago("n9", 48*h, 0, 47*h, h)}, nil, "ready"},
		{"it alone was watched for long", 0, []flow.NodeCoverage{ago("n1", h/6, 0), ago("n2", h/6, 0), ago("n9", 48*h, 0)}, nil,
			"not ready: node n1 seen for 10m of 24h, node n2 seen for 10m of 24h"},

		{"lost on one", 0, []flow.NodeCoverage{ago("n1", 48*h, 0), lost(ago("n2", 48*h, 0), 3, false)}, nil, "not ready: 3 connections lost on node n2"},
		{"lost on both, at least", 0, []flow.NodeCoverage{lost(ago("n1", 48*h, 0), 0, true), lost(ago("n2", 48*h, 0), 3, false)}, nil, "not ready: ≥ 3 connections lost on nodes n1 and n2"},
		{"lost where pods of the scope may have been", 0, []flow.NodeCoverage{ago("n1", 48*h, 0), ago("n2", 48*h, 0), lost(ago("n9", 48*h, 0), 0, true)}, nil,
			"not ready: connections lost on node n9"},
		{"lost on one, and nobody knows where", 0, []flow.NodeCoverage{ago("n1", 48*h, 0), lost(ago("n2", 48*h, 0), 3, false)},
			func(ev *Evidence) { ev.Coverage.LostUnknown = true }, "not ready: ≥ 3 connections lost"},
		{"lost on many", 0, many(func(name string) flow.NodeCoverage { return lost(ago(name, 48*h, 0), 1, false) }), nil, "not ready: 4 connections lost on 4 nodes"},
	} {
		ev := covered()
		ev.Coverage.Nodes = c.nodes
		for _, n := range c.nodes {
			ev.Coverage.Lost += n.Lost
			ev.Coverage.LostUnknown = ev.Coverage.LostUnknown || n.LostUnknown
		}
		if c.change != nil {
			c.change(ev)
		}
		for i, n := range ev.Coverage.Nodes { // as sources of flows have it
			if n.From.Before(ev.Coverage.From) {
				ev.Coverage.Nodes[i].From = ev.Coverage.From
			}
		}
		m, scope := nodesWorld(c.joined)
		if got := Assess(m, scope, ev); got.Text() != c.want || got.Ready != (c.want == "ready") {
			t.Errorf("%s: %q, want %q", c.name, got.Text(), c.want)
		}
	}
}

// Many nodes are not named each.
func TestCoverageOfManyNodesIsShort(t *testing.T) {
	m, scope := coverageWorld()
	s := *m.Snapshot()
	ev := covered()
	ev.Coverage.Nodes = []flow.NodeCoverage{ago("n1", 48*time.Hour, 0)}
	for i := range 4 {
		ep := impactPod("db", fmt.Sprintf("db-more-%d", i), byte(60+i))
		ep.Node = fmt.Sprintf("m%d", i)
		s.Endpoints = append(s.Endpoints[:len(s.Endpoints):len(s.Endpoints)], ep)
		ev.Coverage.Nodes = append(ev.Coverage.Nodes, ago(ep.Node, time.Hour, 0))
	}
	got := Assess(tier.New(&s, nil), scope, ev)
	if want := "not ready: 4 nodes not seen for long enough"; got.Text() != want {
		t.Errorf("%q, want %q", got.Text(), want)
	}
	for i := 1; i < 5; i++ {
		ev.Coverage.Nodes[i] = ago(ev.Coverage.Nodes[i].Node, 48*time.Hour, 0, 36*time.Hour, 34*time.Hour, 12*time.Hour, 10*time.Hour)
	}
	got = Assess(tier.New(&s, nil), scope, ev)
	if want := "not ready: hours of the day missing on 4 nodes"; got.Text() != want {
		t.Errorf("%q, want %q", got.Text(), want)
	}
}

func TestCoverageIsThatOfTheNodesThatMatter(t *testing.T) {
	m, scope := nodesWorld(30 * time.Hour)
	ev := covered()
	ev.Coverage.Nodes = []flow.NodeCoverage{
		ago("n1", 48*time.Hour, 0, time.Hour, 59*time.Minute), ago("n2", 30*time.Hour, 0), ago("n9", 48*time.Hour, 0),
	}
	ev.Coverage.Nodes[0].Lost = 2
	got := Assess(m, scope, ev)
	if len(got.Nodes) != 2 {
		t.Fatalf("got %+v", got.Nodes)
	}
	if n := got.Nodes[0]; n.Node != "n1" || n.GapSeconds != 60 || n.ObservedSeconds != 48*3600-60 || n.NeededSeconds != 24*3600 || n.Lost != 2 || n.Short || n.Created != nil {
		t.Errorf("got %+v", n)
	}
	if n := got.Nodes[1]; n.Node != "n2" || n.ObservedSeconds != 30*3600 || n.Short || n.Created == nil || !n.Created.Equal(seen.Add(-30*time.Hour)) {
		t.Errorf("got %+v", n)
	}
	if want := int64(48 * 3600); got.WindowSeconds != want {
		t.Errorf("window of %d s, want %d: somebody counted all the time", got.WindowSeconds, want)
	}
}

// Workloads of manifests have no nodes yet: they may run on any that is counted on.
func TestCoverageOfWorkloadsWithoutPodsIsThatOfAllNodes(t *testing.T) {
	m, scope := coverageWorld()
	s := *m.Snapshot()
	s.Endpoints = nil
	for _, ep := range m.Snapshot().Endpoints {
		template := *ep
		template.Node, template.Addrs = "", nil
		s.Endpoints = append(s.Endpoints, &template)
	}
	ev := covered()
	ev.Coverage.Nodes = []flow.NodeCoverage{ago("n1", 48*time.Hour, 0), ago("n2", time.Hour, 0), ago("n3", 48*time.Hour, 40*time.Hour)}
	got := Assess(tier.New(&s, nil), scope, ev)
	if want := "not ready: node n2 seen for 1h of 24h"; got.Text() != want {
		t.Errorf("%q, want %q", got.Text(), want)
	}
}
