package policytest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

// shop is an application of three workloads with policies at the database.
const shop = `
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: Pod
metadata: {name: web-0, namespace: shop, labels: {app: web}, ownerReferences: [{apiVersion: apps/v1, kind: StatefulSet, name: web, controller: true}]}
spec: {containers: [{name: c, ports: [{name: http, containerPort: 80}]}]}
status: {phase: Running, podIPs: [{ip: 10.1.0.1}, {ip: "fd00::1"}]}
---
apiVersion: v1
kind: Pod
metadata: {name: web-1, namespace: shop, labels: {app: web}, ownerReferences: [{apiVersion: apps/v1, kind: StatefulSet, name: web, controller: true}]}
spec: {containers: [{name: c, ports: [{name: http, containerPort: 80}]}]}
status: {phase: Running, podIPs: [{ip: 10.1.0.2}, {ip: "fd00::2"}]}
---
apiVersion: v1
kind: Pod
metadata: {name: db, namespace: shop, labels: {app: db}}
spec: {nodeName: n1, containers: [{name: c, ports: [{name: sql, containerPort: 5432}, {name: metrics, containerPort: 9000}]}]}
status: {phase: Running, podIPs: [{ip: 10.1.0.3}, {ip: "fd00::3"}]}
---
apiVersion: v1
kind: Pod
metadata: {name: job, namespace: other, labels: {app: job}}
spec: {containers: [{name: c}]}
status: {phase: Running, podIPs: [{ip: 10.1.0.4}, {ip: "fd00::4"}]}
---
apiVersion: v1
kind: Service
metadata: {name: data, namespace: shop}
spec: {selector: {app: db}, ports: [{name: sql, port: 80, targetPort: sql}, {name: metrics, port: 81, targetPort: 9000}]}
---
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: db, namespace: shop}
spec:
  selector: app == 'db'
  types: [Ingress]
  ingress:
  - {action: Allow, protocol: TCP, source: {selector: app == 'web'}, destination: {ports: [5432]}}
  - {action: Allow, protocol: TCP, source: {nets: [10.1.0.4/32]}, destination: {ports: ["9000:9003"]}}
  - {action: Allow, protocol: ICMP, icmp: {type: 8}, source: {selector: app == 'web'}}
---
apiVersion: projectcalico.org/v3
kind: StagedNetworkPolicy
metadata: {name: close, namespace: shop}
spec: {selector: app == 'web', types: [Ingress], order: 1}
`

func model(t *testing.T) *tier.Model {
	t.Helper()
	resources, faults := policy.Decode("shop.yaml", []byte(shop))
	snap, more := policy.NewSnapshot(1, resources, nil)
	if err := append(faults, more...).Err(); err != nil {
		t.Fatal(err)
	}
	return tier.New(snap, nil)
}

// run runs the cases of a test in flow form and tells each as a line: the
// outcome, and each connection with what it got.
func run(t *testing.T, more string, cases ...string) []string {
	t.Helper()
	text := "apiVersion: netpol.dev/v1\nkind: PolicyTest\nmetadata: {name: t}\n" + more
	if len(cases) > 0 {
		text += "\ncases:\n- " + strings.Join(cases, "\n- ") + "\n"
	}
	tests, faults := Parse("t.yaml", []byte(text))
	if len(faults) > 0 || len(tests) != 1 {
		t.Fatalf("%d tests, %v\n%s", len(tests), faults, text)
	}
	m := model(t)
	scope, err := tests[0].Scope.Tier(m.Snapshot())
	if err != nil {
		return []string{err.Error()}
	}
	var out []string
	for _, r := range Run(m, scope, tests[0], func(string) bool { return true }).Results {
		line := string(r.Outcome())
		if r.Err != nil {
			line += ": " + r.Err.Error()
		}
		for i := range r.Checks {
			c := &r.Checks[i]
			line += fmt.Sprintf(" | %s→%s %s%s %s", name(c.From, c.Source), name(c.To, c.Destination), c.Port(), c.Family(), word(c.Got))
		}
		out = append(out, line)
	}
	return out
}

func name(s string, p tier.Peer) string {
	if p.Endpoint != nil {
		return p.Endpoint.Name
	}
	return s
}

func TestCases(t *testing.T) {
	for what, tc := range map[string]struct{ in, want string }{
		"a port": {`{from: shop/web, to: shop/db, port: 5432, expect: allow}`,
			"passed | web-0→db TCP/5432 allow | web-1→db TCP/5432 allow"},
		"a port in the target": {`{from: shop/web, to: "shop/db:5432", expect: deny}`,
			"failed | web-0→db TCP/5432 allow | web-1→db TCP/5432 allow"},
		"a port by its name": {`{from: shop/web-0, to: shop/db, port: sql, expect: allow}`,
			"passed | web-0→db TCP/5432 allow"},
		"a name that there is not": {`{from: shop/web-0, to: shop/db, port: sqll, expect: allow}`,
			`error: shop/db declares no port "sqll"`},
		"the ports that it declares": {`{from: shop/web-0, to: shop/db, expect: deny}`,
			"failed | web-0→db TCP/5432 allow | web-0→db TCP/9000 deny"},
		"none declared": {`{from: shop/web-0, to: other/job, expect: deny}`,
			"error: other/job declares no port: say which with port"},
		"none declared of a protocol": {`{from: shop/web-0, to: shop/db, protocol: UDP, expect: deny}`,
			"error: shop/db declares no port of UDP: say which with port"},
		"a pattern passes over those without ports": {`{from: shop/web-0, to: "*/*", expect: deny}`,
			"failed | web-0→db TCP/5432 allow | web-0→db TCP/9000 deny | web-0→web-1 TCP/80 allow"},
		"a pattern on both sides leaves out a pod to itself": {`{from: shop/*, to: shop/db, port: 5432, expect: allow}`,
			"passed | web-0→db TCP/5432 allow | web-1→db TCP/5432 allow"},
		"lists make all combinations": {`{from: [shop/web-0, other/job], to: shop/db, ports: [5432, metrics], expect: deny}`,
			"failed | web-0→db TCP/5432 allow | web-0→db TCP/9000 deny | job→db TCP/5432 deny | job→db TCP/9000IPv4 allow | job→db TCP/9000IPv6 deny"},
		"names that overlap are asked once": {`{from: [shop/db, shop/*], to: shop/web, expect: allow}`,
			"passed | db→web-0 TCP/80 allow | db→web-1 TCP/80 allow | web-1→web-0 TCP/80 allow | web-0→web-1 TCP/80 allow"},
		"a range falls apart where the verdict changes": {`{from: shop/web-0, to: shop/db, port: "5000:6000", expect: deny}`,
			"failed | web-0→db TCP/5000:5431 deny | web-0→db TCP/5432 allow | web-0→db TCP/5433:6000 deny"},
		"a range that does not": {`{from: 192.0.2.1, to: shop/db, port: "1:65535", expect: deny}`,
			"passed | 192.0.2.1→db TCP/1:65535 deny"},
		"every port of an address": {`{from: shop/db, to: 192.0.2.1, expect: allow}`,
			"passed | db→192.0.2.1 TCP/1:65535 allow | db→192.0.2.1 UDP/1:65535 allow"},
		"a ping": {`{from: shop/web-0, to: shop/db, protocol: ICMP, expect: allow}`,
			"passed | web-0→db ICMP/8:0 allow"},
		"a type of ICMP": {`{from: shop/web-0, to: shop/db, protocol: ICMP, ports: [8, "13:0"], expect: allow}`,
			"failed | web-0→db ICMP/8 allow | web-0→db ICMP/13:0 deny"},
		"a Service's port is the one behind it (S22)": {`{from: shop/web-0, to: "svc/shop/data:80", expect: allow}`,
			"passed | web-0→db TCP/5432 allow"},
		"a Service's ports": {`{from: shop/web-0, to: svc/shop/data, expect: allow}`,
			"failed | web-0→db TCP/5432 allow | web-0→db TCP/9000 deny"},
		"a Service's port by name": {`{from: shop/web-0, to: svc/shop/data, port: metrics, expect: deny}`,
			"passed | web-0→db TCP/9000 deny"},
		"a port that a Service has not": {`{from: shop/web-0, to: svc/shop/data, port: 5432, expect: deny}`,
			"error: svc/shop/data has no port 5432"},
		"from a Service": {`{from: svc/shop/data, to: shop/web, expect: deny}`,
			"error: svc/shop/data: a Service starts no connections, the pods behind it do"},
		"a node to its own pod (S12)": {`{from: host/n1, to: "shop/db:5432", expect: allow}`,
			"passed | host/n1→db TCP/5432 allow"},
		"a ping of the other family (S22)": {`{from: 10.1.0.4, to: shop/web, protocol: ICMPv6, expect: allow}`,
			"error: there is nothing to test: no destination declares such a port, or the ends have no addresses of one family"},
		"an address has one family": {`{from: 2001:db8::1, to: "shop/db:5432", expect: deny}`,
			"passed | 2001:db8::1→db TCP/5432 deny"},
		"a protocol without ports": {`{from: shop/web-0, to: shop/db, protocol: 47, expect: deny}`,
			"passed | web-0→db protocol 47 deny"},
		"by, right": {`{from: shop/web-0, to: "shop/db:5432", expect: allow, by: {tier: default, policy: shop/db, rule: 0, direction: Ingress, kind: NetworkPolicy}}`,
			"passed | web-0→db TCP/5432 allow"},
		"by another rule": {`{from: shop/web-0, to: "shop/db:5432", expect: allow, by: {rule: 1}}`,
			"failed | web-0→db TCP/5432 allow"},
		"by the end of a tier": {`{from: other/job, to: "shop/db:5432", expect: deny, by: {rule: -1}}`,
			"passed | job→db TCP/5432 deny"},
		"by the other end": {`{from: other/job, to: "shop/db:5432", expect: deny, by: {direction: Egress}}`,
			"failed | job→db TCP/5432 deny"},
		"a pod to itself": {`{from: shop/db, to: shop/db, port: 1, expect: allow}`,
			"passed | db→db TCP/1 allow"},
		"an unknown end": {`{from: shop/wep, to: shop/db, expect: allow}`,
			`error: no workload, pod, network set or address "shop/wep"`},
		"a pattern without a match": {`{from: none/*, to: shop/db, expect: allow}`,
			`error: no workload matches "none/*"`},
		"nothing to ask": {`{from: shop/web, to: "other/*", expect: allow}`,
			"error: there is nothing to test: no destination declares such a port, or the ends have no addresses of one family"},
	} {
		t.Run(what, func(t *testing.T) {
			if diff := cmp.Diff([]string{tc.want}, run(t, "", tc.in)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestOnly(t *testing.T) {
	for what, tc := range map[string]struct{ in, want string }{
		"may reach": {`{only: shop/web, to: "shop/db:5432"}`,
			"passed | web-0→db TCP/5432 allow | web-1→db TCP/5432 allow | job→db TCP/5432 deny | internet→db TCP/5432 deny | internet→db TCP/5432 deny"},
		"one too many": {`{only: [shop/web, other/job], to: "shop/db:5432"}`,
			"failed | web-0→db TCP/5432 allow | web-1→db TCP/5432 allow | job→db TCP/5432 deny | internet→db TCP/5432 deny | internet→db TCP/5432 deny"},
		"one too few": {`{only: [], to: "shop/web:80"}`,
			"failed | job→web-0 TCP/80 allow | job→web-1 TCP/80 allow | db→web-0 TCP/80 allow | db→web-1 TCP/80 allow | web-1→web-0 TCP/80 allow | web-0→web-1 TCP/80 allow | internet→web-0 TCP/80 allow | internet→web-0 TCP/80 allow | internet→web-1 TCP/80 allow | internet→web-1 TCP/80 allow"},
		"may be reached, and its other ports may not": {`{from: shop/web-0, only: ["shop/db:5432", shop/web]}`,
			"failed | web-0→db TCP/5432 allow | web-0→web-1 TCP/80 allow | web-0→db TCP/9000 deny" +
				" | web-0→internet TCP/1:65535 allow | web-0→internet UDP/1:65535 allow | web-0→internet TCP/1:65535 allow | web-0→internet UDP/1:65535 allow"},
		"one port of what is outside": {`{from: shop/db, only: [shop/web, "internet:443"], protocol: TCP}`,
			"failed | db→web-0 TCP/80 allow | db→web-1 TCP/80 allow | db→internet TCP/443 allow | db→internet TCP/443 allow" +
				" | db→internet TCP/1:442 allow | db→internet TCP/444:65535 allow | db→internet TCP/1:442 allow | db→internet TCP/444:65535 allow"},
	} {
		t.Run(what, func(t *testing.T) {
			if diff := cmp.Diff([]string{tc.want}, run(t, "", tc.in)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestDefaultIsWhatNoCaseNames(t *testing.T) {
	got := run(t, "default: deny\nnamespaces: [other]", `{from: other/job, to: shop/db, port: 9000, expect: allow}`)
	want := []string{
		"failed | job→db TCP/9000IPv4 allow | job→db TCP/9000IPv6 deny",
		"failed | job→db TCP/5432 deny | job→web-0 TCP/80 allow | job→web-1 TCP/80 allow",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	got = run(t, "default: allow\nnamespaces: [othr]")
	if diff := cmp.Diff([]string{`error: no namespace with workloads "othr"`}, got); diff != "" {
		t.Error(diff)
	}
}

func TestScope(t *testing.T) {
	const c = `{from: shop/db, to: shop/web-0, expect: allow}`
	for scope, want := range map[string]string{
		"":                             "passed | db→web-0 TCP/80 allow",
		"scope: enforced":              "passed | db→web-0 TCP/80 allow",
		"scope: pending":               "failed | db→web-0 TCP/80 deny",
		"scope: {only: close}":         "failed | db→web-0 TCP/80 deny",
		"scope: {only: shop/close}":    "failed | db→web-0 TCP/80 deny",
		"scope: {only: other/close}":   `no staged policy "other/close"`,
		"scope: {only: db} # enforced": `no staged policy "db"`,
	} {
		if got := run(t, scope, c); len(got) != 1 || got[0] != want {
			t.Errorf("%s: %q, want %q", scope, got, want)
		}
	}
}

func TestPick(t *testing.T) {
	tests, _ := Parse("t.yaml", []byte("apiVersion: netpol.dev/v1\nkind: PolicyTest\nmetadata: {name: t}\ndefault: deny\n"+
		"cases:\n- {name: a, from: shop/web, to: shop/db, expect: deny}\n- {name: b, from: shop/db, to: shop/web, expect: deny}\n"))
	for pick, want := range map[string]int{"a": 1, "default": 1, "a b": 2, "x": 0} {
		r := Run(model(t), tier.Enforced(), tests[0], func(name string) bool { return slices.Contains(strings.Fields(pick), name) })
		if len(r.Results) != want {
			t.Errorf("%s: %d results, want %d", pick, len(r.Results), want)
		}
		// What other cases name is not among the rest, picked or not.
		for _, res := range r.Results {
			if res.Name == DefaultName && slices.ContainsFunc(res.Checks, func(c Check) bool { return c.To == "shop/db" && c.From == "shop/web" }) {
				t.Error("default speaks of what a case names")
			}
		}
	}
}

func TestLiveCase(t *testing.T) {
	pass := Check{Live: &Live{Text: "blocked"}}
	skip := Check{Live: &Live{Skipped: "outside"}}
	fail := Check{Expected: policy.Allow}
	for what, tc := range map[string]struct {
		checks []Check
		want   Outcome
		not    int
	}{
		"all tried":      {[]Check{pass, pass}, Passed, 0},
		"some not":       {[]Check{pass, skip}, Passed, 1},
		"none":           {[]Check{skip, skip}, Skipped, 2},
		"one is wrong":   {[]Check{skip, fail}, Failed, 1},
		"nothing to ask": {nil, Passed, 0},
	} {
		r := Result{Checks: tc.checks}
		if got := r.Outcome(); got != tc.want || r.NotProbed()["outside"] != tc.not {
			t.Errorf("%s: %s, %v", what, got, r.NotProbed())
		}
	}
}

func TestLive(t *testing.T) {
	base := Check{Expected: policy.Allow, Got: policy.Allow}
	for what, tc := range map[string]struct {
		live *Live
		want Outcome
	}{
		"not asked":  {nil, Passed},
		"the same":   {&Live{Got: policy.Allow, Text: "connected"}, Passed},
		"different":  {&Live{Got: policy.Deny, Text: "blocked"}, Failed},
		"no telling": {&Live{Text: "no answer"}, Failed},
		"not tried":  {&Live{Skipped: "outside"}, Skipped},
	} {
		c := base
		c.Live = tc.live
		if got := c.Outcome(); got != tc.want {
			t.Errorf("%s: %s, want %s", what, got, tc.want)
		}
		if why := c.Why(); (len(why) == 0) != (tc.want == Passed) {
			t.Errorf("%s: %q", what, why)
		}
		c.Got = policy.Deny
		if got := c.Outcome(); got != Failed {
			t.Errorf("%s: the model's verdict is not as expected, yet it is %s", what, got)
		}
	}
}

// A manifest stands for all replicas of a workload, which are not one pod (S32).
func TestS32_AWorkloadOfAManifestToItself(t *testing.T) {
	resources, faults := policy.Decode("f.yaml", []byte(`
apiVersion: apps/v1
kind: Deployment
metadata: {name: cache, namespace: shop}
spec: {replicas: 3, template: {metadata: {labels: {app: cache}}, spec: {containers: [{name: c, ports: [{containerPort: 6379}]}]}}}
---
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: closed, namespace: shop}
spec: {types: [Ingress]}
`))
	snap, more := policy.NewSnapshot(1, resources, nil)
	if err := append(faults, more...).Err(); err != nil {
		t.Fatal(err)
	}
	tests, faults := Parse("t.yaml", []byte("apiVersion: netpol.dev/v1\nkind: PolicyTest\nmetadata: {name: t}\ncases:\n- {from: shop/cache, to: shop/cache, expect: deny, by: {policy: closed, rule: -1}}\n"))
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	report := Run(tier.New(snap, nil), tier.Enforced(), tests[0], func(string) bool { return true })
	if r := &report.Results[0]; r.Outcome() != Passed {
		t.Errorf("%s: %+v", r.Outcome(), r.Checks)
	}
}
