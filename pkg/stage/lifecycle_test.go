package stage

import (
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"pgregory.net/rapid"
	"sigs.k8s.io/yaml"

	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/policy/selector"
)

func object(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	out := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(text), &out.Object); err != nil {
		t.Fatal(err)
	}
	return out
}

func deny(kind, namespaceSelector string) *unstructured.Unstructured {
	spec := map[string]any{"tier": "default", "types": []any{"Ingress", "Egress"}}
	if namespaceSelector != "" {
		spec["namespaceSelector"] = namespaceSelector
	}
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": APIVersion, "kind": kind,
		"metadata": map[string]any{"name": "default-deny"}, "spec": spec,
	}}
}

func TestDefaultDenyOfOneNamespace(t *testing.T) {
	got, changed, err := DefaultDeny(DenyRequest{Namespaces: []string{"vote"}})
	if err != nil || !changed {
		t.Fatal(changed, err)
	}
	want := object(t, `
apiVersion: projectcalico.org/v3
kind: StagedGlobalNetworkPolicy
metadata: {name: default-deny}
spec:
  stagedAction: Set
  tier: default
  namespaceSelector: kubernetes.io/metadata.name == 'vote'
  types: [Ingress, Egress]
`)
	if d := cmp.Diff(want.Object, got.Object); d != "" {
		t.Error(d)
	}
}

func TestDefaultDenyExtendsAndNeverNarrows(t *testing.T) {
	const global = "GlobalNetworkPolicy"
	for _, tc := range []struct {
		name, staged, enforced string // selectors; "" is none, "-" without selector
		ask                    []string
		all                    bool
		want                   string // "=" is unchanged
	}{
		{"a second one staged", "kubernetes.io/metadata.name == 'vote'", "", []string{"wordpress"}, false, "kubernetes.io/metadata.name in {'vote', 'wordpress'}"},
		{"the first is enforced", "", "kubernetes.io/metadata.name == 'vote'", []string{"wordpress"}, false, "kubernetes.io/metadata.name in {'vote', 'wordpress'}"},
		{"one enforced, another staged", "kubernetes.io/metadata.name == 'b'", "kubernetes.io/metadata.name == 'a'", []string{"c"}, false, "kubernetes.io/metadata.name in {'a', 'b', 'c'}"},
		{"staged narrower than enforced", "kubernetes.io/metadata.name == 'b'", "kubernetes.io/metadata.name == 'a'", []string{"b"}, false, "kubernetes.io/metadata.name in {'a', 'b'}"},
		{"the same again", "kubernetes.io/metadata.name == 'vote'", "", []string{"vote"}, false, "="},
		{"enforced already", "", "kubernetes.io/metadata.name in {'a', 'b'}", []string{"b"}, false, "="},
		{"all", "", "", nil, true, "kubernetes.io/metadata.name not in {'kube-system', 'netpol-system'}"},
		{"all after one", "kubernetes.io/metadata.name == 'vote'", "", nil, true, "kubernetes.io/metadata.name not in {'kube-system', 'netpol-system'}"},
		{"all after an exempt one", "kubernetes.io/metadata.name == 'kube-system'", "", nil, true, "kubernetes.io/metadata.name != 'netpol-system'"},
		{"an exempt one after all", "kubernetes.io/metadata.name not in {'kube-system', 'netpol-system'}", "", []string{"netpol-system"}, false, "kubernetes.io/metadata.name != 'kube-system'"},
		{"one after all", "kubernetes.io/metadata.name not in {'kube-system', 'netpol-system'}", "", []string{"vote"}, false, "="},
		{"everything covered", "", "all()", []string{"vote"}, false, "="},
		{"no namespaceSelector covers all", "-", "", []string{"vote"}, false, "="},
		{"somebody's own selector", "", "env == 'prod'", []string{"vote"}, false, "kubernetes.io/metadata.name == 'vote' || (env == 'prod')"},
		{"somebody's own selector again", "kubernetes.io/metadata.name == 'vote' || (env == 'prod')", "env == 'prod'", []string{"a"}, false, "kubernetes.io/metadata.name in {'a', 'vote'} || (env == 'prod')"},
		{"an or in it", "env == 'a' || env == 'b'", "", []string{"vote"}, false, "kubernetes.io/metadata.name == 'vote' || (env == 'a' || env == 'b')"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			req := DenyRequest{Namespaces: tc.ask, All: tc.all}
			make := func(kind, sel string) *unstructured.Unstructured {
				if sel == "" {
					return nil
				}
				if sel == "-" {
					sel = ""
				}
				return deny(kind, sel)
			}
			req.Staged, req.Enforced = make("Staged"+global, tc.staged), make(global, tc.enforced)
			got, changed, err := DefaultDeny(req)
			if err != nil {
				t.Fatal(err)
			}
			if changed != (tc.want != "=") {
				t.Fatalf("changed is %v", changed)
			}
			if !changed {
				return
			}
			text, _, _ := unstructured.NestedString(got.Object, "spec", "namespaceSelector")
			if text != tc.want {
				t.Errorf("got %s, want %s", text, tc.want)
			}
			if got.GetKind() != "StagedGlobalNetworkPolicy" {
				t.Errorf("got a %s", got.GetKind())
			}
			covers(t, text, tc.staged, tc.enforced, tc.ask)
		})
	}
}

// covers checks by matching that the new selector picks all that the old ones
// and what was asked for picked.
func covers(t *testing.T, text, staged, enforced string, ask []string) {
	t.Helper()
	fresh := selector.MustParse(text)
	for _, name := range []string{"vote", "wordpress", "a", "b", "c", "kube-system", "netpol-system"} {
		for _, env := range []string{"prod", "a", "b", ""} {
			labels := selector.Labels{"kubernetes.io/metadata.name": name, "env": env}
			before := slices.Contains(ask, name)
			for _, old := range []string{staged, enforced} {
				before = before || old != "" && old != "-" && selector.MustParse(old).Matches(labels)
			}
			if before && !fresh.Matches(labels) {
				t.Errorf("%s (env %q) was closed or asked for and is left out by %s", name, env, text)
			}
		}
	}
}

// TestDefaultDenyCoversTheUnion: whatever is staged and enforced and whatever is
// asked for, in whatever order, what is staged then covers all of it.
func TestDefaultDenyCoversTheUnion(t *testing.T) {
	names := []string{"vote", "wordpress", "a", "b", "kube-system", "netpol-system"}
	rapid.Check(t, func(t *rapid.T) {
		var staged, enforced *unstructured.Unstructured
		closed := map[string]bool{}
		for range rapid.IntRange(1, 6).Draw(t, "steps") {
			req := DenyRequest{All: rapid.IntRange(0, 4).Draw(t, "all") == 0, Staged: staged, Enforced: enforced}
			if !req.All {
				req.Namespaces = rapid.SliceOfN(rapid.SampledFrom(names), 1, 3).Draw(t, "ask")
			}
			object, changed, err := DefaultDeny(req)
			if err != nil {
				t.Fatal(err)
			}
			for _, n := range names {
				closed[n] = closed[n] || slices.Contains(req.Namespaces, n) || req.All && !slices.Contains(exempt[:], n)
			}
			if changed {
				staged = object
			}
			text, _, _ := unstructured.NestedString(object.Object, "spec", "namespaceSelector")
			for _, n := range names {
				if got := selector.MustParse(text).Matches(selector.Labels{nameLabel: n}); got != closed[n] {
					t.Fatalf("%s is %v in %s, want %v", n, got, text, closed[n])
				}
			}
			if staged != nil && rapid.Bool().Draw(t, "enforce") {
				edits, err := Enforce(staged, enforced)
				if err != nil {
					t.Fatal(err)
				}
				enforced, staged = edits[0].Object, nil
			}
		}
	})
}

// TestStageAndEnforceTwo walks the way of two namespaces, one after the other:
// the first is selected by what is enforced at every moment.
func TestStageAndEnforceTwo(t *testing.T) {
	var enforced *unstructured.Unstructured
	var closed []string
	for _, ns := range []string{"vote", "wordpress"} {
		staged, _, err := DefaultDeny(DenyRequest{Namespaces: []string{ns}, Enforced: enforced})
		if err != nil {
			t.Fatal(err)
		}
		edits, err := Enforce(staged, enforced)
		if err != nil {
			t.Fatal(err)
		}
		closed = append(closed, ns)
		for _, e := range edits {
			if e.Object != nil {
				enforced = e.Object
			}
			text, _, _ := unstructured.NestedString(enforced.Object, "spec", "namespaceSelector")
			for _, c := range closed {
				if !selector.MustParse(text).Matches(selector.Labels{"kubernetes.io/metadata.name": c}) {
					t.Errorf("%s is open with %s", c, text)
				}
			}
		}
	}
}

func TestDefaultDenyRefusesWhatIsNone(t *testing.T) {
	for name, change := range map[string]func(spec map[string]any){
		"selects some pods":   func(spec map[string]any) { spec["selector"] = "app == 'x'" },
		"ingress only":        func(spec map[string]any) { spec["types"] = []any{"Ingress"} },
		"ingress by default":  func(spec map[string]any) { delete(spec, "types") },
		"a selector in error": func(spec map[string]any) { spec["selector"] = "app ==" },
	} {
		t.Run(name, func(t *testing.T) {
			old := deny("GlobalNetworkPolicy", "kubernetes.io/metadata.name == 'a'")
			change(old.Object["spec"].(map[string]any))
			_, _, err := DefaultDeny(DenyRequest{Namespaces: []string{"b"}, Enforced: old})
			if err == nil {
				t.Fatal("extended")
			}
			if name != "a selector in error" && !errors.Is(err, ErrNotDefaultDeny) {
				t.Error(err)
			}
		})
	}
}

func TestS27Enforce(t *testing.T) {
	staged := `
apiVersion: projectcalico.org/v3
kind: StagedNetworkPolicy
metadata:
  name: db
  namespace: vote
  uid: 1234
  resourceVersion: "7"
  labels: {team: a}
  annotations: {kubectl.kubernetes.io/last-applied-configuration: "{}"}
spec: {stagedAction: ACTION, tier: platform, selector: app == 'db'}
`
	enforced := object(t, `
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: db, namespace: vote, resourceVersion: "42", labels: {keep: me, team: z}}
spec: {order: 5, selector: all()}
`)
	key := policy.Key{Kind: policy.KindNetworkPolicy, Namespace: "vote", Name: "db"}
	twin, _ := Twin(key)
	with := func(action string) *unstructured.Unstructured {
		u := object(t, staged)
		u.Object["spec"].(map[string]any)["stagedAction"] = action
		return u
	}
	for _, action := range []string{"Set", "Learn"} {
		edits, err := Enforce(with(action), enforced)
		if err != nil || len(edits) != 2 || edits[1].Delete != twin || edits[1].Object != nil {
			t.Fatal(edits, err)
		}
		want := object(t, `
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: db, namespace: vote, resourceVersion: "42", labels: {team: a, keep: me}}
spec: {tier: platform, selector: app == 'db'}
`)
		if d := cmp.Diff(want.Object, edits[0].Object.Object); d != "" {
			t.Error(d)
		}
	}
	edits, err := Enforce(with("Delete"), enforced)
	if want := []Edit{{Delete: key}, {Delete: twin}}; err != nil || !cmp.Equal(want, edits) {
		t.Error(edits, err)
	}
	if _, err := Enforce(with("Delete"), nil); !errors.Is(err, ErrNothingToDelete) {
		t.Error(err)
	}
	if _, err := Enforce(with("Ignore"), enforced); !errors.Is(err, ErrIgnored) {
		t.Error(err)
	}
}

func TestStage(t *testing.T) {
	enforced := deny("GlobalNetworkPolicy", "all()")
	got, err := Stage(enforced, policy.StagedSet)
	if err != nil {
		t.Fatal(err)
	}
	want := deny("StagedGlobalNetworkPolicy", "all()")
	want.Object["spec"].(map[string]any)["stagedAction"] = "Set"
	if d := cmp.Diff(want.Object, got.Object); d != "" {
		t.Error(d)
	}
	got, err = Stage(enforced, policy.StagedDelete)
	if err != nil {
		t.Fatal(err)
	}
	spec := map[string]any{"stagedAction": "Delete", "tier": "default"}
	if d := cmp.Diff(spec, got.Object["spec"]); d != "" {
		t.Error(d)
	}
	cluster := object(t, "{apiVersion: policy.networking.k8s.io/v1alpha2, kind: ClusterNetworkPolicy, metadata: {name: a}}")
	if _, err := Stage(cluster, policy.StagedSet); !errors.Is(err, ErrNotStageable) {
		t.Error(err)
	}
}

// Kubernetes' own policies have a staged form too, of Calico's API.
func TestStageKubernetes(t *testing.T) {
	kube := object(t, "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: a, namespace: vote}, spec: {podSelector: {}}}")
	staged, err := Stage(kube, policy.StagedSet)
	if err != nil {
		t.Fatal(err)
	}
	want := object(t, "{apiVersion: projectcalico.org/v3, kind: StagedKubernetesNetworkPolicy, metadata: {name: a, namespace: vote}, spec: {podSelector: {}, stagedAction: Set}}")
	if d := cmp.Diff(want.Object, staged.Object); d != "" {
		t.Error(d)
	}
	edits, err := Enforce(staged, nil)
	if err != nil || len(edits) != 2 {
		t.Fatal(edits, err)
	}
	if d := cmp.Diff(kube.Object, edits[0].Object.Object); d != "" {
		t.Error(d)
	}
	key := policy.Key{Kind: policy.KindStagedKubernetesNetworkPolicy, Namespace: "vote", Name: "a"}
	if edits[1].Delete != key {
		t.Error(edits[1])
	}
	gone, _ := Stage(kube, policy.StagedDelete)
	edits, err = Enforce(gone, kube)
	key.Kind = policy.KindKubernetesNetworkPolicy
	if err != nil || edits[0].Delete != key {
		t.Error(edits, err)
	}
}

// Every kind that has a staged form comes back from it as it was, whatever
// criteria its rules have.
func TestS27_StageAndEnforceKeepEveryCriterion(t *testing.T) {
	for name, text := range map[string]string{
		"Kubernetes' own": `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: db, namespace: vote, labels: {a: b}}
spec:
  podSelector: {matchLabels: {app: db}}
  policyTypes: [Ingress]
  ingress:
  - from: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}}]
    ports: [{protocol: SCTP, port: 2905}, {port: 8000, endPort: 8100}]
`,
		"projectcalico.org": `
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: db, namespace: vote, labels: {a: b}}
spec:
  tier: platform
  selector: app == 'db'
  serviceAccountSelector: team == 'vote'
  ingress:
  - {action: Log}
  - {action: Allow, protocol: ICMP, icmp: {type: 8}, source: {serviceAccounts: {names: [robot]}}}
  - {action: Allow, protocol: TCP, ipVersion: 4, destination: {ports: [http, "80:90"]}}
  - {action: Allow, protocol: TCP, http: {methods: [GET], paths: [{exact: /a}]}}
  egress:
  - {action: Allow, destination: {services: {name: cache}}}
`,
		"global": `
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: db, labels: {a: b}}
spec:
  namespaceSelector: has(x)
  egress:
  - {action: Deny, notProtocol: UDP, destination: {namespaceSelector: global(), notSelector: a == 'b'}}
`,
	} {
		t.Run(name, func(t *testing.T) {
			enforced := object(t, text)
			staged, err := Stage(enforced, policy.StagedSet)
			if err != nil {
				t.Fatal(err)
			}
			if staged.GetAPIVersion() != APIVersion || !policy.Kind(staged.GetKind()).Staged() {
				t.Errorf("staged as %s %s", staged.GetAPIVersion(), staged.GetKind())
			}
			edits, err := Enforce(staged, enforced)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(enforced.Object, edits[0].Object.Object); d != "" {
				t.Errorf("it is not what it was:\n%s", d)
			}
			if edits[1].Delete != keyOf(staged) {
				t.Errorf("deletes %s", edits[1].Delete)
			}
			gone, err := Stage(enforced, policy.StagedDelete)
			if err != nil {
				t.Fatal(err)
			}
			edits, err = Enforce(gone, enforced)
			if want := keyOf(enforced); err != nil || edits[0].Delete.Name != want.Name || edits[0].Delete.Kind != kindOf(enforced) {
				t.Errorf("a deletion: %+v, %v", edits, err)
			}
		})
	}
}
