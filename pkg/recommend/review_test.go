package recommend

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
)

// quiet makes all flows so far ones of n connections, of which so many were
// refused.
func (w *world) quiet(n, denied int64) {
	for i := range w.flows {
		f := &w.flows[i]
		f.Connections, f.Completed = n, n
		if denied > 0 {
			f.Connections, f.Completed = denied, 0
			f.Enforced.Action = policy.Deny
		}
	}
}

// reasons are what is left out, by kind, each reason once.
func reasons(res *Result, kind SkipKind) []string {
	out := []string{}
	done := map[string]bool{}
	for _, s := range res.Skipped {
		if s.Kind == kind && !done[s.Reason] {
			done[s.Reason] = true
			out = append(out, s.Reason)
		}
	}
	return out
}

func TestScansAreForReview(t *testing.T) {
	for _, c := range []struct {
		name  string
		see   func(w *world)
		loud  bool
		want  []string
		rules int
	}{
		{"many ports of one workload", func(w *world) {
			for p := range 30 {
				w.saw("vote/worker", "vote/db", policy.TCP, uint16(1000+p), "")
			}
		}, false, []string{"a scan: vote/worker tried 30 ports of vote/db, none more than twice"}, 0},
		{"many ports, used", func(w *world) {
			for p := range 30 {
				w.saw("vote/worker", "vote/db", policy.TCP, uint16(1000+p), "")
			}
		}, true, []string{}, 1},
		{"many hosts", func(w *world) {
			for p := range 60 {
				w.saw("vote/worker", fmt.Sprintf("198.51.100.%d", p), policy.TCP, 445, "")
			}
		}, false, []string{"a scan: vote/worker tried 60 hosts at TCP/445, none more than twice"}, 0},
		{"many hosts at 443 are no scan", func(w *world) {
			for p := range 60 {
				w.saw("vote/worker", fmt.Sprintf("198.51.100.%d", p), policy.TCP, 443, "")
			}
		}, false, []string{}, 1},
	} {
		w := voteWorld()
		w.flows = nil
		c.see(w)
		if !c.loud {
			w.quiet(1, 0)
		}
		res := Recommend(w.request("vote/worker"))
		if d := cmp.Diff(c.want, reasons(res, SkipSuspicious)); d != "" {
			t.Errorf("%s: %s", c.name, d)
		}
		rules := 0
		for _, p := range res.Policies {
			rules += len(p.Rules[policy.Egress])
		}
		if rules != c.rules {
			t.Errorf("%s: %d rules, want %d", c.name, rules, c.rules)
		}
		req := w.request("vote/worker")
		req.IncludeSuspicious = true
		if res := Recommend(req); len(res.Skipped) > 0 || len(res.Policies) != 1 {
			t.Errorf("%s: asked for, still left out: %v", c.name, reasons(res, SkipSuspicious))
		}
	}
}

func TestSensitiveNamespacesAreForReview(t *testing.T) {
	w := voteWorld()
	w.saw("wordpress/wordpress", "vote/db", policy.TCP, 5432, "")
	for _, ns := range w.snap.Namespaces {
		if ns.Name == "wordpress" {
			ns.Labels[SensitiveMark] = "true"
		}
	}
	want := []string{"it crosses into or out of namespace wordpress, which is marked sensitive"}
	if d := cmp.Diff(want, reasons(Recommend(w.request("vote/db")), SkipSuspicious)); d != "" {
		t.Error(d)
	}
	// DNS is in another namespace for everybody; what stays inside is fine.
	req := w.request(voteTargets...)
	req.Sensitive = func(ns string) bool { return ns == "vote" }
	res := Recommend(req)
	if len(res.Skipped) != 1 || res.Proof.Allowed != 9 {
		t.Errorf("skipped %v, allowed %d; want the one flow from wordpress, and 9", res.Skipped, res.Proof.Allowed)
	}
}

func TestPlaintextToTheInternetIsForReview(t *testing.T) {
	w := voteWorld()
	w.flows = nil
	for _, to := range []string{"198.51.100.1", "10.1.2.3", "100.64.1.1", "fd00:1::1", "2001:db8::1"} {
		w.saw("vote/worker", to, policy.TCP, 25, "")
		w.saw("vote/worker", to, policy.TCP, 443, "")
	}
	w.saw("198.51.100.9", "vote/worker", policy.TCP, 80, "") // from there
	res := Recommend(w.request("vote/worker"))
	var got []string
	for _, s := range res.Skipped {
		got = append(got, FlowText(s.Flow)+": "+s.Reason)
	}
	want := []string{
		"vote/worker → 198.51.100.1 tcp/25: plaintext (SMTP) to the internet",
		"vote/worker → 2001:db8::1 tcp/25: plaintext (SMTP) to the internet",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// One connection, which ended an hour ago or more, is for review.
func TestWhatWasSeenOnceIsForReview(t *testing.T) {
	for _, c := range []struct {
		name        string
		connections int64
		open        bool
		since       time.Duration
		include     bool
		left        bool
	}{
		{"once", 1, false, time.Hour, false, true},
		{"once, asked for", 1, false, time.Hour, true, false},
		{"twice", 2, false, time.Hour, false, false},
		{"once, a moment ago", 1, false, time.Hour - time.Second, false, false},
		{"once, and open still", 1, true, 24 * time.Hour, false, false},
	} {
		w := voteWorld()
		w.flows = nil
		w.saw("vote/worker", "vote/db", policy.TCP, 5432, "")
		w.quiet(c.connections, 0)
		for i := range w.flows {
			if c.open {
				w.flows[i].Completed, w.flows[i].Live = 0, 1
			}
		}
		req := w.request("vote/db")
		req.Until, req.IncludeSuspicious = w.flows[0].LastSeen.Add(c.since), c.include
		res := Recommend(req)
		if left := len(reasons(res, SkipSuspicious)) == 1; left != c.left || left == (len(res.Policies) == 1) {
			t.Errorf("%s: left out %v, %d policies", c.name, reasons(res, SkipSuspicious), len(res.Policies))
		}
	}
}

func TestWhatWasRefusedWheneverItWasSeen(t *testing.T) {
	w := voteWorld()
	w.flows = nil
	w.saw("vote/worker", "vote/db", policy.TCP, 5432, "")
	w.quiet(3, 3)
	req := w.request("vote/db")
	res := Recommend(req)
	if got := reasons(res, SkipRefused); len(got) != 1 || len(res.Policies) != 0 {
		t.Errorf("left out %v, policies %v", got, res.Policies)
	}
	req.IncludeDenied = true
	if res := Recommend(req); len(res.Policies) != 1 {
		t.Errorf("asked for: %v", res.Skipped)
	}
}

func TestMinConnectionsAndExclude(t *testing.T) {
	world := func() *world {
		w := voteWorld()
		w.flows = nil
		w.saw("vote/worker", "vote/db", policy.TCP, 5432, "")
		w.quiet(1, 0)
		w.saw("vote/worker", "vote/redis", policy.TCP, 6379, "")
		w.saw("vote/worker", "198.51.100.7", policy.UDP, 123, "")
		return w
	}
	w := world()
	res := Recommend(w.request("vote/worker"))
	if len(res.Once) != 1 || FlowText(res.Once[0]) != "vote/worker → vote/db tcp/5432" {
		t.Errorf("seen once: %v", res.Once)
	}
	req := w.request("vote/worker")
	req.MinConnections = 2
	res = Recommend(req)
	if got := reasons(res, SkipExcluded); len(got) != 1 || got[0] != "seen once only, fewer than asked for" {
		t.Errorf("left out: %v", got)
	}
	if len(res.Proof.Breaks) != 0 || res.Proof.Observed != 2 {
		t.Errorf("what is left out as asked for is no break: %+v", res.Proof)
	}
	for text, want := range map[string]int{
		"from=vote/worker":                  3,
		"from=worker,to=db":                 1,
		"to=vote/":                          2,
		"to=198.51.100.0/24":                1,
		"to=198.51.100.7,port=udp/123":      1,
		"to=198.51.100.7,port=tcp/123":      0,
		"port=5000:6400":                    2,
		"port=udp":                          1,
		"port=443":                          0,
		"from=vote/redis":                   0,
		"from=vote/worker, to=vote/redis":   1,
		"from=vote/worker,port=tcp/1:65535": 2,
	} {
		e, err := ParseExclude(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		req := w.request("vote/worker")
		req.Exclude = []Exclude{e}
		res := Recommend(req)
		if got := 3 - res.Proof.Observed; got != want || len(res.Proof.Breaks) != 0 {
			t.Errorf("%s: left out %d flows, want %d; breaks %v", text, got, want, res.Proof.Breaks)
		}
	}
	for text, want := range map[string]string{
		"":                   "expected from=, to= or port=",
		"form=vote/db":       "expected from, to or port",
		"from=a/b/c":         "expected NAMESPACE/NAME",
		"from=x,from=y":      "given twice",
		"to=198.51.100.1/24": "198.51.100.0/24 is",
		"port=tcp/":          "the number is missing",
		"port=http":          "tcp/NUMBER",
		"port=99999":         "0 to 65535",
		"port=9:1":           "the smaller one first",
	} {
		if _, err := ParseExclude(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

// ICMP is left out by its type, as flows are written: ICMP/8, ICMP/3:1.
func TestS22_ExcludeICMPByItsType(t *testing.T) {
	ping := flow.Observed{Protocol: policy.ICMP, Port: policy.ICMPPort(8, 0)}
	host := flow.Observed{Protocol: policy.ICMP, Port: policy.ICMPPort(3, 1)}
	for text, want := range map[string][3]bool{ // the ping, one of an unknown type, host unreachable
		"port=icmp":       {true, true, true},
		"port=icmp/8":     {true, true, false},
		"port=ICMP/8:0":   {true, true, false},
		"port=icmp/3":     {false, false, true},
		"port=icmp/3:1":   {false, false, true},
		"port=icmp/3:2":   {false, false, false},
		"port=icmpv6/128": {false, false, false},
		"port=8":          {false, false, false},
		"port=1:65535":    {false, false, false},
	} {
		e, err := ParseExclude(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := [3]bool{e.Match(&ping), e.Match(&flow.Observed{Protocol: policy.ICMP}), e.Match(&host)}; got != want {
			t.Errorf("%s: %v, want %v", text, got, want)
		}
	}
	for _, text := range []string{"port=icmp/256", "port=icmp/8:x", "port=icmp/3:256"} {
		if _, err := ParseExclude(text); err == nil || !strings.Contains(err.Error(), "icmp/TYPE:CODE") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// An address of the pods' networks may be another pod's by tomorrow, one of a
// Service's own leads nowhere, and one of a node may be anybody's (S34).
func TestAddressesOfTheClusterAreNoNets(t *testing.T) {
	w := voteWorld()
	w.flows = nil
	w.snap.Nodes = []*policy.Node{{Name: "n2", Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.2")}, PodCIDRs: []netip.Prefix{netip.MustParsePrefix("10.9.0.0/16")}}}
	w.snap.Services[0].Addrs = []netip.Addr{netip.MustParseAddr("10.96.0.10")}
	w.saw("vote/worker", "10.9.1.1", policy.TCP, 80, "")
	w.saw("vote/worker", "10.96.0.10", policy.TCP, 80, "")
	w.saw("192.0.2.2", "vote/worker", policy.TCP, 80, "")
	res := Recommend(w.request("vote/worker"))
	want := []string{
		"10.9.1.1 is of the cluster's pods, but no pod has it: whose it was is not known",
		"it is the address of Service kube-system/kube-dns itself, behind which nothing was",
		"node n2 forwards it for somebody else (a NodePort or load balancer), so who may come that way is for you to say",
	}
	if d := cmp.Diff(want, reasons(res, SkipNoRule)); d != "" {
		t.Error(d)
	}
	if len(res.Policies) > 0 {
		t.Errorf("got %s", res.Policies[0].YAML())
	}
}

// What somebody refused by a rule of his own in a policy of ours stays refused.
func TestAHandWrittenDenyIsKept(t *testing.T) {
	w := voteWorld()
	first := find(t, Recommend(w.request("vote/redis")), "redis").Model()
	deny := policy.Rule{Action: policy.Deny, Source: first.Rules[policy.Ingress][0].Source}
	first.Rules[policy.Ingress] = []policy.Rule{deny}
	w.policies(first)
	req := w.request("vote/redis")
	req.IncludeDenied = true
	req.Mine = func(policy.Key) bool { return true }
	res := Recommend(req)
	if got := reasons(res, SkipRefused); len(got) != 1 || got[0] != "rule 0 of NetworkPolicy vote/redis refuses it" || len(res.Policies) != 0 {
		t.Errorf("left out %v, policies %v", got, res.Policies)
	}
}

// A rule for packets beside one for HTTP would allow what its author left out
// (S24), so it is not written, nor is a policy extended by it, without a person.
func TestS24_WhatAPolicyAllowsByHTTPIsForReview(t *testing.T) {
	rule := allowFrom("vote", 80)
	rule.HTTP = &policy.HTTPMatch{Methods: []string{"GET"}}
	for _, tc := range []struct {
		port uint16
		want string
	}{
		{80, "StagedNetworkPolicy vote/web allows HTTP there by methods or paths, and a rule for packets would allow all of them"},
		{8080, ""},
	} {
		w := fixWorld(stagedPolicy("web", "default", "web", rule))
		w.saw("vote/vote", "vote/web", policy.TCP, tc.port, "")
		res := Recommend(w.request("vote/web"))
		if got := strings.Join(reasons(res, SkipSuspicious), ""); got != tc.want {
			t.Errorf("port %d: got %q", tc.port, got)
		}
		fix := Fix(FixRequest{Model: w.request("vote/web").Model, Flows: w.flows, Staged: true})
		if len(fix.Groups) != 1 || (fix.Groups[0].State == FixReview) != (tc.want != "") {
			t.Errorf("port %d: got %v", tc.port, made(fix))
		}
		req := w.request("vote/web")
		req.IncludeSuspicious = true
		if res := Recommend(req); len(res.Policies) != 1 {
			t.Errorf("port %d: asked for, and left out", tc.port)
		}
	}
}
