package cmd

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/netpol-project/netpol/internal/lab/probe"
	"github.com/netpol-project/netpol/internal/lab/prober"
	"github.com/netpol-project/netpol/internal/output"
)

func probeItem(from, to, protocol string, port uint16, result prober.Result) probe.Item {
	peer := func(s string) probe.Peer {
		namespace, workload, _ := strings.Cut(s, "/")
		return probe.Peer{Namespace: namespace, Workload: workload, Kind: "Deployment"}
	}
	it := probe.Item{Source: peer(from), Destination: peer(to), Family: "IPv4", Protocol: protocol, Port: port, Result: result}
	switch result {
	case prober.Blocked:
		it.DeniedBy = &prober.Denial{Direction: "Ingress", Tier: "platform", Kind: "NetworkPolicy", Namespace: "vote", Name: "db", Rule: -1}
	case prober.Error:
		it.Error = "no answer"
	}
	return it
}

func printedProbe(t *testing.T, items []probe.Item, format output.Format, width int, differences ...probe.Difference) string {
	t.Helper()
	doc := &probeReport{Report: probe.Report{Items: items}, Differences: differences}
	for _, it := range items {
		doc.Summary.Pairs++
		switch it.Result {
		case prober.Connected:
			doc.Summary.Connected++
		case prober.Closed:
			doc.Summary.Closed++
		case prober.Blocked:
			doc.Summary.Blocked++
		default:
			doc.Summary.Error++
		}
	}
	var out bytes.Buffer
	opts := &ProbeOptions{Format: format, Family: "4"}
	if err := printProbe(&output.Printer{W: &out, Width: width}, doc, opts); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestProbeMatrix(t *testing.T) {
	got := printedProbe(t, []probe.Item{
		probeItem("vote/worker", "vote/db", "TCP", 5432, prober.Connected),
		probeItem("vote/worker", "kube-system/coredns", "UDP", 53, prober.Closed),
		probeItem("wordpress/mysql", "vote/db", "TCP", 5432, prober.Blocked),
		probeItem("wordpress/mysql", "kube-system/coredns", "UDP", 53, prober.Error),
	}, output.Text, 0, probe.Difference{Pair: "a → b tcp:1", Expected: "deny", Result: "connected"})
	want := `FROM              coredns       db
to namespace      kube-system   vote
to port           53/udp        5432
vote/worker       closed        yes
wordpress/mysql   error         no

4 pairs: 1 connected, 1 closed, 1 blocked, 1 error
1 blocked by platform: NetworkPolicy vote/db, end of tier (ingress)
error: wordpress/mysql → kube-system/coredns UDP/53: no answer

1 pair is not as expected
  a → b tcp:1: expected deny, but it is connected
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestProbeMatrixIsCutWhereItDoesNotFit(t *testing.T) {
	var items []probe.Item
	for _, to := range []string{"shop/aaaaaaaaaa", "shop/bbbbbbbbbb", "shop/cccccccccc"} {
		items = append(items, probeItem("vote/worker", to, "TCP", 80, prober.Connected))
	}
	got := printedProbe(t, items, output.Text, 42)
	for _, line := range strings.Split(got, "\n") {
		if len(strings.TrimRight(line, " ")) > 42 {
			t.Errorf("wider than the terminal: %q", line)
		}
	}
	if n := strings.Count(got, "FROM"); n != 2 {
		t.Errorf("%d parts, want 2:\n%s", n, got)
	}
	for _, name := range []string{"aaaaaaaaaa", "bbbbbbbbbb", "cccccccccc"} {
		if strings.Count(got, name) != 1 {
			t.Errorf("%s is not there once:\n%s", name, got)
		}
	}
}

func TestProbeWideNamesWhatDenies(t *testing.T) {
	got := printedProbe(t, []probe.Item{probeItem("wordpress/mysql", "vote/db", "TCP", 5432, prober.Blocked)}, output.Wide, 0)
	want := "wordpress/mysql   vote/db   TCP/5432   blocked   platform: NetworkPolicy vote/db, end of tier (ingress)\n\n1 pair: 0 connected, 1 blocked\n"
	if !strings.Contains(got, want) {
		t.Errorf("no %q in:\n%s", want, got)
	}
}
