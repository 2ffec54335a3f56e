package dialect_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/recommend"
	"github.com/netpol-project/netpol/pkg/recommend/dialect"
	"github.com/netpol-project/netpol/pkg/tier"
)

const services = `
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, labels: {app: web}}
spec: {containers: [{name: c, image: c}]}
status: {podIP: 10.0.0.1}
---
apiVersion: v1
kind: Pod
metadata: {name: old, namespace: shop, labels: {app: db}}
spec: {containers: [{name: c, image: c, ports: [{containerPort: 5432}]}]}
status: {podIP: 10.0.0.2}
---
apiVersion: v1
kind: Service
metadata: {name: db, namespace: shop}
spec: {clusterIP: 10.96.0.2, selector: {app: db}, ports: [{port: 5432}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: db, namespace: shop, labels: {kubernetes.io/service-name: db}}
addressType: IPv4
endpoints: [{addresses: [192.0.2.7]}, {addresses: [192.0.2.8]}]
ports: [{port: 15432, protocol: TCP}]
---
apiVersion: v1
kind: Service
metadata: {name: kubernetes, namespace: default}
spec: {clusterIP: 10.96.0.1, ports: [{port: 443, targetPort: 6443}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: kubernetes, namespace: default, labels: {kubernetes.io/service-name: kubernetes}}
addressType: IPv4
endpoints: [{addresses: [192.0.2.1]}]
ports: [{port: 6443, protocol: TCP}]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web, namespace: shop}
spec: {podSelector: {matchLabels: {app: web}}, policyTypes: [Ingress]}
`

// ofServices is what is recommended for shop/web, which reads a database by its
// Service and asks the API server.
func ofServices(t *testing.T, write recommend.Write) (*policy.Snapshot, []*recommend.Policy) {
	t.Helper()
	resources, faults := policy.Decode("world.yaml", []byte(services))
	if err := faults.Err(); err != nil {
		t.Fatal(err)
	}
	snap, _ := policy.NewSnapshot(1, resources, nil)
	web := pod("shop", "web")
	db := seen(web, pod("shop", "old"), policy.TCP, 5432)
	db.ServiceNamespace, db.ServiceName = "shop", "db"
	api := seen(web, outside("192.0.2.1"), policy.TCP, 6443)
	api.ServiceNamespace, api.ServiceName = "default", "kubernetes"
	res := recommend.Recommend(recommend.Request{
		Model: tier.New(snap, nil), Flows: []flow.Flow{db, api}, Tier: tier.DefaultTier, Write: write,
		Targets: []policy.Workload{web.Workload},
	})
	if n := len(res.Policies); n != 1 {
		t.Fatalf("%d policies, want 1; left out: %+v", n, res.Skipped)
	}
	return snap, res.Policies
}

// S20: the addresses and ports of a Service's endpoints. Those of pods are not
// those of other addresses.
func TestS20_WhatIsBehindAServiceKeepsItsOwnPorts(t *testing.T) {
	snap, policies := ofServices(t, recommend.Write{Services: true})
	for name, want := range map[dialect.Name][]string{
		dialect.Kubernetes: {
			`{"ports":[{"port":6443,"protocol":"TCP"}],"to":[{"ipBlock":{"cidr":"192.0.2.1/32"}}]}`,
			`{"ports":[{"port":5432,"protocol":"TCP"}],"to":[{"namespaceSelector":{"matchLabels":{"kubernetes.io/metadata.name":"shop"}},"podSelector":{"matchLabels":{"app":"db"}}}]}`,
			`{"ports":[{"port":15432,"protocol":"TCP"}],"to":[{"ipBlock":{"cidr":"192.0.2.7/32"}},{"ipBlock":{"cidr":"192.0.2.8/32"}}]}`,
		},
		dialect.Cilium: {
			`{"toEntities":["kube-apiserver"],"toPorts":[{"ports":[{"port":"6443","protocol":"TCP"}]}]}`,
			`{"toEndpoints":[{"matchLabels":{"app":"db"}}],"toPorts":[{"ports":[{"port":"5432","protocol":"TCP"}]}]}`,
			`{"toCIDR":["192.0.2.7/32","192.0.2.8/32"],"toPorts":[{"ports":[{"port":"15432","protocol":"TCP"}]}]}`,
		},
	} {
		res := dialect.Write(name, policies, snap)
		var got []string
		for _, rule := range res.Objects[0].Object["spec"].(map[string]any)["egress"].([]any) {
			text, err := json.Marshal(rule)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, string(text))
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s:\n%s\nwant\n%s", name, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}

// Cilium has a word for the API server, which follows its Service; written for an
// address alone it holds more.
func TestTheAPIServerIsAnEntityOfCilium(t *testing.T) {
	for _, tt := range []struct {
		exact bool
		name  dialect.Name
		want  []string
	}{
		{false, dialect.Cilium, nil},
		{true, dialect.Cilium, []string{"Cilium's nets hold no API server: all of its addresses are allowed, by its entity"}},
		{false, dialect.Kubernetes, []string{"Service default/kubernetes has no form there: written as the pods and addresses behind it now"}},
		{true, dialect.Kubernetes, nil},
	} {
		snap, policies := ofServices(t, recommend.Write{Exact: tt.exact})
		var got []string
		for _, l := range dialect.Write(tt.name, policies, snap).Losses {
			got = append(got, l.Reason)
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s, exact %v: %q, want %q", tt.name, tt.exact, got, tt.want)
		}
	}
}

// A Kubernetes policy that is there would be undone by one of its name.
func TestNamesOfKubernetesPoliciesAreNotTaken(t *testing.T) {
	snap, policies := ofServices(t, recommend.Write{})
	for name, want := range map[dialect.Name]string{dialect.Kubernetes: "web-2", dialect.Cilium: "web"} {
		if got := dialect.Write(name, policies, snap).Objects[0].GetName(); got != want {
			t.Errorf("%s: it is called %s, want %s", name, got, want)
		}
	}
}

// Who a policy is for, and whom it selects beside, is told as in Calico's form.
func TestCommentsTellWhomElseAPolicySelects(t *testing.T) {
	snap, policies := ofServices(t, recommend.Write{})
	twin := policy.Workload{Kind: policy.KindPod, Namespace: "shop", Name: "twin"}
	p := *policies[0]
	p.Workloads, p.Unasked = append(slices.Clone(p.Workloads), twin), []policy.Workload{twin}
	for _, name := range []dialect.Name{dialect.Kubernetes, dialect.Cilium} {
		got := dialect.Write(name, []*recommend.Policy{&p}, snap).Comments[0]
		if want := "# Pod shop/web, Pod shop/twin\n# (labels can't tell them apart, so it selects Pod shop/twin too)\n"; got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}
