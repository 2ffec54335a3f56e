package policy_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"

	"github.com/netpol-project/netpol/internal/kubetest"
	"github.com/netpol-project/netpol/internal/prove"
	"github.com/netpol-project/netpol/pkg/policy"
)

// Every bad document of the other tests is refused by the API server as well,
// with the same words where docs/CRDS.md says so.
func TestClusterRefusesWhatValidateRefuses(t *testing.T) {
	client, table := served(t), coverage(t)
	all := slices.Concat(wrongDocuments, moreWrongDocuments())
	for _, w := range wrongSpecs {
		all = append(all, wrong{name: w.name, doc: v3("NetworkPolicy", w.doc)}, wrong{name: w.name + " (staged)", doc: v3("StagedNetworkPolicy", w.doc)})
	}
	seen := map[string]bool{}
	for _, w := range all {
		doc := staged(w.doc)
		if !strings.Contains(doc, "projectcalico.org/v3") {
			continue
		}
		t.Run(w.name, func(t *testing.T) { judge(t, client, table, doc, seen) })
	}
	for code, what := range table {
		if what == "same" && !seen[code] {
			t.Errorf("docs/CRDS.md says that %s is refused in the same words, but no document shows it", code)
		}
	}
}

func judge(t *testing.T, client *dynamic.DynamicClient, table map[string]string, doc string, seen map[string]bool) {
	_, faults := policy.Decode("f.yaml", []byte(doc))
	faults = faults.Errors()
	if len(faults) == 0 {
		t.Fatalf("no faults in:\n%s", doc)
	}
	if _, err := policy.ReadObject([]byte(doc)); err != nil {
		t.Skip("no JSON can hold it")
	}
	said := map[string]bool{}
	for _, f := range faults {
		if strings.HasPrefix(f.Value, ".") && f.Code == policy.CodeOutOfBounds {
			t.Skip("no JSON can hold it")
		}
		said[means(table, f)] = true
	}
	_, err := try(t, client, doc)
	switch {
	case !said["same"] && !said["own"]:
		if err != nil {
			t.Errorf("docs/CRDS.md says that it is accepted: %v", err)
		}
		return
	case err == nil:
		t.Errorf("the API server takes what validate refuses:\n%v\n%s", faults, doc)
		return
	case said["own"]:
		return
	}
	found := false
	for _, f := range faults {
		if strings.Contains(err.Error(), f.Reason) {
			found = true
			seen[f.Code] = true
		}
	}
	if !found {
		t.Errorf("refused in other words: %v\nvalidate says: %v", err, faults)
	}
}

// What is right is accepted and comes back as it was sent.
func TestClusterTakesWhatValidateTakes(t *testing.T) {
	client := served(t)
	docs := slices.Clone(written)
	for _, spec := range []string{
		"{podSelector: {matchLabels: {a: b, x.example/y: ''}, matchExpressions: [{key: c, operator: NotIn, values: [x]}, {key: d, operator: DoesNotExist}]}}",
		"{podSelector: {}, policyTypes: [Egress], stagedAction: Ignore}", "{stagedAction: Delete}", "{stagedAction: Delete, podSelector: {}}",
		"{podSelector: {}, ingress: [{}, {from: [{podSelector: {}}, {namespaceSelector: {}}, {namespaceSelector: {matchLabels: {a: b}}, podSelector: {matchExpressions: [{key: e, operator: In, values: [x, y]}]}}, {ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}}], ports: [{port: 80}, {port: web}, {port: 1, endPort: 9, protocol: UDP}, {protocol: SCTP}]}], egress: [{to: [{podSelector: {matchLabels: {a: b}}}]}]}",
	} {
		docs = append(docs, "apiVersion: projectcalico.org/v3\nkind: StagedKubernetesNetworkPolicy\nmetadata: {name: p, namespace: vote}\nspec: "+spec+"\n")
	}
	for _, spec := range []string{
		"selector: \"a == 'global()' && global == 'x'\"",
		"ingress: [{action: Allow, protocol: tcp, destination: {ports: [80, '1:2', '80', http, Web_2.x], notPorts: [1]}}]",
		"ingress: [{action: Allow, protocol: TCP, http: {methods: [GET, '*'], paths: [{exact: /a}, {prefix: /}]}}]",
		"ingress: [{action: Deny, protocol: ICMP, icmp: {type: 8}, notICMP: {type: 3, code: 4}}, {action: Deny, protocol: 58, icmp: {}}]",
		"ingress: [{action: Deny, source: {nets: [10.0.0.1, 10.0.0.0/8], notNets: [10.1.0.0/16]}}, {action: Deny, source: {nets: ['2001:db8::/32', '::1']}}]",
		"egress: [{action: Allow, destination: {services: {name: db, namespace: x}}}, {action: Allow, destination: {namespaceSelector: global(), selector: has(a)}}]",
		"ingress: [{action: Deny, source: {serviceAccounts: {names: [b, a.c]}}, metadata: {annotations: {a: b}}}]",
		"ingress: [{action: Deny, source: {nets: [" + repeat("10.0.0.0/8", 256) + "]}}]",
		"egress: [" + repeat("{action: Deny}", 1024) + "]",
		"performanceHints: [AssumeNeededOnEveryNode]",
		// As much as one object can hold.
		"ingress: [" + repeat("{action: Deny, source: {nets: ["+repeat("10.10.10.0/24", 48)+"]}}", 1024) + "]",
	} {
		docs = append(docs, v3("NetworkPolicy", spec), v3("StagedNetworkPolicy", spec))
	}
	example, err := os.ReadFile("../../examples/tests/policies/vote.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, doc := range strings.Split(string(example), "---\n") {
		if strings.Contains(doc, "projectcalico.org/v3") {
			docs = append(docs, doc)
		}
	}
	for _, doc := range docs {
		takes(t, client, doc)
	}
}

// What netpol does not enforce is told when it is applied, as validate does.
func TestClusterWarnsOfWhatValidateWarnsOf(t *testing.T) {
	client := served(t)
	for _, doc := range []string{
		v3("NetworkPolicy", "ingress: [{action: Allow, protocol: TCP, http: {methods: [GET]}}]"),
		v3("GlobalNetworkPolicy", "doNotTrack: true\napplyOnForward: true"),
		v3("StagedGlobalNetworkPolicy", "preDNAT: true\napplyOnForward: true"),
		v3("NetworkPolicy", "performanceHints: [Quick]"),
		"apiVersion: projectcalico.org/v3\nkind: HostEndpoint\nmetadata: {name: h}\nspec: {node: n, interfaceName: eth0}\n",
	} {
		_, faults := policy.Decode("f.yaml", []byte(doc))
		if len(faults) != 1 || !faults[0].Warning {
			t.Fatalf("%v", faults)
		}
		kubetest.Eventually(t, "a warning of:\n"+doc, func() bool {
			warned.texts = nil
			_, err := try(t, client, doc)
			if err != nil {
				t.Fatal(err)
			}
			return len(warned.texts) == 1 && strings.Contains(warned.texts[0], faults[0].Reason)
		})
	}
}

// So is everything that random worlds are made of.
func TestClusterTakesRandomPolicies(t *testing.T) {
	client := served(t)
	for seed := range 25 {
		world := prove.Worlds().Example(seed)
		for _, doc := range strings.Split(string(world.Manifests()), "---\n") {
			if doc = staged(doc); strings.Contains(doc, "projectcalico.org/v3") {
				takes(t, client, doc)
			}
		}
	}
}

func takes(t *testing.T, client *dynamic.DynamicClient, doc string) {
	t.Helper()
	if _, faults := policy.Decode("f.yaml", []byte(doc)); faults.Err() != nil {
		t.Fatalf("%v in:\n%s", faults, doc)
	}
	got, err := try(t, client, doc)
	if err != nil {
		t.Errorf("%v in:\n%.2000s", err, doc)
		return
	}
	want, _ := policy.ReadObject([]byte(doc))
	spec, _, _ := unstructured.NestedMap(want, "spec")
	same, _, _ := unstructured.NestedMap(got.Object, "spec")
	if diff := cmp.Diff(spec, same); diff != "" {
		t.Errorf("it comes back changed: (-sent +got)\n%s", diff)
	}
}
