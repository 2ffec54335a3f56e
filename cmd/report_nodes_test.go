package cmd

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/stage"
)

// tellsNodes is a source of flows that knows when each node was counted on.
type tellsNodes struct {
	flow.Source
	nodes []flow.NodeCoverage
}

func (s tellsNodes) List(ctx context.Context, f flow.Filter) ([]flow.Flow, flow.Coverage, error) {
	flows, c, err := s.Source.List(ctx, f)
	c.Nodes = s.nodes
	return flows, c, err
}

// placed are pods of two Deployments on two nodes, the second of which is two
// hours old, and a policy that blocks nothing.
const placed = `apiVersion: v1
kind: Node
metadata: {name: old, creationTimestamp: "2025-12-01T00:00:00Z"}
---
apiVersion: v1
kind: Node
metadata: {name: young, creationTimestamp: "2026-03-01T10:00:00Z"}
---
apiVersion: v1
kind: Pod
metadata: {name: a, namespace: shop, labels: {app: a}}
spec: {nodeName: old, containers: [{name: c, image: i}]}
status: {podIP: 10.8.0.1}
---
apiVersion: v1
kind: Pod
metadata: {name: b, namespace: shop, labels: {app: b}}
spec: {nodeName: young, containers: [{name: c, image: i}]}
status: {podIP: 10.8.0.2}
---
apiVersion: projectcalico.org/v3
kind: StagedNetworkPolicy
metadata: {name: open, namespace: shop}
spec: {ingress: [{action: Allow}], egress: [{action: Allow}]}
`

// placedBench has been observed for two days, its nodes as told.
func placedBench(t *testing.T, nodes ...flow.NodeCoverage) *bench {
	b := newBench(t)
	b.agg = flow.NewAggregator(testNow.Add(-48*time.Hour), flow.DefaultLimits())
	b.write("placed.yaml", placed)
	b.source = func() flow.Source { return tellsNodes{fakeFlows{b.agg}, nodes} }
	return b
}

func nodeAgo(name string, from time.Duration, gaps ...flow.Gap) flow.NodeCoverage {
	return flow.NodeCoverage{Node: name, From: testNow.Add(-from), To: testNow, Gaps: gaps}
}

func TestReportIsNotReadyByAnotherNodesWindow(t *testing.T) {
	b := placedBench(t, nodeAgo("old", 10*time.Minute), nodeAgo("young", 2*time.Hour), nodeAgo("elsewhere", 48*time.Hour))
	const verdict, line = "not ready: node old seen for 10m of 24h", "node old: observed for 10m of 24h"
	out, _ := b.must(1, "report", "--ns", "shop", "--exit-code")
	contains(t, out, "Coverage: "+verdict+"\n  "+line+"\n")
	if strings.Contains(out, "node young") {
		t.Errorf("what is as it should be is told:\n%s", out)
	}
	b.must(0, "report", "--ns", "shop", "--exit-code=blocked")
	out, _ = b.must(0, "report", "--ns", "shop", "-o", "wide")
	contains(t, out, line+"\n", "node young, 120m old: observed for 120m\n")
	out, _ = b.must(0, "report", "--ns", "shop", "-o", "json")
	contains(t, out, `"node old seen for 10m of 24h"`, `"observedSeconds": 600,
        "neededSeconds": 86400,
        "short": true,`, `"observedSeconds": 7200,
        "neededSeconds": 7200,
        "created": "2026-03-01T10:00:00Z",`)
	out, _ = b.must(0, "report", "--ns", "shop", "-o", "junit")
	contains(t, out, `<failure message="`+verdict+`" type="notReady">`, line)
	out, _ = b.must(0, "report", "--ns", "shop", "-o", "markdown")
	contains(t, out, "Coverage: **"+verdict+"**\n", "- "+line+"\n")
	out, _ = b.must(0, "report", "--ns", "shop", "-o", "sarif")
	contains(t, out, `"text": "Coverage: `+verdict+`"`, `"text": "`+line+`"`, `"results": []`)
	// Where less is asked for, or another namespace, it is enough.
	b.must(0, "report", "--ns", "shop", "--exit-code", "--min-window", "10m")
	b.must(0, "report", "--ns", "vote", "--exit-code")
}

func TestReportTellsTheHoursOfANode(t *testing.T) {
	var gaps []flow.Gap
	for _, day := range []int{27, 28} {
		at := time.Date(2026, 2, day, 14, 0, 0, 0, time.UTC)
		gaps = append(gaps, flow.Gap{From: at, To: at.Add(2 * time.Hour)})
	}
	b := placedBench(t, nodeAgo("old", 48*time.Hour, gaps...), nodeAgo("young", 2*time.Hour), nodeAgo("elsewhere", 48*time.Hour))
	out, _ := b.must(1, "report", "--ns", "shop", "--exit-code")
	contains(t, out, "Coverage: not ready: 2 hours of the day missing on node old\n  node old: observed for 44h, gaps of 4h, hours of the day missing (UTC): 14-15\n")
	out, _ = b.must(0, "report", "--ns", "shop", "-o", "json")
	contains(t, out, `"hoursMissing": [
          14,
          15
        ]`)
	b = placedBench(t, nodeAgo("old", 48*time.Hour), nodeAgo("young", 2*time.Hour))
	out, _ = b.must(0, "report", "--ns", "shop", "--exit-code")
	contains(t, out, "Coverage: ready\n")
}

// A window that grows is no change of a report that is watched.
func TestReportWatchedChangesByMoreThanNodesWindows(t *testing.T) {
	report := func(watched time.Duration, reasons ...string) *impactReport {
		return &impactReport{
			Report: &stage.Report{}, Readiness: &stage.Readiness{Reasons: reasons, Ready: len(reasons) == 0},
			Coverage: newCoverageReport(flow.Coverage{From: testNow.Add(-watched), To: testNow, Nodes: []flow.NodeCoverage{nodeAgo("old", watched)}}),
		}
	}
	short, longer, enough := report(time.Hour, "node old seen for 1h of 24h"), report(2*time.Hour, "node old seen for 2h of 24h"), report(30*time.Hour)
	if a, b := short.verdict(), longer.verdict(); a != b || a != "not ready: node old not seen for long enough" {
		t.Errorf("%q and %q", a, b)
	}
	same := func(r *impactReport) string {
		out, err := sameness(r)
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	if same(short) != same(longer) {
		t.Error("time that goes on is told as a change")
	}
	if same(longer) == same(enough) {
		t.Error("that it is ready now is no change")
	}
}
