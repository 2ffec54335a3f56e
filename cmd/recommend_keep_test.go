package cmd

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/netpol-project/netpol/pkg/policy"
)

// files are the texts of a directory by name.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		out[e.Name()] = string(data)
	}
	return out
}

func same(a, b map[string]string) bool {
	for k := range a {
		if a[k] != b[k] {
			return false
		}
	}
	return len(a) == len(b)
}

func TestRecommendKeepsFiles(t *testing.T) {
	b := newBench(t).sawVote()
	kept := t.TempDir()
	out, errs := b.must(0, "recommend", "--ns", "vote", "--keep", kept)
	contains(t, out, "StagedNetworkPolicy vote/redis created ("+kept+"/stagednetworkpolicy-vote-redis.yaml)")
	contains(t, errs, "9 of 9 flows")
	first := files(t, kept)
	contains(t, first["stagednetworkpolicy-vote-redis.yaml"], "# Deployment vote/redis\n", "  # from vote/vote by Service vote/redis\n")
	if out, _ := b.must(0, "get", "policies", "-A"); strings.Contains(out, "redis") {
		t.Errorf("something was written where policies are in force:\n%s", out)
	}

	// A second run changes nothing.
	_, errs = b.must(0, "recommend", "--ns", "vote", "--keep", kept, "--evidence")
	contains(t, errs, "nothing to recommend")
	if out, _ := b.must(0, "recommend", "--ns", "vote", "--keep", kept, "-o", "table"); out != "" {
		t.Errorf("a table without rows: %s", out)
	}
	if !same(first, files(t, kept)) {
		t.Error("the second run changed files")
	}

	// What people wrote stays: comments, order, other rules.
	name := "stagednetworkpolicy-vote-redis.yaml"
	byHand := strings.Replace(first[name], "spec:\n", "spec:\n  # reviewed by Jo\n  order: 10\n", 1)
	byHand = strings.Replace(byHand, "app in {'vote', 'worker'}", "app == 'vote' # the shop front", 1) + "  - action: Log\n"
	if err := os.WriteFile(filepath.Join(kept, name), []byte(byHand), 0o600); err != nil {
		t.Fatal(err)
	}
	out, _ = b.must(0, "recommend", "--ns", "vote", "--keep", kept, "--evidence")
	if !strings.HasPrefix(out, "StagedNetworkPolicy vote/redis configured") || strings.Count(out, "\n") != 1 {
		t.Errorf("got\n%s", out)
	}
	want := byHand + `  # from vote/worker by Service vote/redis
  - action: Allow
    metadata:
      annotations:
        netpol.dev/connections: "10"
        netpol.dev/first-seen: "2026-03-01T11:30:00Z"
        netpol.dev/last-seen: "2026-03-01T11:39:00Z"
        netpol.dev/sample: vote/worker → vote/redis tcp/6379
    protocol: TCP
    source:
      selector: app == 'worker'
    destination:
      ports:
      - redis
`
	if got := files(t, kept)[name]; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	before := files(t, kept)
	b.must(0, "recommend", "--ns", "vote", "--keep", kept, "--evidence")
	if !same(before, files(t, kept)) {
		t.Error("the next run changed files")
	}
}

func TestRecommendKeepsOneFile(t *testing.T) {
	b := newBench(t).sawVote()
	file := filepath.Join(t.TempDir(), "policies.yaml")
	out, _ := b.must(0, "recommend", "--ns", "vote", "--keep", file, "--enforce", "--dry-run")
	contains(t, out, "NetworkPolicy vote/db created ("+file+") (dry run)")
	if _, err := os.Stat(file); err == nil {
		t.Error("a dry run wrote")
	}
	b.must(0, "recommend", "--ns", "vote", "--workload", "db", "--keep", file, "--enforce")
	b.must(0, "recommend", "--ns", "vote", "--keep", file, "--enforce")
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	resources, faults := policy.Decode(file, data)
	if len(resources) != 5 || len(faults) > 0 {
		t.Errorf("%d policies, faults %v:\n%s", len(resources), faults, data)
	}
	// What recommend wrote elsewhere is not in these files, so it is written here.
	b.must(0, "recommend", "--ns", "vote", "--enforce")
	other := filepath.Join(t.TempDir(), "policies.yml")
	out, _ = b.must(0, "recommend", "--ns", "vote", "--keep", other)
	contains(t, out, "StagedNetworkPolicy vote/redis created")
	// An enforced one in the files is extended as what it is.
	b.saw("vote/result", "vote/redis", policy.TCP, 6379, "vote/redis")
	out, _ = b.must(0, "recommend", "--ns", "vote", "--include-denied", "--keep", file)
	contains(t, out, "NetworkPolicy vote/redis configured", "NetworkPolicy vote/result configured")
	if strings.Contains(out, "Staged") {
		t.Errorf("got\n%s", out)
	}
}

func TestRecommendKeepRefuses(t *testing.T) {
	b := newBench(t).sawVote()
	dir := t.TempDir()
	_, errs := b.must(2, "recommend", "--ns", "vote", "--keep", filepath.Join(dir, "no", "such"))
	contains(t, errs, "there is no such directory", "mkdir")
	bad := filepath.Join(dir, "bad.yaml")
	if err := os.WriteFile(bad, []byte("apiVersion: projectcalico.org/v3\nkind: NetworkPolicy\nmetadata: {name: x, namespace: vote}\nspec: {selector: 'app = 1'}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, errs = b.must(2, "recommend", "--ns", "vote", "--keep", bad)
	contains(t, errs, "bad.yaml:4")
	// What was told before, since policies are judged by the same files, is not
	// told again.
	b.write("broken.yaml", "a: [b\n")
	_, errs = b.must(2, "recommend", "--ns", "vote", "--keep", b.dir)
	if strings.Count(errs, "broken.yaml:1:1: YAML") != 1 {
		t.Errorf("it is not told once:\n%s", errs)
	}
	contains(t, errs, "error: --keep "+b.dir+": nothing is written as long as there are errors in it")
	_, errs = b.must(2, "recommend", "--ns", "vote", "--keep", filepath.Join(b.dir, "broken.yaml"))
	if strings.Count(errs, "broken.yaml:1:1: YAML") != 1 {
		t.Errorf("it is not told once:\n%s", errs)
	}
}

func TestRecommendExplains(t *testing.T) {
	b := newBench(t).sawVote()
	out, errs := b.must(0, "recommend", "--ns", "vote", "--explain")
	contains(t, out,
		"StagedNetworkPolicy vote/redis (tier default)",
		"Ingress rule 0: TCP redis (6379) from app in {'vote', 'worker'}",
		"since 2 flows, 20 connections, seen 2026-03-01T11:30:00Z to 2026-03-01T11:39:00Z",
		"this is cluster DNS", "long answers come over TCP",
		"Not seen, but allowed:\n  vote/result → kube-system/coredns tcp/53\n")
	contains(t, errs, "9 of 9 flows")
	out, _ = b.must(0, "recommend", "--ns", "vote", "-o", "json")
	var doc struct {
		Items []struct {
			Rules []struct {
				Direction, Purpose, Sample string
				Connections                int
				Flows                      []string
			}
		}
	}
	if err := json.Unmarshal([]byte(out), &doc); err != nil {
		t.Fatal(err)
	}
	if r := doc.Items[1].Rules[0]; r.Direction != "Ingress" || r.Connections != 20 || len(r.Flows) != 2 || r.Sample != "vote/vote → vote/redis tcp/6379" {
		t.Errorf("got %+v", r)
	}
}

func TestRecommendSaysWhatIsForReview(t *testing.T) {
	b := newBench(t).sawVote()
	b.write("ns.yaml", "apiVersion: v1\nkind: Namespace\nmetadata: {name: wordpress, annotations: {netpol.dev/sensitive: 'true'}}\n")
	b.saw("wordpress/wordpress", "vote/redis", policy.TCP, 6379, "")
	b.saw("vote/worker", "198.51.100.80", policy.TCP, 80, "")
	_, errs := b.must(0, "recommend", "--ns", "vote")
	contains(t, errs,
		"for review: wordpress/wordpress → vote/redis tcp/6379: it crosses into or out of namespace wordpress, which is marked sensitive",
		"for review: vote/worker → 198.51.100.80 tcp/80: plaintext (HTTP) to the internet")
	_, errs = b.must(1, "recommend", "--ns", "vote", "--enforce")
	contains(t, errs, "would block 2 flows", "no rule was written, since plaintext", "--exclude")
	_, errs = b.must(0, "recommend", "--ns", "vote", "--enforce", "--dry-run", "--exclude", "to=198.51.100.80", "--exclude", "from=wordpress/,port=tcp/6379")
	contains(t, errs, "2 flows left out by --exclude")
	out, _ := b.must(0, "recommend", "--ns", "vote", "--include-suspicious")
	contains(t, out, "198.51.100.80/32", "kubernetes.io/metadata.name == 'wordpress'")
}

func TestRecommendRefusesFlags(t *testing.T) {
	b := newBench(t).sawVote()
	for args, want := range map[string]string{
		"--by pod":                         "expected workload, namespace",
		"--direction in":                   "expected ingress, egress, both",
		"--max-nets 0":                     "expected 1 or more",
		"--widest-net /4":                  "expected a prefix from /8 to /32",
		"--exclude from":                   "expected from=, to= or port=",
		"--min-connections -1":             "expected 0 or more",
		"--exact --services":               "allow more than was seen",
		"--by namespace --workload vote":   "leave out --workload",
		"--explain --stage":                "--explain is for looking",
		"--as kubernetes --evidence":       "-o json tells it",
		"--explain -o json":                "-o json has all of it too",
		"--keep x.yaml --enforce --force":  "--keep writes files alone",
		"--keep /nowhere/at/all --dry-run": "there is no such directory",
	} {
		_, errs := b.must(2, append([]string{"recommend", "--ns", "vote"}, strings.Fields(args)...)...)
		contains(t, errs, want)
	}
}

func TestRecommendByNamespaceAndDirection(t *testing.T) {
	b := newBench(t).sawVote()
	out, errs := b.must(0, "recommend", "--ns", "vote", "--by", "namespace", "--direction", "ingress", "--port-numbers")
	contains(t, out, "name: namespace\n", "selector: all()", "- 6379")
	if strings.Contains(out, "Egress") {
		t.Errorf("got\n%s", out)
	}
	contains(t, errs, "of 6 flows")
}
