package dialect_test

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/recommend"
	"github.com/netpol-project/netpol/pkg/recommend/dialect"
	"github.com/netpol-project/netpol/pkg/tier"
)

const world = `
apiVersion: v1
kind: Namespace
metadata: {name: vote}
---
apiVersion: v1
kind: Namespace
metadata: {name: mon}
---
apiVersion: v1
kind: Pod
metadata: {name: vote, namespace: vote, labels: {app: vote}}
spec: {containers: [{name: c, image: c}]}
status: {podIP: 10.0.0.1}
---
apiVersion: v1
kind: Pod
metadata: {name: db, namespace: vote, labels: {app: db}}
spec: {containers: [{name: c, image: c, ports: [{containerPort: 5432, name: pg}]}]}
status: {podIP: 10.0.0.2}
---
apiVersion: v1
kind: Pod
metadata: {name: prom, namespace: mon, labels: {app: prom}}
spec: {containers: [{name: c, image: c}]}
status: {podIP: 10.0.0.3}
---
apiVersion: projectcalico.org/v3
kind: GlobalNetworkSet
metadata: {name: partners, labels: {partner: "yes"}}
spec: {nets: [203.0.113.0/28]}
---
apiVersion: projectcalico.org/v3
kind: Tier
metadata: {name: platform}
spec: {order: 100}
---
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: platform.audit, namespace: vote}
spec: {tier: platform, order: 5, selector: app == 'db', ingress: [{action: Log}, {action: Pass}]}
`

func pod(namespace, name string) flow.Peer {
	return flow.Peer{Kind: flow.PeerWorkload, Workload: policy.Workload{Kind: policy.KindPod, Namespace: namespace, Name: name}}
}

func outside(addr string) flow.Peer {
	return flow.Peer{Kind: flow.PeerNetwork, Addr: netip.MustParseAddr(addr)}
}

func seen(src, dst flow.Peer, proto policy.Protocol, port uint16) flow.Flow {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	return flow.Flow{
		Key: flow.Key{
			Source: src, Destination: dst, Protocol: proto, Port: port, Direction: policy.Egress,
			Enforced: policy.Hit{Rule: policy.NoPolicy, Action: policy.Allow}, Pending: policy.Hit{Rule: policy.NoPolicy, Action: policy.Allow},
		},
		FirstSeen: at, LastSeen: at.Add(time.Minute), Connections: 5,
	}
}

func flows() []flow.Flow {
	vote, db, prom := pod("vote", "vote"), pod("vote", "db"), pod("mon", "prom")
	return []flow.Flow{
		seen(vote, db, policy.TCP, 5432),
		seen(vote, db, policy.ICMP, policy.ICMPPort(8, 0)),
		seen(vote, db, 47, 0),
		seen(prom, db, policy.TCP, 9187),
		seen(vote, outside("203.0.113.7"), policy.TCP, 443),
		seen(vote, outside("198.51.100.9"), policy.TCP, 8443),
	}
}

// recommended is what is recommended for namespace vote.
func recommended(t *testing.T) (*tier.Model, []*recommend.Policy) {
	t.Helper()
	resources, faults := policy.Decode("world.yaml", []byte(world))
	if err := faults.Err(); err != nil {
		t.Fatal(err)
	}
	snap, faults := policy.NewSnapshot(1, resources, nil)
	if err := faults.Err(); err != nil {
		t.Fatal(err)
	}
	m := tier.New(snap, nil)
	res := recommend.Recommend(recommend.Request{
		Model: m, Flows: flows(), Tier: tier.DefaultTier,
		Targets: []policy.Workload{pod("vote", "vote").Workload, pod("vote", "db").Workload},
	})
	if n := len(res.Policies); n != 2 {
		t.Fatalf("%d policies, want 2; left out: %+v", n, res.Skipped)
	}
	return m, res.Policies
}

func prove(t *testing.T, name dialect.Name, m *tier.Model, policies []*recommend.Policy, res *dialect.Result) *dialect.Proof {
	t.Helper()
	proof, err := dialect.Prove(name, dialect.ProofRequest{Model: m, Flows: flows(), Policies: policies, Scope: tier.Enforced()}, res)
	if err != nil {
		t.Fatal(err)
	}
	return proof
}

func TestPoliciesAreWrittenInTheDialectsWords(t *testing.T) {
	m, policies := recommended(t)
	for _, name := range []dialect.Name{dialect.Kubernetes, dialect.Cilium} {
		t.Run(string(name), func(t *testing.T) {
			var b strings.Builder
			res := dialect.Write(name, policies, m.Snapshot())
			for i, u := range res.Objects {
				text, err := yaml.Marshal(u.Object)
				if err != nil {
					t.Fatal(err)
				}
				b.WriteString("---\n" + res.Comments[i] + string(text))
			}
			for _, l := range res.Losses {
				b.WriteString("# lost: " + l.Policy.String() + ": " + l.Reason + "\n")
			}
			golden := filepath.Join("testdata", string(name)+".yaml")
			if os.Getenv("NETPOL_UPDATE") != "" {
				if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if b.String() != string(want) {
				t.Errorf("got:\n%s\nwant:\n%s", b.String(), want)
			}
		})
	}
}

// What a dialect has no words for is refused there, and the proof says so: it
// reads what was written, not how it was meant.
func TestWhatCantBeSaidIsJudgedOtherwise(t *testing.T) {
	m, policies := recommended(t)
	for name, differ := range map[dialect.Name][]string{
		dialect.Kubernetes: {"vote/vote → vote/db icmp/8", "vote/vote → vote/db 47"},
		dialect.Cilium:     {"vote/vote → vote/db 47"},
	} {
		proof := prove(t, name, m, policies, dialect.Write(name, policies, m.Snapshot()))
		var got []string
		for _, d := range proof.Differences {
			if d.Allowed {
				t.Errorf("%s: %s is allowed, and not by the recommendation", name, recommend.FlowText(d.Flow))
			}
			got = append(got, recommend.FlowText(d.Flow))
		}
		if proof.Observed != 6 || proof.Alike != 6-len(differ) || strings.Join(got, "; ") != strings.Join(differ, "; ") {
			t.Errorf("%s: %d observed, %d alike, different: %q, want %q", name, proof.Observed, proof.Alike, got, differ)
		}
	}
}

// The proof finds what is wrong in a text.
func TestAWrongTextIsFound(t *testing.T) {
	m, policies := recommended(t)
	for _, name := range []dialect.Name{dialect.Kubernetes, dialect.Cilium} {
		before := len(prove(t, name, m, policies, dialect.Write(name, policies, m.Snapshot())).Differences)
		for what, spoil := range map[string]func(string) string{
			"another label":     func(s string) string { return strings.ReplaceAll(s, `"app":"prom"`, `"app":"other"`) },
			"another namespace": func(s string) string { return strings.ReplaceAll(s, `"mon"`, `"else"`) },
			"another port":      func(s string) string { return strings.ReplaceAll(s, "9187", "9188") },
			"another net":       func(s string) string { return strings.ReplaceAll(s, "203.0.113.0/28", "203.0.113.16/28") },
			"another name":      func(s string) string { return strings.ReplaceAll(s, `"pg"`, `"other"`) },
			"another protocol":  func(s string) string { return strings.ReplaceAll(s, `"TCP"`, `"UDP"`) },
		} {
			res := dialect.Write(name, policies, m.Snapshot())
			changed := false
			for i, u := range res.Objects {
				text, err := u.MarshalJSON()
				if err != nil {
					t.Fatal(err)
				}
				spoilt := spoil(string(text))
				changed = changed || spoilt != string(text)
				out := &unstructured.Unstructured{}
				if err := out.UnmarshalJSON([]byte(spoilt)); err != nil {
					t.Fatal(err)
				}
				res.Objects[i] = out
			}
			if !changed {
				t.Errorf("%s: %s: nothing was there to spoil", name, what)
			}
			if n := len(prove(t, name, m, policies, res).Differences); n <= before {
				t.Errorf("%s: %s: %d differences, as without it", name, what, n)
			}
		}
	}
}
