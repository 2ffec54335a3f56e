package lint_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/netpol-project/netpol/pkg/lint"
	"github.com/netpol-project/netpol/pkg/policy"
)

// TestLocateOtherForms: fields of Kubernetes and cluster policies are named as
// they are written, and what one of them was made into is told of once.
func TestLocateOtherForms(t *testing.T) {
	cluster := `---
apiVersion: policy.networking.k8s.io/v1alpha2
kind: ClusterNetworkPolicy
metadata: {name: p}
spec:
  tier: Admin
  priority: 10
  subject: {pods: {namespaceSelector: {}, podSelector: {matchLabels: {app: SUBJECT}}}}
  egress:
  - {action: Accept, to: [{networks: [10.0.0.0/8, "2001:db8::/32"]}, {networks: [11.0.0.0/8]}], protocols: [{tcp: {}}, {udp: {}}]}
  - action: Accept
    protocols: [{destinationNamedPort: PORT}]
    to:
    - namespaces: {matchLabels: {kubernetes.io/metadata.name: shop}}
    - pods: {namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: shop}}, podSelector: {matchLabels: {app: PEER}}}
`
	fill := func(subject, port, peer string) string {
		return shop + strings.NewReplacer("SUBJECT", subject, "PORT", port, "PEER", peer).Replace(cluster)
	}
	kubernetes := shop + kube("p",
		"podSelector: {}",
		"ingress:",
		"- ports: [{port: 1}, {port: 2}, {port: 3, protocol: UDP}]",
		"  from: [{podSelector: {}}, {ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16, 10.1.1.0/24]}}]",
		"- from:",
		"  - podSelector: {matchLabels: {app: wbe}}",
		"    namespaceSelector: {}",
	)
	for name, tc := range map[string]struct{ docs, code, want string }{
		"kubernetes": {kubernetes, "selects-nothing", `f.yaml:24:20 spec.ingress[1].from[0].podSelector "app == 'wbe'"`},
		"except":     {kubernetes, "net-covered", `f.yaml:22:82 spec.ingress[0].from[1].ipBlock.except[1] "10.1.1.0/24"`},
		"subject":    {fill("wbe", "http", "web"), "selects-nothing", `f.yaml:21:12 spec.subject "app == 'wbe'"`},
		"peer":       {fill("web", "http", "wbe"), "selects-nothing", `f.yaml:28:98 spec.egress[1].to[1].pods.podSelector "app == 'wbe'"`},
		"port":       {fill("web", "htpp", "web"), "no-such-port", `f.yaml:25:16 spec.egress[1].protocols "htpp"`},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, f := range find(t, tc.docs) {
				if f.Code == tc.code {
					got = append(got, fmt.Sprintf("%s %s %q", f.Origin, f.Field, f.Value))
				}
			}
			// A name of a port is looked for among each peer's pods.
			if got = slices.Compact(got); len(got) != 1 || got[0] != tc.want {
				t.Errorf("got %s", strings.Join(got, "\n"))
			}
		})
	}
}

// TestLocateWithoutFile: what can't be read any more keeps the place of its
// resource.
func TestLocateWithoutFile(t *testing.T) {
	at := policy.Origin{File: "gone.yaml", Line: 3, Column: 1}
	p := lint.NewPlaces(func(string) ([]byte, error) { return nil, errors.New("gone") })
	got := p.Locate(policy.Faults{{Origin: at, Field: "spec.selector", Warning: true}, {Field: "spec.order", Warning: true}})
	if len(got) != 2 || got[0].Origin != at || got[0].Field != "spec.selector" {
		t.Errorf("got %v", got)
	}
}

// TestHeed: an annotation silences the warnings that it names, of its resource
// only, and no errors.
func TestHeed(t *testing.T) {
	text := `apiVersion: v1
kind: Namespace
metadata: {name: a, annotations: {netpol.dev/lint-ignore: "tie, covered"}}
---
apiVersion: v1
kind: Namespace
metadata: {name: b, annotations: {netpol.dev/lint-ignore: all}}
---
apiVersion: v1
kind: Namespace
metadata: {name: c}
`
	resources, _ := policy.Decode("f.yaml", []byte(text))
	origin := func(k policy.Key) policy.Origin {
		for _, r := range resources {
			if r.Key == k {
				return r.Origin
			}
		}
		return policy.Origin{}
	}
	var faults policy.Faults
	for _, name := range []string{"a", "b", "c", "gone"} {
		for _, code := range []string{"tie", "allow-all"} {
			for _, warning := range []bool{true, false} {
				faults = append(faults, policy.Fault{Key: policy.Key{Kind: policy.KindNamespace, Name: name}, Code: code, Warning: warning})
			}
		}
	}
	var got []string
	for _, f := range lint.NewPlaces(func(string) ([]byte, error) { return []byte(text), nil }).Heed(faults, origin) {
		if f.Warning {
			got = append(got, f.Key.Name+" "+f.Code)
		}
	}
	if fmt.Sprint(got) != "[a allow-all c tie c allow-all gone tie gone allow-all]" {
		t.Errorf("got %q", got)
	}
	if n := len(lint.NewPlaces(func(string) ([]byte, error) { return []byte(text), nil }).Heed(faults, origin).Errors()); n != 8 {
		t.Errorf("%d errors are left of 8", n)
	}
}
