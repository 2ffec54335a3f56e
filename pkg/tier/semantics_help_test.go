package tier_test

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"testing"

	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

// people is the world in which the scenarios of this package play.
const people = `
apiVersion: v1
kind: Namespace
metadata: {name: red, labels: {team: red}}
---
apiVersion: v1
kind: Namespace
metadata: {name: blue, labels: {team: blue}}
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: red, labels: {app: web}}
spec: {nodeName: node, serviceAccountName: robot, containers: [{name: main, image: main}]}
status: {phase: Running, podIP: 10.0.0.1, podIPs: [{ip: 10.0.0.1}, {ip: "fd00::1"}]}
---
apiVersion: v1
kind: Pod
metadata: {name: db, namespace: red, labels: {app: db}}
spec: {nodeName: node, serviceAccountName: default, containers: [{name: main, image: main}]}
status: {phase: Running, podIP: 10.0.0.2, podIPs: [{ip: 10.0.0.2}, {ip: "fd00::2"}]}
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: blue, labels: {app: web}}
spec: {nodeName: node, serviceAccountName: default, containers: [{name: main, image: main}]}
status: {phase: Running, podIP: 10.0.0.5, podIPs: [{ip: 10.0.0.5}, {ip: "fd00::5"}]}
---
apiVersion: v1
kind: Pod
metadata: {name: plain, namespace: blue}
spec: {nodeName: node, serviceAccountName: default, containers: [{name: main, image: main}]}
status: {phase: Running, podIP: 10.0.0.6, podIPs: [{ip: 10.0.0.6}, {ip: "fd00::6"}]}
`

// scenario is a few policies and what they decide. A question reads
// "in red/web > red/db tcp/80": the ingress verdict of red/db; "out" is the
// egress verdict of the source. An end is a pod (at its IPv4 address), a pod
// with /6 (at its IPv6 address) or an address; with @port it says the source's
// port. Of ICMP a type and code are asked: icmp/8:0.
// The answer is the Log rules passed and what decided: "Log t/p:0, Deny t/q:1"
// is rule 1 of policy q in tier t after rule 0 of p; ":end" the end of the
// tier after policy q; "Allow" alone that no policy decided (S9).
type scenario struct {
	name      string
	resources []string
	scope     tier.Scope
	want      map[string]string
}

// check runs scenarios.
func check(t *testing.T, scenarios ...scenario) {
	t.Helper()
	for _, s := range scenarios {
		t.Run(s.name, func(t *testing.T) {
			m := modelOf(t, s.resources...)
			for question, want := range s.want {
				if got := ask(t, m, s.scope, question); got != want {
					t.Errorf("%s: got %q, want %q", question, got, want)
				}
			}
		})
	}
}

// modelOf makes the model of people and more resources. Policies in a tier
// that does not exist are faults, but stay in the snapshot (S13).
func modelOf(t *testing.T, resources ...string) *tier.Model {
	t.Helper()
	return tier.New(snapshotOf(t, nil, resources...), nil)
}

func snapshotOf(t *testing.T, prev *policy.Snapshot, resources ...string) *policy.Snapshot {
	t.Helper()
	text := strings.Join(append([]string{people}, resources...), "\n---\n")
	decoded, faults := policy.Decode("scenario.yaml", []byte(text))
	if err := faults.Err(); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	snap, faults := policy.NewSnapshot(1, decoded, prev)
	for _, f := range faults {
		if f.Field != "spec.tier" {
			t.Fatalf("%v in\n%s", f, text)
		}
	}
	return snap
}

// ask answers one question as scenario describes.
func ask(t *testing.T, m *tier.Model, scope tier.Scope, question string) string {
	t.Helper()
	words := strings.Fields(question)
	if len(words) != 5 || words[2] != ">" {
		t.Fatalf("question %q", question)
	}
	source, destination := end(t, m, words[1]), end(t, m, words[3])
	proto, port := service(t, words[4])
	dir, local, peer := policy.Ingress, destination, source
	if words[0] == "out" {
		dir, local, peer = policy.Egress, source, destination
	}
	return answer(m.Judge(scope, dir, local, peer, proto, port))
}

func answer(v tier.Verdict) string {
	var b strings.Builder
	for _, l := range v.Logs {
		fmt.Fprintf(&b, "%s, ", hit(l))
	}
	if v.By.Rule == policy.NoPolicy {
		return b.String() + v.Action.String()
	}
	if v.By.Action != v.Action {
		return fmt.Sprintf("%s%s, but by an %s", b.String(), v.Action, hit(v.By))
	}
	return b.String() + hit(v.By)
}

func hit(h policy.Hit) string {
	name := h.Policy.Name
	if h.Policy.Namespace != "" {
		name = h.Policy.Namespace + "." + name
	}
	rule := strconv.Itoa(h.Rule)
	if h.Rule == policy.EndOfTier {
		rule = "end"
	}
	return fmt.Sprintf("%s %s/%s:%s", h.Action, h.Tier, name, rule)
}

func end(t *testing.T, m *tier.Model, s string) tier.Peer {
	t.Helper()
	if at, port, ok := strings.Cut(s, "@"); ok {
		p := end(t, m, at)
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil {
			t.Fatal(err)
		}
		p.Port = uint16(n)
		return p
	}
	if a, err := netip.ParseAddr(s); err == nil {
		return tier.Peer{Endpoint: m.Owner(a), Addr: a}
	}
	id, v6 := strings.CutSuffix(s, "/6")
	for _, ep := range m.Snapshot().Endpoints {
		if ep.ID() != id {
			continue
		}
		for _, a := range ep.Addrs {
			if a.Is6() == v6 {
				return tier.Peer{Endpoint: ep, Addr: a}
			}
		}
	}
	t.Fatalf("no such end: %s", s)
	return tier.Peer{}
}

func service(t *testing.T, s string) (policy.Protocol, uint16) {
	t.Helper()
	name, port, _ := strings.Cut(s, "/")
	if typ, code, ok := strings.Cut(port, ":"); ok {
		a, err1 := strconv.ParseUint(typ, 10, 8)
		b, err2 := strconv.ParseUint(code, 10, 8)
		if err1 != nil || err2 != nil {
			t.Fatalf("type and code %q", port)
		}
		return map[string]policy.Protocol{"icmp": policy.ICMP, "icmpv6": policy.ICMPv6}[name], policy.ICMPPort(uint8(a), uint8(b))
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	number, _ := strconv.Atoi(name) // protocols without a name here
	known := map[string]policy.Protocol{"tcp": policy.TCP, "udp": policy.UDP, "sctp": policy.SCTP, "icmp": policy.ICMP, "udplite": policy.UDPLite}
	if p, ok := known[name]; ok {
		return p, uint16(n)
	}
	return policy.Protocol(number), uint16(n)
}

// The resources of scenarios; spec is YAML in flow style.
func global(name, spec string) string {
	return v3("GlobalNetworkPolicy", "name: "+name, spec)
}

func namespaced(namespace, name, spec string) string {
	return v3("NetworkPolicy", "name: "+name+", namespace: "+namespace, spec)
}

func stagedGlobal(name, spec string) string {
	return v3("StagedGlobalNetworkPolicy", "name: "+name, spec)
}

func stagedNamespaced(namespace, name, spec string) string {
	return v3("StagedNetworkPolicy", "name: "+name+", namespace: "+namespace, spec)
}

func newTier(name, spec string) string { return v3("Tier", "name: "+name, spec) }

func v3(kind, metadata, spec string) string {
	return fmt.Sprintf("apiVersion: projectcalico.org/v3\nkind: %s\nmetadata: {%s}\nspec: %s\n", kind, metadata, spec)
}

func kubernetes(namespace, name, spec string) string {
	return fmt.Sprintf("apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: %s, namespace: %s}\nspec: %s\n", name, namespace, spec)
}
