package cmd

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/netpol-project/netpol/pkg/stage"
)

const stagedDeny = `apiVersion: projectcalico.org/v3
kind: StagedGlobalNetworkPolicy
metadata: {name: default-deny}
spec:
  tier: default
  namespaceSelector: kubernetes.io/metadata.name == 'vote'
  types: [Ingress, Egress]
`

func TestReportNothingStaged(t *testing.T) {
	out, _ := newBench(t).sawVote().must(0, "report", "--exit-code")
	contains(t, out, "Nothing is staged: 0 of 10 flows would be blocked")
}

func TestReportDefaultDeny(t *testing.T) {
	b := newBench(t).sawVote()
	b.write("deny.yaml", stagedDeny)
	out, errs := b.must(0, "report", "default-deny", "--ns", "vote")
	contains(t, out,
		"If default-deny (StagedGlobalNetworkPolicy) alone were enforced: 9 of 9 flows would be blocked\n",
		"90 of 90 connections, seen from 2026-03-01T11:00:00Z to 2026-03-01T12:00:00Z, namespace vote\n",
		"vote/worker   vote/redis            TCP/6379   10      30m-21m   both ends default: StagedGlobalNetworkPolicy default-deny, end of tier\n",
		"192.0.2.10    vote/vote             TCP/80     10      30m-21m   Ingress default: StagedGlobalNetworkPolicy default-deny, end of tier\n")
	contains(t, errs, "try: netpol --dir "+b.dir+" recommend --ns vote\n")
	b.must(1, "report", "default-deny", "--ns", "vote", "--exit-code")
	b.must(0, "report", "default-deny", "--ns", "wordpress", "--exit-code")
}

func TestReportJSONIsAContract(t *testing.T) {
	b := newBench(t).sawVote()
	b.write("deny.yaml", stagedDeny)
	out, _ := b.must(0, "report", "-o", "json")
	var doc struct {
		APIVersion, Kind, Scope string
		Coverage                struct {
			Policies []struct{ Kind, Name string }
		}
		Summary struct {
			Flows       struct{ Observed, WouldBlock int }
			Connections struct{ Observed, WouldBlock int }
		}
		Items []struct {
			Source, Destination struct{ Namespace, Workload, Kind string }
			Protocol            string
			Port                int
			Service, Direction  string
			Connections         int
			FirstSeen, LastSeen string
			BlockedBy           *struct {
				Tier, Kind, Namespace, Name string
				Rule                        int
			}
		}
	}
	if err := json.Unmarshal([]byte(out), &doc); err != nil {
		t.Fatal(err)
	}
	if doc.APIVersion != "netpol.dev/v1" || doc.Kind != "Report" || doc.Scope != "pending" {
		t.Errorf("head: %+v", doc)
	}
	if f, c := doc.Summary.Flows, doc.Summary.Connections; f.Observed != 10 || f.WouldBlock != 9 || c.Observed != 100 || c.WouldBlock != 90 {
		t.Errorf("summary: %+v", doc.Summary)
	}
	if len(doc.Items) != 9 {
		t.Fatalf("%d items, want 9", len(doc.Items))
	}
	it := doc.Items[0]
	if it.Source.Workload != "result" || it.Source.Namespace != "vote" || it.Source.Kind != "Deployment" ||
		it.Destination.Workload != "coredns" || it.Protocol != "UDP" || it.Port != 53 || it.Service != "kube-system/kube-dns" ||
		it.Direction != "Egress" || it.Connections != 10 || it.FirstSeen != "2026-03-01T11:30:00Z" || it.LastSeen != "2026-03-01T11:39:00Z" {
		t.Errorf("got %+v", it)
	}
	if in := doc.Coverage.Policies; len(in) != 1 || in[0].Kind != "StagedGlobalNetworkPolicy" || in[0].Name != "default-deny" {
		t.Errorf("coverage of %+v", in)
	}
	if by := it.BlockedBy; by == nil || by.Tier != "default" || by.Kind != "StagedGlobalNetworkPolicy" || by.Name != "default-deny" || by.Rule != -1 {
		t.Errorf("blocked by %+v", by)
	}
}

func TestReportHeadingFitsATerminal(t *testing.T) {
	r := &impactReport{Scope: "pending", Policies: []policyReport{{Name: "default-deny"}}, Report: &stage.Report{}}
	r.Summary.Flows.Observed, r.Summary.Flows.WouldBlock = 11, 9
	for width, want := range map[int]string{
		0:   "If the one staged policy, default-deny, were enforced: 9 of 11 flows would be blocked",
		100: "If the one staged policy, default-deny, were enforced: 9 of 11 flows would be blocked",
		80:  "If the one staged policy, default-deny, were enforced:\n9 of 11 flows would be blocked",
	} {
		if got := strings.Join(r.heading(width), "\n"); got != want {
			t.Errorf("width %d: %q", width, got)
		}
	}
	r.Policies = []policyReport{{Name: "default-deny", Namespace: "vote"}, {Name: "default-deny", Namespace: "wordpress"}}
	if got := strings.Join(r.heading(60), "\n"); got != "If all 2 staged policies were enforced:\n9 of 11 flows would be blocked" {
		t.Errorf("two policies: %q", got)
	}
}

func TestReportUnknownPolicy(t *testing.T) {
	b := newBench(t).sawVote()
	b.write("deny.yaml", stagedDeny)
	_, errs := b.must(2, "report", "defaul-deny")
	contains(t, errs, `did you mean "default-deny"?`)
	b.must(2, "report", "default-deny", "--pending")
	b.must(2, "report", "--ns", "nowhere")
}

func TestReportOfAnEnforcedPolicy(t *testing.T) {
	b := newBench(t).sawVote()
	b.write("np.yaml", `apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: db, namespace: vote}
spec: {selector: app == 'db', types: [Ingress]}
`)
	_, errs := b.must(2, "report", "db", "--ns", "vote")
	contains(t, errs, "is enforced, and nothing of that name is staged")
}
