package cmd

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRecommendPrintsAndWritesNothing(t *testing.T) {
	b := newBench(t).sawVote()
	out, errs := b.must(0, "recommend", "--ns", "vote", "--workload", "redis")
	want := `# Deployment vote/redis
apiVersion: projectcalico.org/v3
kind: StagedNetworkPolicy
metadata:
  name: redis
  namespace: vote
  annotations:
    netpol.dev/recommended: "true"
spec:
  stagedAction: Set
  tier: default
  selector: app == 'redis'
  types:
  - Ingress
  - Egress
  ingress:
  # from vote/vote by Service vote/redis
  # from vote/worker by Service vote/redis
  - action: Allow
    protocol: TCP
    source:
      selector: app in {'vote', 'worker'}
    destination:
      ports:
      - redis
`
	if out != want {
		t.Errorf("got\n%s", out)
	}
	contains(t, errs, "2 of 2 flows that were seen would be allowed, and 0 that were not seen")
	if _, err := os.Stat(filepath.Join(b.dir, "redis.yaml")); err == nil {
		t.Error("something was written")
	}
	if again, _ := b.must(0, "recommend", "--ns", "vote", "--workload", "redis"); again != out {
		t.Error("asked twice, it says two things")
	}
}

// TestRecommendClosesANamespace is the way from open to closed: what was seen
// is allowed by what is recommended, and the default-deny blocks nothing then.
func TestRecommendClosesANamespace(t *testing.T) {
	b := newBench(t).sawVote()
	b.write("deny.yaml", stagedDeny)
	b.write("platform.yaml", `apiVersion: projectcalico.org/v3
kind: Tier
metadata: {name: platform}
spec: {order: 100}
---
# by hand
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: db, namespace: vote}
spec:
  tier: platform
  selector: app == 'db'
  types: [Ingress]
  ingress:
    - action: Allow
      protocol: TCP
      source: {selector: app == 'worker' || app == 'result'}
      destination: {ports: [5432]}
`)
	b.must(1, "report", "default-deny", "--ns", "vote", "--exit-code")
	out, errs := b.must(0, "recommend", "--ns", "vote", "--enforce")
	for _, name := range []string{"redis", "result", "vote", "worker"} {
		contains(t, out, "NetworkPolicy vote/"+name+" enforced")
	}
	if strings.Contains(out, "/db") {
		t.Errorf("db has what it needs:\n%s", out)
	}
	contains(t, errs, "nothing is missing for vote/db", "not seen but allowed: vote/result → kube-system/coredns tcp/53")
	out, _ = b.must(0, "report", "default-deny", "--ns", "vote", "--exit-code=blocked")
	contains(t, out, "0 of 9 flows would be blocked")
	_, errs = b.must(0, "recommend", "--ns", "vote", "--enforce")
	contains(t, errs, "nothing to recommend")
}

func TestRecommendStageThenEnforce(t *testing.T) {
	b := newBench(t).sawVote()
	out, _ := b.must(0, "recommend", "--ns", "wordpress", "--stage")
	contains(t, out, "StagedNetworkPolicy wordpress/mysql staged", "StagedNetworkPolicy wordpress/wordpress staged")
	_, errs := b.must(0, "recommend", "--ns", "wordpress", "--stage")
	contains(t, errs, "nothing to recommend: policies (staged ones counted)")
	out, _ = b.must(0, "recommend", "--ns", "wordpress", "--enforce")
	contains(t, out, "NetworkPolicy wordpress/mysql enforced")
	if out, _ = b.must(0, "report"); !strings.Contains(out, "Nothing is staged") {
		t.Errorf("the staged ones are still there:\n%s", out)
	}
}

func TestRecommendRefusesToBreakWhatWasSeen(t *testing.T) {
	b := newBench(t).sawVote()
	b.write("bare.yaml", `apiVersion: v1
kind: Pod
metadata: {name: bare, namespace: vote}
spec: {containers: [{name: c, image: c}]}
`)
	peer := benchPeer("vote/bare")
	peer.Workload.Kind = "Pod"
	b.sawFrom(peer, "vote/redis", 6379)
	_, errs := b.must(1, "recommend", "--ns", "vote", "--workload", "redis", "--enforce")
	contains(t, errs, "would block 1 flow", "vote/bare → vote/redis tcp/6379", "give its pods one", "--force")
	b.must(0, "recommend", "--ns", "vote", "--workload", "redis", "--enforce", "--force")
}

func TestRecommendJSON(t *testing.T) {
	b := newBench(t).sawVote()
	out, _ := b.must(0, "recommend", "--ns", "vote", "-o", "json")
	var doc struct {
		Kind  string
		Proof struct{ Observed, Allowed int }
		Items []struct {
			Workloads []struct{ Workload string }
			Policy    struct{ Kind string }
		}
	}
	if err := json.Unmarshal([]byte(out), &doc); err != nil {
		t.Fatal(err)
	}
	if doc.Kind != "Recommendation" || doc.Proof.Observed != 9 || doc.Proof.Allowed != 9 || len(doc.Items) != 5 ||
		doc.Items[0].Workloads[0].Workload != "db" || doc.Items[0].Policy.Kind != "StagedNetworkPolicy" {
		t.Errorf("got %+v", doc)
	}
}

func TestRecommendBadInput(t *testing.T) {
	b := newBench(t).sawVote()
	for args, want := range map[string]string{
		"":                                  "which workloads?",
		"--ns vote --workload redsi":        `did you mean "redis"?`,
		"--ns vote --tier platfrom":         `no tier "platfrom"`,
		"--ns vot":                          `did you mean "vote"?`,
		"--ns vote --stage --enforce":       "can't be given together",
		"--ns vote --force":                 "--force is for --enforce only",
		"--ns vote --since 0s":              "expected how long ago",
		"--ns vote --dry-run":               "nothing is written anyway",
		"--ns vote --workload wordpress/x1": `no workload "wordpress/x1"`,
	} {
		_, errs := b.must(2, append([]string{"recommend"}, strings.Fields(args)...)...)
		contains(t, errs, want)
	}
}

func TestRecommendAllLeavesTheSystemOut(t *testing.T) {
	b := newBench(t).sawVote()
	out, _ := b.must(0, "recommend", "-A", "-o", "table")
	contains(t, out, "wordpress   mysql", "vote        redis")
	if strings.Contains(out, "kube-system   ") {
		t.Errorf("the cluster's own DNS is left alone:\n%s", out)
	}
}
