package calico_test

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	netpol "github.com/netpol-project/netpol/internal/cluster"
	"github.com/netpol-project/netpol/internal/cluster/calico"
	"github.com/netpol-project/netpol/internal/cluster/kube"
	"github.com/netpol-project/netpol/internal/kubetest"
	"github.com/netpol-project/netpol/pkg/policy"
)

var plane kubetest.Shared

func TestMain(m *testing.M) { os.Exit(plane.Around(m).Run()) }

// definition is a CustomResourceDefinition that takes anything.
func definition(group, version, kind, plural string, namespaced bool) string {
	scope := map[bool]string{true: "Namespaced", false: "Cluster"}[namespaced]
	return fmt.Sprintf(`apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: %[4]s.%[1]s}
spec:
  group: %[1]s
  scope: %[5]s
  names: {kind: %[3]s, listKind: %[3]sList, plural: %[4]s, singular: %[6]s}
  versions:
  - name: %[2]s
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties: {spec: {type: object, x-kubernetes-preserve-unknown-fields: true}}
---
`, group, version, kind, plural, scope, strings.ToLower(kind))
}

// calicoAPI are definitions as Calico has them, and what tells its version.
func calicoAPI(version string) string {
	var b strings.Builder
	for kind, namespaced := range map[policy.Kind]bool{
		policy.KindNetworkPolicy: true, policy.KindStagedNetworkPolicy: true, policy.KindStagedKubernetesNetworkPolicy: true, policy.KindNetworkSet: true,
		policy.KindGlobalNetworkPolicy: false, policy.KindStagedGlobalNetworkPolicy: false, policy.KindTier: false, policy.KindGlobalNetworkSet: false, policy.KindHostEndpoint: false,
	} {
		res, _ := kube.ResourceOf(kind)
		b.WriteString(definition("projectcalico.org", "v3", string(kind), res.GroupVersionResource.Resource, namespaced))
	}
	b.WriteString(definition("projectcalico.org", "v3", "ClusterInformation", "clusterinformations", false))
	b.WriteString(definition("projectcalico.org", "v3", "FelixConfiguration", "felixconfigurations", false))
	fmt.Fprintf(&b, `apiVersion: projectcalico.org/v3
kind: ClusterInformation
metadata: {name: default}
spec: {calicoVersion: %[1]s}
---
apiVersion: v1
kind: Namespace
metadata: {name: calico-system}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: calico-node, namespace: calico-system}
spec:
  selector: {matchLabels: {k8s-app: calico-node}}
  template:
    metadata: {labels: {k8s-app: calico-node}}
    spec: {containers: [{name: calico-node, image: "quay.io/calico/node:%[1]s"}]}
---
apiVersion: projectcalico.org/v3
kind: Tier
metadata: {name: platform}
spec: {order: 100}
---
apiVersion: projectcalico.org/v3
kind: Tier
metadata: {name: security}
spec: {order: 200}
`, version)
	return b.String()
}

// prefixRule is what Calico's API server refuses up to 3.31.
const prefixRule = `apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: calico-names}
spec:
  failurePolicy: Fail
  matchConstraints:
    resourceRules:
    - apiGroups: [projectcalico.org]
      apiVersions: [v3]
      operations: [CREATE, UPDATE]
      resources: [networkpolicies, globalnetworkpolicies, stagednetworkpolicies, stagedglobalnetworkpolicies]
  variables:
  - {name: tier, expression: "has(object.spec.tier) ? object.spec.tier : 'default'"}
  validations:
  - expression: "object.metadata.name.startsWith(variables.tier + '.') || variables.tier == 'default' && !object.metadata.name.contains('.')"
    messageExpression: "'Incorrectly formatted policy name ' + object.metadata.name"
  - expression: "oldObject == null || (has(oldObject.spec.tier) ? oldObject.spec.tier : 'default') == variables.tier"
    message: "tier can't be changed"
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: calico-names}
spec: {policyName: calico-names, validationActions: [Deny]}
`

// manifest is a policy; rules are of ingress.
func manifest(t testing.TB, kind, namespace, name, tier, rules string) *unstructured.Unstructured {
	t.Helper()
	u := &unstructured.Unstructured{}
	text := fmt.Sprintf("apiVersion: projectcalico.org/v3\nkind: %s\nmetadata: {name: %s, namespace: %s}\nspec: {tier: %s, selector: all(), types: [Ingress], ingress: [%s]}\n", kind, name, namespace, tier, rules)
	if err := yaml.Unmarshal([]byte(text), &u.Object); err != nil {
		t.Fatal(err)
	}
	return u
}

func openCalico(t *testing.T, config *rest.Config) (netpol.Store, *calico.Info) {
	t.Helper()
	conn := &kube.Conn{Config: config, Context: "test", Namespace: "default"}
	info, err := calico.Detect(t.Context(), conn, 30*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	store, err := calico.Open(t.Context(), conn, kube.Options{Warn: func(s string) { t.Log(s) }}, &info)
	if err != nil {
		t.Fatal(err)
	}
	return store, &info
}

// inAPI are the names and tiers of the policies of a kind, as the API has them.
func inAPI(t *testing.T, p *kubetest.ControlPlane, kind policy.Kind, namespace string) []string {
	t.Helper()
	store, err := kube.OpenStore(t.Context(), &kube.Conn{Config: p.Admin()}, kube.Options{})
	if err != nil {
		t.Fatal(err)
	}
	list, err := store.List(t.Context(), kind, namespace)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, u := range list {
		tier, _, _ := unstructured.NestedString(u.Object, "spec", "tier")
		out = append(out, tier+":"+u.GetName())
	}
	return out
}

// TestClusterNames is the life of a policy that users call db, on servers as
// Calico 3.31 and 3.32 are.
func TestClusterNames(t *testing.T) {
	for _, c := range []struct {
		version                   string
		rule                      bool
		made, staged, moved, home string
	}{
		{"v3.31.2", true, "platform:platform.db", "platform:platform.db", "security:security.db", "default:db"},
		{"v3.32.0", false, "platform:db", "platform:db", "security:db", "default:db"},
	} {
		t.Run(c.version, func(t *testing.T) {
			p := kubetest.New(t, kubetest.Options{})
			p.Apply(t, calicoAPI(c.version))
			ns := p.Namespace(t)
			if c.rule {
				p.Apply(t, prefixRule)
				awaitRule(t, p, ns)
			}
			s, info := openCalico(t, p.Admin())
			if !info.Enforces() || info.API != calico.Native || info.Version.String() != c.version {
				t.Fatalf("%+v", info)
			}
			const np, snp = policy.KindNetworkPolicy, policy.KindStagedNetworkPolicy
			key := policy.Key{Kind: np, Namespace: ns, Name: "db"}
			do := func(changes ...netpol.Change) {
				t.Helper()
				results, err := s.Change(t.Context(), changes, false)
				if err != nil {
					t.Fatal(err)
				}
				for _, r := range results {
					if r.Key.Name != "db" {
						t.Errorf("told of %s", r.Key)
					}
				}
			}
			expect := func(kind policy.Kind, want ...string) {
				t.Helper()
				if got := inAPI(t, p, kind, ns); !slices.Equal(got, want) {
					t.Errorf("%s: the API has %v, want %v", kind, got, want)
				}
			}
			do(netpol.Change{Object: manifest(t, "StagedNetworkPolicy", ns, "db", "platform", "{action: Pass}"), IfAbsent: true})
			expect(snp, c.staged)
			// Enforced: made, then the staged one goes.
			do(netpol.Change{Object: manifest(t, "NetworkPolicy", ns, "db", "platform", "{action: Pass}")}, netpol.Change{Delete: policy.Key{Kind: snp, Namespace: ns, Name: "db"}})
			expect(np, c.made)
			expect(snp)
			snap, _, err := s.Snapshot(t.Context())
			if err != nil || snap.Policy(key) == nil || snap.Policy(key).Tier != "platform" {
				t.Fatalf("the snapshot has %+v, %v", snap.Policies, err)
			}
			// Moved, as policy move does it: read, changed, written.
			for _, m := range []struct{ tier, want string }{{"security", c.moved}, {"default", c.home}, {"platform", c.made}} {
				u, err := s.Get(t.Context(), key)
				if err != nil || u.GetName() != "db" {
					t.Fatalf("%v, %v", u, err)
				}
				_ = unstructured.SetNestedField(u.Object, m.tier, "spec", "tier")
				do(netpol.Change{Object: u})
				expect(np, m.want)
			}
			u, err := s.Get(t.Context(), key)
			if err != nil {
				t.Fatal(err)
			}
			rules, _, _ := unstructured.NestedSlice(u.Object, "spec", "ingress")
			if rule, _ := rules[0].(map[string]any); rule["action"] != "Pass" {
				t.Errorf("after its moves it has rules %v", rules)
			}
			do(netpol.Change{Delete: key})
			expect(np)
		})
	}
}

// awaitRule waits until the server enforces the admission policy.
func awaitRule(t *testing.T, p *kubetest.ControlPlane, ns string) {
	t.Helper()
	store, err := kube.OpenStore(t.Context(), &kube.Conn{Config: p.Admin()}, kube.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var last error
	for range 300 {
		_, err := store.ChangeWith(t.Context(), []netpol.Change{{Object: manifest(t, "NetworkPolicy", ns, "db", "platform", "")}}, netpol.ChangeOptions{DryRun: netpol.DryRunServer})
		if err != nil && strings.Contains(err.Error(), "Incorrectly formatted") {
			return
		}
		last = err
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatal("the admission policy is not enforced: ", last)
}

// TestClusterMoveWithoutTheRightToDelete: what can't be finished is not begun.
func TestClusterMoveWithoutTheRightToDelete(t *testing.T) {
	p := plane.Get(t)
	p.Apply(t, calicoAPI("v3.31.2"))
	ns := p.Namespace(t)
	p.Apply(t, `apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: calico-writer}
rules:
- {apiGroups: ["*"], resources: ["*"], verbs: [get, list, watch]}
- {apiGroups: [projectcalico.org], resources: [networkpolicies], verbs: [create, patch, update]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: calico-writer}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: calico-writer}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: writer}]
`)
	s, _ := openCalico(t, p.User(t, "writer"))
	if _, err := s.Change(t.Context(), []netpol.Change{{Object: manifest(t, "NetworkPolicy", ns, "db", "platform", "{action: Allow}")}}, false); err != nil {
		t.Fatal(err)
	}
	_, err := s.Change(t.Context(), []netpol.Change{{Object: manifest(t, "NetworkPolicy", ns, "db", "security", "{action: Allow}")}}, false)
	var f *netpol.Failure
	if !errors.As(err, &f) || !strings.Contains(f.What, "you may not delete networkpolicies platform.db") {
		t.Errorf("got %v", err)
	}
	if got := inAPI(t, p, policy.KindNetworkPolicy, ns); !slices.Equal(got, []string{"platform:platform.db"}) {
		t.Errorf("the API has %v", got)
	}
}

// TestClusterStored: without Calico's API server its own resources are read.
func TestClusterStored(t *testing.T) {
	p := kubetest.New(t, kubetest.Options{})
	ns := p.Namespace(t)
	p.Apply(t, definition("crd.projectcalico.org", "v1", "NetworkPolicy", "networkpolicies", true)+
		definition("crd.projectcalico.org", "v1", "ClusterInformation", "clusterinformations", false)+
		`apiVersion: crd.projectcalico.org/v1
kind: ClusterInformation
metadata: {name: default}
spec: {calicoVersion: v3.30.1}
---
apiVersion: v1
kind: Namespace
metadata: {name: calico-system}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: calico-node, namespace: calico-system}
spec:
  selector: {matchLabels: {k8s-app: calico-node}}
  template:
    metadata: {labels: {k8s-app: calico-node}}
    spec: {containers: [{name: calico-node, image: calico/node}]}
---
apiVersion: crd.projectcalico.org/v1
kind: NetworkPolicy
metadata: {name: default.db, namespace: `+ns+`}
spec: {selector: app == 'db'}
---
apiVersion: crd.projectcalico.org/v1
kind: NetworkPolicy
metadata: {name: platform.web, namespace: `+ns+`}
spec: {selector: app == 'web', tier: platform}
`)
	s, info := openCalico(t, p.Admin())
	if info.API != calico.Stored || info.Version.String() != "v3.30.1" {
		t.Fatalf("%+v", info)
	}
	for name, tier := range map[string]string{"db": "default", "web": "platform"} {
		key := policy.Key{Kind: policy.KindNetworkPolicy, Namespace: ns, Name: name}
		u, err := s.Get(t.Context(), key)
		if err != nil || u.GetName() != name || u.GetAPIVersion() != "projectcalico.org/v3" {
			t.Errorf("%s: %v, %v", name, u, err)
		}
		snap, faults, err := s.Snapshot(t.Context())
		if err != nil || snap.Policy(key) == nil || snap.Policy(key).Tier != tier {
			t.Errorf("%s: %v, %v, %v", name, snap.Policies, faults, err)
		}
		var f *netpol.Failure
		if _, err := s.Change(t.Context(), []netpol.Change{{Delete: key}}, false); !errors.As(err, &f) || f.Try == "" {
			t.Errorf("%s was deleted: %v", name, err)
		}
	}
}
