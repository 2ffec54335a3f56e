//go:build linux

package e2e_test

import (
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/netpol-project/netpol/internal/e2e"
	"github.com/netpol-project/netpol/internal/kubetest"
)

// withoutLate would keep late pods from the open servers.
const withoutLate = `
apiVersion: projectcalico.org/v3
kind: StagedNetworkPolicy
metadata: {name: open, namespace: gap}
spec:
  tier: default
  order: 100
  selector: app == 'open'
  types: [Ingress]
  ingress:
  - {action: Allow, protocol: TCP, source: {selector: "app in {'client', 'held'}"}, destination: {ports: [8080, 7000]}}
`

// liveCut is an open connection that a report lists.
type liveCut struct {
	Source, Destination struct{ Namespace, Workload string }
	Port                int
	SourceAddress       string
	Since               time.Time
	AtLeast             bool
	BlockedBy           struct{ Kind, Namespace, Name string }
}

// liveCuts are the open connections that what is staged in namespace gap would cut.
func (g *gap) liveCuts(t *testing.T) (cuts []liveCut, known bool) {
	t.Helper()
	var report struct {
		Live struct {
			Known      bool
			WouldCut   int
			Items      []liveCut
			Unanswered []string
		}
	}
	netpolJSON(t, g.c, &report, "report", "--ns=gap")
	if report.Live.Known && report.Live.WouldCut != len(report.Live.Items) {
		t.Errorf("%d would be cut, and %d are listed", report.Live.WouldCut, len(report.Live.Items))
	}
	return report.Live.Items, report.Live.Known && len(report.Live.Unanswered) == 0
}

// testLive: on every node a pod holds a connection that a staged policy would
// forbid. The report lists these, all nodes' and no others, with their age; once
// the policy is enforced just these are cut.
func testLive(t *testing.T, g *gap) {
	begin := time.Now().Truncate(time.Second)
	hold := []string{"hold", net.JoinHostPort(serviceAddresses(t, g.c, "gap", "open")[0], "7")}
	g.c.Apply(t, strings.NewReplacer("NAME", "late", "IMAGE", e2e.ToolsImage, "ARGS", jsonOf(t, hold)).Replace(gapClient))
	g.c.Kubectl(t, "--namespace=gap", "rollout", "status", "daemonset/late", "--timeout=120s")
	late := podsOf(t, g.c, "gap", "app=late")
	for _, p := range late {
		kubetest.Eventually(t, p.name+" holds its connection", func() bool {
			return strings.Contains(g.c.Kubectl(t, "--namespace=gap", "logs", p.name), `"good":1`)
		})
	}
	held := time.Now()
	g.c.Apply(t, withoutLate)
	var cuts []liveCut
	kubetest.Eventually(t, "the report lists the connections", func() bool {
		var known bool
		cuts, known = g.liveCuts(t)
		return known && len(cuts) == len(late)
	})
	var from, want []string
	for _, c := range cuts {
		from = append(from, c.SourceAddress)
		if c.Source.Namespace != "gap" || c.Source.Workload != "late" || c.Destination.Workload != "open" || c.Port != 7000 || c.BlockedBy.Name == "" {
			t.Errorf("%+v", c)
		}
		if c.Since.Before(begin) || c.Since.After(held) || c.AtLeast {
			t.Errorf("open since %s (at least: %t), want between %s and %s", c.Since, c.AtLeast, begin, held)
		}
	}
	for _, p := range late {
		for _, address := range p.addresses {
			if slices.Contains(from, address) {
				want = append(want, address)
			}
		}
	}
	if len(want) != len(late) {
		t.Errorf("from %v, want one of each of %v", from, late)
	}
	if out, _, _ := tryNetpol(t, g.c, "report", "--ns=gap"); !strings.Contains(out, "3 open connections would be cut") || !strings.Contains(out, "gap/late") {
		t.Errorf("the report says\n%s", out)
	}
	// A new pod may have been closed when it tried first.
	restarts := func(p pod) string {
		return g.c.Kubectl(t, "--namespace=gap", "get", "pod", p.name, "--output=jsonpath={.status.containerStatuses[0].restartCount}")
	}
	before := map[string]string{}
	for _, p := range late {
		before[p.name] = restarts(p)
	}
	g.during(t, func() {
		netpol(t, g.c, 0, "enforce", "open", "--ns=gap", "--force", "--force-conflicts", "--wait")
		for _, p := range late {
			kubetest.Eventually(t, "the connection of "+p.name+" is cut", func() bool { return restarts(p) != before[p.name] })
		}
	})
	g.c.Kubectl(t, "--namespace=gap", "delete", "daemonset/late", "--wait")
	kubetest.Eventually(t, "the late pods are gone", func() bool { return len(podsOf(t, g.c, "gap", "app=late")) == 0 })
	if cuts, _ = g.liveCuts(t); len(cuts) != 0 {
		t.Errorf("nothing is staged, and yet would be cut: %+v", cuts)
	}
	g.c.Apply(t, gapPolicies)
	g.checkHeld(t)
}
