package cmd

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
)

const nightly = `apiVersion: batch/v1
kind: CronJob
metadata: {name: backup, namespace: vote}
spec:
  schedule: "0 3 * * *"
  jobTemplate: {spec: {template: {metadata: {labels: {app: backup}}, spec: {containers: [{name: c, image: i}]}}}}
`

func TestReportGroups(t *testing.T) {
	b := newBench(t).sawVote()
	b.write("deny.yaml", stagedDeny)
	for by, want := range map[string]string{
		"workload":  "vote/worker   vote/redis            1         10      30m-21m   TCP/6379\n",
		"namespace": "(outside)   vote          2         20      30m-21m   TCP/80\nvote        kube-system   3         30      30m-21m   UDP/53\n",
		"policy":    "9         90      30m-21m   default: StagedGlobalNetworkPolicy default-deny\n",
		"port":      "TCP/5432   2         20      30m-21m\n",
	} {
		out, _ := b.must(0, "report", "default-deny", "--by", by)
		contains(t, out, "9 of 10 flows would be blocked", want)
	}
	_, errs := b.must(2, "report", "--by", "pod")
	contains(t, errs, `--by "pod": expected workload, namespace, policy or port`)
}

func TestReportTrendIsOfTheWindow(t *testing.T) {
	b := newBench(t).sawVote()
	b.write("deny.yaml", stagedDeny)
	out, _ := b.must(0, "report", "default-deny", "--ns", "vote")
	// 9 flows, a connection a minute each from 11:30 to 11:39.
	contains(t, out, "Last seen 21m ago; connections begun each 5m since 2026-03-01T11:00:00Z: 0 0 0 0 0 0 45 45 0 0 0 0\n")
	b.saw("vote/vote", "vote/db", policy.TCP, 5432, "vote/db")
	k := flow.Key{Source: benchPeer("vote/vote"), Destination: benchPeer("vote/db"), Protocol: policy.TCP, Port: 5432,
		Enforced: policy.Hit{Rule: policy.NoPolicy, Action: policy.Allow}}
	b.agg.Started(k, flow.Ends{}, testNow.Add(-time.Second))
	out, _ = b.must(0, "report", "default-deny", "--ns", "vote")
	contains(t, out, "Last seen 1s ago, still happening; connections begun", ": 0 0 0 0 0 0 50 50 0 0 0 1\n", "1 open connection would be cut, as the flows count them\n")
}

func TestReportCoverageDecidesTheExitCode(t *testing.T) {
	b := newBench(t).sawVote()
	b.write("deny.yaml", strings.Replace(stagedDeny, "types: [Ingress, Egress]", "types: [Ingress, Egress]\n  ingress: [{action: Allow}]\n  egress: [{action: Allow}]", 1))
	out, _ := b.must(1, "report", "--exit-code")
	contains(t, out, "Coverage: not ready: seen for 1h of 24h\n")
	b.must(0, "report", "--exit-code=blocked")
	out, _ = b.must(0, "report", "--exit-code", "--min-window", "1h")
	contains(t, out, "Coverage: ready\n")
	b.write("nightly.yaml", nightly)
	out, _ = b.must(1, "report", "--exit-code", "--min-window", "1h")
	contains(t, out, "Coverage: not ready: 1 CronJob unseen\n  CronJob vote/backup (0 3 * * *): no run in the window\n")
	b.must(0, "report", "--exit-code=blocked", "--min-window", "1h")
	b.must(0, "report")
	out, _ = b.must(0, "report", "-o", "wide")
	contains(t, out, "hours of the day missing (UTC): 0-10, 12-23\n", "workloads selected, 60m observed")
	_, errs := b.must(2, "report", "--exit-code=maybe")
	contains(t, errs, "expected ready (the default) or blocked")
	b.must(2, "report", "--min-window", "-1h")
}

func TestS27_ReportSaysWhatBecomesOfEnforcedPolicies(t *testing.T) {
	const np = "apiVersion: projectcalico.org/v3\nkind: %KIND\nmetadata: {name: %NAME, namespace: vote}\nspec: {%SPEC}\n---\n"
	make := func(kind, name, spec string) string {
		return strings.NewReplacer("%KIND", kind, "%NAME", name, "%SPEC", spec).Replace(np)
	}
	b := newBench(t).sawVote()
	b.write("all.yaml",
		make("NetworkPolicy", "db", "selector: app == 'db', types: [Ingress]")+ // closed now
			make("StagedNetworkPolicy", "db", "stagedAction: Delete")+
			make("NetworkPolicy", "redis", "selector: app == 'redis', types: [Ingress], ingress: [{action: Allow}]")+
			make("StagedNetworkPolicy", "redis", "selector: app == 'redis', types: [Ingress]")+
			make("StagedNetworkPolicy", "vote", "selector: app == 'vote', types: [Ingress], stagedAction: Ignore"))
	out, _ := b.must(0, "report", "--ns", "vote")
	contains(t, out,
		"If all staged policies (vote/db, vote/redis) were enforced: 2 of 9 flows would be blocked, 2 allowed\n",
		"Replaced then: NetworkPolicy vote/redis\nDeleted then: NetworkPolicy vote/db\nStagedNetworkPolicy vote/vote counts for nothing (stagedAction Ignore)\n",
		"Would be allowed, and is refused now\n",
		"vote/worker   vote/db   TCP/5432   10      30m-21m   Ingress default: NetworkPolicy vote/db, end of tier\n")
	out, _ = b.must(0, "report", "db", "--ns", "vote")
	contains(t, out, "If vote/db (StagedNetworkPolicy) alone were enforced: 0 of 9 flows would be blocked, 2 allowed\n")
	out, _ = b.must(0, "report", "vote", "--ns", "vote")
	contains(t, out, "alone were enforced: 0 of 9 flows would be blocked\n", "counts for nothing (stagedAction Ignore)")
	out, _ = b.must(0, "report", "-o", "json")
	contains(t, out, `"stagedAction": "Delete",
      "replaces": true`, `"ignored": [`)
}

func TestReportSARIFHasWhatTheSchemaAsksFor(t *testing.T) {
	b := newBench(t).sawVote()
	b.write("deny.yaml", "# a comment\n---\n"+stagedDeny)
	out, _ := b.must(0, "report", "-o", "sarif")
	var log struct {
		Schema  string `json:"$schema"`
		Version string
		Runs    []struct {
			Tool struct {
				Driver struct {
					Name  string
					Rules []struct {
						ID               string
						ShortDescription struct{ Text string }
					}
				}
			}
			Results []struct {
				RuleID, Level string
				RuleIndex     int
				Message       struct{ Text string }
				Locations     []struct {
					PhysicalLocation struct {
						ArtifactLocation struct{ URI string }
						Region           struct{ StartLine int }
					}
				}
				PartialFingerprints map[string]string
			}
		}
	}
	if err := json.Unmarshal([]byte(out), &log); err != nil {
		t.Fatal(err)
	}
	if log.Version != "2.1.0" || !strings.HasSuffix(log.Schema, "sarif-2.1.0.json") || len(log.Runs) != 1 {
		t.Fatalf("head: %s %s, %d runs", log.Schema, log.Version, len(log.Runs))
	}
	run := log.Runs[0]
	if run.Tool.Driver.Name == "" || len(run.Tool.Driver.Rules) != 1 || len(run.Results) != 9 {
		t.Fatalf("driver %+v, %d results, want 9", run.Tool.Driver, len(run.Results))
	}
	seen := map[string]bool{}
	for _, r := range run.Results {
		rule := run.Tool.Driver.Rules[r.RuleIndex]
		if rule.ID != r.RuleID || r.RuleID != "StagedGlobalNetworkPolicy/default-deny" || rule.ShortDescription.Text == "" || r.Level != "error" || r.Message.Text == "" {
			t.Errorf("result %+v of rule %+v", r, rule)
		}
		at := r.Locations[0].PhysicalLocation
		if len(r.Locations) != 1 || filepath.Base(at.ArtifactLocation.URI) != "deny.yaml" || at.Region.StartLine != 3 {
			t.Errorf("place %+v, want deny.yaml:3", r.Locations)
		}
		seen[r.PartialFingerprints["netpolFinding/v1"]] = true
	}
	if len(seen) != 9 {
		t.Errorf("%d fingerprints for 9 flows", len(seen))
	}
	if err := os.Remove(filepath.Join(b.dir, "deny.yaml")); err != nil {
		t.Fatal(err)
	}
	out, _ = b.must(0, "report", "-o", "sarif")
	contains(t, out, `"results": []`, `"rules": []`)
}

func TestReportJUnit(t *testing.T) {
	b := newBench(t).sawVote()
	b.write("deny.yaml", stagedDeny)
	out, _ := b.must(1, "report", "-o", "junit", "--min-window", "1h", "--exit-code")
	var doc struct {
		Tests    int `xml:"tests,attr"`
		Failures int `xml:"failures,attr"`
		Suites   []struct {
			Name string `xml:"name,attr"`
		} `xml:"testsuite"`
	}
	if err := xml.Unmarshal([]byte(out), &doc); err != nil {
		t.Fatal(err)
	}
	if doc.Tests != 10 || doc.Failures != 9 || len(doc.Suites) != 2 || doc.Suites[0].Name != "StagedGlobalNetworkPolicy default-deny" {
		t.Errorf("got %+v", doc)
	}
	contains(t, out, `<testcase name="vote/worker → vote/redis TCP/6379"`, `<testcase name="enough was seen" classname="coverage"`)
	out, _ = b.must(0, "report", "-o", "junit", "--ns", "wordpress")
	contains(t, out, `failures="0"`, `name="blocks nothing that was seen"`)
}

func TestReportMarkdown(t *testing.T) {
	b := newBench(t).sawVote()
	b.write("deny.yaml", strings.ReplaceAll(stagedDeny, "default-deny", "default-deny"))
	b.write("nightly.yaml", nightly)
	out, _ := b.must(0, "report", "-o", "markdown")
	contains(t, out,
		"### If the one staged policy, default-deny, were enforced: 9 of 10 flows would be blocked\n",
		"| From | To | Port | Connections | Last seen | Blocked by |\n|---|---|---|---:|---|---|\n",
		"| vote/worker | vote/redis | TCP/6379 | 10 | 2026-03-01T11:39:00Z | both ends default: StagedGlobalNetworkPolicy default-deny, end of tier |\n",
		"Coverage: **not ready: seen for 1h of 24h, 1 CronJob unseen**\n",
		"- CronJob vote/backup (0 3 \\* \\* \\*): no run in the window\n")
	if got := escapeMarkdown("a|b <script> *x* [y](z) @team"); got != "a\\|b &lt;script&gt; \\*x\\* \\[y\\](z) @\u200bteam" {
		t.Errorf("escaped: %s", got)
	}
}

// tellsSince is a source of flows that knows since when policies are staged.
type tellsSince struct {
	fakeFlows
	since []flow.PolicySince
}

func (s tellsSince) List(ctx context.Context, f flow.Filter) ([]flow.Flow, flow.Coverage, error) {
	flows, c, err := s.fakeFlows.List(ctx, f)
	c.Policies = s.since
	return flows, c, err
}

func TestReportTrendBeginsWhereThePolicyChanged(t *testing.T) {
	b := newBench(t).sawVote()
	b.write("deny.yaml", stagedDeny)
	b.source = func() flow.Source {
		return tellsSince{fakeFlows{b.agg}, []flow.PolicySince{{
			Key: policy.Key{Kind: policy.KindStagedGlobalNetworkPolicy, Name: "default-deny"}, Since: testNow.Add(-24 * time.Minute),
		}}}
	}
	out, _ := b.must(0, "report", "--ns", "vote")
	// 9 flows, a connection a minute each until 11:39.
	contains(t, out, "connections begun each 2m since the policy changed 24m ago: 18 18 0 0 0 0 0 0 0 0 0 0\n")
	out, _ = b.must(0, "report", "--ns", "vote", "-o", "json")
	contains(t, out, `"since": "2026-03-01T11:36:00Z"`, `"changed": "2026-03-01T11:36:00Z"`, `"stepSeconds": 120`)
}
