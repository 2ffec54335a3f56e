package admission_test

import (
	"context"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/yaml"

	"github.com/netpol-project/netpol/internal/install/admission"
	"github.com/netpol-project/netpol/internal/kubetest"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/stage"
)

const agentName = "system:serviceaccount:netpol-system:netpol-agent"

// agentRole is what manifests/10-agent-rbac.yaml grants to write.
const agentRole = `apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: trial-agent}
rules:
- {apiGroups: [networking.k8s.io], resources: [networkpolicies], verbs: [get, delete, patch, update]}
- {apiGroups: [projectcalico.org], resources: [globalnetworkpolicies, networkpolicies], verbs: [get, delete, patch, update]}
- {apiGroups: [projectcalico.org], resources: [tier.globalnetworkpolicies, tier.networkpolicies], verbs: [delete, update]}
- {apiGroups: [projectcalico.org], resources: [tiers], verbs: [get]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: trial-agent}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: trial-agent}
subjects: [{kind: ServiceAccount, namespace: netpol-system, name: netpol-agent}]
`

// trialKind is one kind of policy that can be on trial.
type trialKind struct {
	resource schema.GroupVersionResource
	before   string // the policy that is enforced
	other    string // a spec that nobody enforced
	staged   string // what is to be on trial
	absent   string // the same under a name that nobody has
}

var trialKinds = map[string]trialKind{
	"v3": {
		resource("networkpolicies"),
		`{apiVersion: projectcalico.org/v3, kind: NetworkPolicy, metadata: {name: db, namespace: vote, labels: {team: data}, annotations: {owner: mia}}, spec: {tier: security, order: 20.5, selector: "app in {'db', \"x\"}", serviceAccountSelector: has(a), types: [Ingress], ingress: [{action: Allow, protocol: TCP, metadata: {annotations: {why: "größer <than> & \"that\""}}, source: {nets: [10.0.0.0/8, 192.0.2.0/24]}, destination: {ports: [80, "8000:8080", web]}}, {action: Log}]}}`,
		`{tier: security, selector: all()}`,
		`{apiVersion: projectcalico.org/v3, kind: StagedNetworkPolicy, metadata: {name: db, namespace: vote}, spec: {stagedAction: Set, tier: security, order: 7, selector: app == 'db', types: [Ingress]}}`,
		`{apiVersion: projectcalico.org/v3, kind: StagedNetworkPolicy, metadata: {name: fresh, namespace: vote}, spec: {stagedAction: Set, selector: app == 'db'}}`,
	},
	"global": {
		resource("globalnetworkpolicies"),
		`{apiVersion: projectcalico.org/v3, kind: GlobalNetworkPolicy, metadata: {name: db}, spec: {order: 1000000, namespaceSelector: all(), types: [Ingress, Egress], egress: [{action: Allow, icmp: {type: 8, code: 0}, protocol: ICMP}]}}`,
		`{selector: all()}`,
		`{apiVersion: projectcalico.org/v3, kind: StagedGlobalNetworkPolicy, metadata: {name: db}, spec: {stagedAction: Set, order: 7, selector: app == 'db', types: [Ingress]}}`,
		`{apiVersion: projectcalico.org/v3, kind: StagedGlobalNetworkPolicy, metadata: {name: fresh}, spec: {stagedAction: Set, selector: app == 'db'}}`,
	},
	"kubernetes": {
		schema.GroupVersionResource{Group: "networking.k8s.io", Version: "v1", Resource: "networkpolicies"},
		`{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: db, namespace: vote}, spec: {podSelector: {matchLabels: {app: db}, matchExpressions: [{key: a, operator: In, values: [b, c]}]}, policyTypes: [Ingress], ingress: [{from: [{podSelector: {}}, {ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}}], ports: [{port: 80, endPort: 90, protocol: TCP}, {port: web, protocol: TCP}]}]}}`,
		`{podSelector: {}}`,
		`{apiVersion: projectcalico.org/v3, kind: StagedKubernetesNetworkPolicy, metadata: {name: db, namespace: vote}, spec: {stagedAction: Set, podSelector: {matchLabels: {app: db}}, policyTypes: [Ingress]}}`,
		`{apiVersion: projectcalico.org/v3, kind: StagedKubernetesNetworkPolicy, metadata: {name: fresh, namespace: vote}, spec: {stagedAction: Set, podSelector: {matchLabels: {app: db}}, policyTypes: [Ingress]}}`,
	},
}

// trialWorld is the API with one kind of policies in it, by who asks.
type trialWorld struct {
	t            *testing.T
	kind         trialKind
	admin, agent dynamic.ResourceInterface
}

func (w *trialWorld) in(client dynamic.Interface) dynamic.ResourceInterface {
	if w.kind.resource.Resource == "globalnetworkpolicies" {
		return client.Resource(w.kind.resource)
	}
	return client.Resource(w.kind.resource).Namespace("vote")
}

func (w *trialWorld) object(text string) *unstructured.Unstructured {
	w.t.Helper()
	u := &unstructured.Unstructured{}
	data, err := yaml.YAMLToJSON([]byte(text))
	if err == nil {
		err = u.UnmarshalJSON(data)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return u
}

// trial is what netpol enforce --confirm-within writes over what is there.
func (w *trialWorld) trial(staged string, live *unstructured.Unstructured) *unstructured.Unstructured {
	w.t.Helper()
	edits, err := stage.Enforce(w.object(staged), live)
	if err == nil {
		edits, err = stage.OnTrial(edits, live, stage.TrialRequest{Within: 300e9, Now: metav1.Now().Time})
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return edits[0].Object
}

// begin puts the policy that there is on trial and returns it as the server has it.
func (w *trialWorld) begin() *unstructured.Unstructured {
	w.t.Helper()
	ctx := context.Background()
	_ = w.admin.Delete(ctx, "db", metav1.DeleteOptions{})
	live, err := w.admin.Create(ctx, w.object(w.kind.before), metav1.CreateOptions{})
	if err == nil {
		live, err = w.admin.Update(ctx, w.trial(w.kind.staged, live), metav1.UpdateOptions{})
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return live
}

// back is what an agent writes.
func (w *trialWorld) back(live *unstructured.Unstructured) *unstructured.Unstructured {
	w.t.Helper()
	id, _ := stage.TrialIDOf(stage.TrialOf(live))
	edit, err := stage.TakeBack(live, id, stage.Revert{Reason: stage.RevertDeadline})
	if err != nil {
		w.t.Fatal(err)
	}
	return edit.Object
}

func (w *trialWorld) refused(what, words string, err error) {
	w.t.Helper()
	if !refuses(err) || !strings.Contains(err.Error(), words) {
		w.t.Errorf("%s: %v, want it to be refused: %s", what, err, words)
	}
}

// refuses says whether an admission policy refused.
func refuses(err error) bool {
	return err != nil && strings.Contains(err.Error(), "ValidatingAdmissionPolicy") && (apierrors.IsForbidden(err) || apierrors.IsInvalid(err))
}

func (w *trialWorld) allowed(what string, err error) {
	w.t.Helper()
	if err != nil {
		w.t.Errorf("%s: %v", what, err)
	}
}

// edited is a copy with some changes.
func edited(u *unstructured.Unstructured, change func(u *unstructured.Unstructured, notes map[string]string)) *unstructured.Unstructured {
	u = u.DeepCopy()
	notes := u.GetAnnotations()
	if notes == nil {
		notes = map[string]string{}
	}
	change(u, notes)
	u.SetAnnotations(notes)
	return u
}

// What is on trial carries what was enforced, and nothing else; an agent may put
// that back, and do nothing else.
func TestClusterTrials(t *testing.T) {
	plane := defined(t)
	manifests := []string{agentRole}
	for _, u := range admission.Guards() {
		b, err := yaml.Marshal(u.Object)
		if err != nil {
			t.Fatal(err)
		}
		manifests = append(manifests, string(b))
	}
	plane.Apply(t, manifests...)
	config := plane.Admin()
	config.Impersonate.UserName = agentName
	config.Impersonate.Groups = []string{"system:serviceaccounts", "system:serviceaccounts:netpol-system", "system:authenticated"}
	agent, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	for name, kind := range trialKinds {
		t.Run(name, func(t *testing.T) {
			w := &trialWorld{t: t, kind: kind}
			w.admin, w.agent = w.in(plane.Dynamic(t)), w.in(agent)
			defer func() { _ = w.admin.Delete(context.Background(), "db", metav1.DeleteOptions{}) }()
			kubetest.Eventually(t, "the policies are in force", func() bool {
				u := edited(w.trial(kind.absent, nil), func(_ *unstructured.Unstructured, n map[string]string) { n[policy.NotePrevious] = "{}" })
				_, err := w.admin.Create(context.Background(), u, metav1.CreateOptions{DryRun: []string{"All"}})
				return refuses(err)
			})
			w.begin()
			kubetest.Eventually(t, "agents are held", func() bool {
				_, err := w.agent.Patch(context.Background(), "db", types.MergePatchType, []byte(`{"metadata":{"labels":{"a":"b"}}}`), metav1.PatchOptions{DryRun: []string{"All"}})
				return refuses(err)
			})
			w.truth()
			w.agentAlone()
		})
	}
}

// truth: previous is what was enforced.
func (w *trialWorld) truth() {
	ctx, dry := context.Background(), metav1.UpdateOptions{DryRun: []string{"All"}}
	create := func(u *unstructured.Unstructured) error {
		_, err := w.admin.Create(ctx, u, metav1.CreateOptions{DryRun: []string{"All"}})
		return err
	}
	update := func(u *unstructured.Unstructured) error {
		_, err := w.admin.Update(ctx, u, dry)
		return err
	}
	other, err := yaml.YAMLToJSON([]byte(w.kind.other))
	if err != nil {
		w.t.Fatal(err)
	}
	const words = "must be the spec that the policy has until now"
	fresh := w.trial(w.kind.absent, nil)
	w.allowed("a new one", create(fresh))
	w.refused("a new one that had rules", words, create(edited(fresh, func(_ *unstructured.Unstructured, n map[string]string) { n[policy.NotePrevious] = string(other) })))
	live := w.begin()
	w.allowed("a label while it is on trial", update(edited(live, func(u *unstructured.Unstructured, _ map[string]string) { u.SetLabels(map[string]string{"a": "b"}) })))
	w.allowed("enforced again over the trial", update(w.trial(w.kind.staged, live)))
	w.allowed("confirmed", update(edited(live, func(_ *unstructured.Unstructured, n map[string]string) {
		delete(n, policy.NotePrevious)
		delete(n, policy.NoteConfirmBy)
		delete(n, policy.NoteConfirmWithin)
	})))
	w.refused("other rules before", words, update(edited(live, func(_ *unstructured.Unstructured, n map[string]string) { n[policy.NotePrevious] = string(other) })))
	// Who may not delete a policy can't have that done.
	w.refused("nothing before", words, update(edited(live, func(_ *unstructured.Unstructured, n map[string]string) { n[policy.NotePrevious] = "null" })))
	if w.kind.resource.Resource == "networkpolicies" && w.kind.resource.Group == "projectcalico.org" {
		w.refused("moved to another tier", "can't come from another tier", update(edited(live, func(u *unstructured.Unstructured, _ map[string]string) {
			_ = unstructured.SetNestedField(u.Object, "platform", "spec", "tier")
		})))
	}
}

// agentAlone: an agent may take a trial back, and nothing else.
func (w *trialWorld) agentAlone() {
	ctx := context.Background()
	try := func(u *unstructured.Unstructured) error {
		_, err := w.agent.Update(ctx, u, metav1.UpdateOptions{DryRun: []string{"All"}})
		return err
	}
	live := w.begin()
	back := w.back(live)
	for what, change := range map[string]func(u *unstructured.Unstructured, notes map[string]string){
		"another spec": func(u *unstructured.Unstructured, _ map[string]string) {
			other := w.object("{apiVersion: v1, kind: X, spec: " + w.kind.other + "}")
			u.Object["spec"] = other.Object["spec"]
		},
		"a label":     func(u *unstructured.Unstructured, _ map[string]string) { u.SetLabels(map[string]string{"a": "b"}) },
		"a finalizer": func(u *unstructured.Unstructured, _ map[string]string) { u.SetFinalizers([]string{"a.example/b"}) },
		"an owner": func(u *unstructured.Unstructured, _ map[string]string) {
			u.SetOwnerReferences([]metav1.OwnerReference{{APIVersion: "v1", Kind: "Pod", Name: "a", UID: "b"}})
		},
		"an annotation": func(_ *unstructured.Unstructured, n map[string]string) { n["a"] = "b" },
		"the trial stays": func(_ *unstructured.Unstructured, n map[string]string) {
			n[policy.NotePrevious] = live.GetAnnotations()[policy.NotePrevious]
		},
		"the trial lasts longer": func(_ *unstructured.Unstructured, n map[string]string) {
			n[policy.NoteConfirmBy] = "2100-01-01T00:00:00Z"
		},
		"an annotation of others": func(_ *unstructured.Unstructured, n map[string]string) { delete(n, "owner"); n["owner2"] = "x" },
	} {
		w.refused("agent: "+what, agentName+" may", try(edited(back, change)))
	}
	w.refused("agent deletes what was there before", agentName+" may", w.agent.Delete(ctx, "db", metav1.DeleteOptions{}))
	_, err := w.agent.Update(ctx, back, metav1.UpdateOptions{})
	w.allowed("agent takes it back", err)
	// It is on trial no more.
	now, err := w.admin.Get(ctx, "db", metav1.GetOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	w.refused("agent changes what is not on trial", agentName+" may", try(edited(now, func(u *unstructured.Unstructured, _ map[string]string) { u.SetLabels(map[string]string{"a": "b"}) })))
	w.refused("agent deletes what is not on trial", agentName+" may", w.agent.Delete(ctx, "db", metav1.DeleteOptions{}))
	fresh := w.trial(w.kind.absent, nil)
	if _, err := w.agent.Create(ctx, fresh, metav1.CreateOptions{}); !apierrors.IsForbidden(err) {
		w.t.Errorf("agent creates one: %v", err)
	}
	_, err = w.admin.Create(ctx, fresh, metav1.CreateOptions{})
	w.allowed("a new one on trial", err)
	w.allowed("agent takes a new one back", w.agent.Delete(ctx, fresh.GetName(), metav1.DeleteOptions{}))
}
