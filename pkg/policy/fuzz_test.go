package policy_test

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/policy/selector"
)

// seeds are documents of all kinds, right and wrong.
func seeds() []string {
	out := append([]string{podYAML(1), "a: [", "", "kind: List\napiVersion: v1\nitems: [{a: b}]"}, written...)
	for _, w := range wrongSpecs {
		out = append(out, v3("NetworkPolicy", w.doc))
	}
	for _, w := range wrongDocuments {
		out = append(out, w.doc)
	}
	for i, spec := range kindSpecs {
		out = append(out, kindDoc(uint8(i), spec))
	}
	var short []string
	for _, s := range out {
		if len(s) < 1500 {
			short = append(short, s)
		}
	}
	return short
}

// kindHeads are the kinds, as documents without their specs.
var kindHeads = []string{
	"projectcalico.org/v3\nkind: NetworkPolicy", "projectcalico.org/v3\nkind: GlobalNetworkPolicy",
	"projectcalico.org/v3\nkind: StagedNetworkPolicy", "projectcalico.org/v3\nkind: StagedGlobalNetworkPolicy",
	"projectcalico.org/v3\nkind: StagedKubernetesNetworkPolicy", "networking.k8s.io/v1\nkind: NetworkPolicy",
	"policy.networking.k8s.io/v1alpha2\nkind: ClusterNetworkPolicy", "projectcalico.org/v3\nkind: Tier",
	"projectcalico.org/v3\nkind: NetworkSet", "projectcalico.org/v3\nkind: GlobalNetworkSet", "projectcalico.org/v3\nkind: HostEndpoint",
	"v1\nkind: Service", "v1\nkind: Pod", "apps/v1\nkind: Deployment", "crd.projectcalico.org/v1\nkind: GlobalNetworkPolicy",
}

// kindSpecs are specs for kindHeads.
var kindSpecs = []string{
	"{ingress: [{action: Allow, protocol: ICMP, icmp: {type: 8}, source: {serviceAccounts: {names: [a]}}}]}",
	"{preDNAT: true, applyOnForward: true, serviceAccountSelector: has(a), ingress: [{action: Log, notProtocol: 4}]}",
	"{egress: [{action: Pass, protocol: TCP, destination: {services: {name: a}}, source: {notPorts: [a, '1:2']}}]}",
	"{stagedAction: Learn, namespaceSelector: a in {'b'}}",
	"{podSelector: {matchExpressions: [{key: a, operator: NotIn, values: [b]}]}, ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}}], ports: [{port: a}]}]}",
	"{podSelector: {}, policyTypes: [Egress], egress: [{to: [{namespaceSelector: {}}], ports: [{port: 1, endPort: 2, protocol: UDP}]}]}",
	"{tier: Admin, priority: 1, subject: {namespaces: {}}, egress: [{action: Accept, to: [{networks: [10.0.0.0/8, 'fd00::/8']}], protocols: [{tcp: {destinationPort: {range: {start: 1, end: 2}}}}]}]}",
	"{order: 5, defaultAction: Pass}", "{nets: [10.0.0.1, 'fd00::/8']}", "{nets: []}",
	"{node: a, interfaceName: '*', expectedIPs: [10.0.0.1], ports: [{name: a, protocol: TCP, port: 1}]}",
	"{clusterIPs: [10.0.0.1], ports: [{port: 1, targetPort: a}], selector: {a: b}}",
	"{hostNetwork: false, containers: [{ports: [{containerPort: 1, name: a}]}]}",
	"{replicas: 0, template: {metadata: {labels: {a: b}}}}", "{ingress: [{action: Allow, http: {methods: [GET], paths: [{prefix: /}]}}]}",
}

func kindDoc(kind uint8, spec string) string {
	return "apiVersion: " + kindHeads[int(kind)%len(kindHeads)] + "\nmetadata: {name: a}\nspec: " + spec + "\n"
}

// Whatever is read, the reader does not panic, faults have a place and a code,
// and what is right can be written and read again.
func FuzzDecode(f *testing.F) {
	for _, s := range seeds() {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, doc string) { checkDecode(t, doc) })
}

// FuzzDecodeKind keeps to one document and changes its spec.
func FuzzDecodeKind(f *testing.F) {
	for i, s := range kindSpecs {
		f.Add(uint8(i), s)
	}
	f.Fuzz(func(t *testing.T, kind uint8, spec string) { checkDecode(t, kindDoc(kind, spec)) })
}

// FuzzDecodeJSON holds JSON, read as a file and as an object from memory, to
// one meaning.
func FuzzDecodeJSON(f *testing.F) {
	for _, s := range seeds() {
		if js, err := yaml.YAMLToJSON([]byte(s)); err == nil {
			f.Add(string(js))
		}
	}
	f.Fuzz(func(t *testing.T, doc string) {
		res, faults := checkDecode(t, doc)
		var u unstructured.Unstructured
		if json.Unmarshal([]byte(doc), &u.Object) == nil {
			sameObject(t, &u, res, faults)
		}
	})
}

// sameObject holds an object to the resource that was read from its file.
func sameObject(t *testing.T, u *unstructured.Unstructured, res []policy.Resource, faults policy.Faults) {
	t.Helper()
	if len(res) != 1 || len(faults) > 0 || u.Object["items"] != nil {
		return
	}
	again, faults := policy.ValidateObject(u)
	if len(faults) > 0 {
		t.Fatalf("in memory: %v", faults)
	}
	if p, ok := res[0].Value.(*policy.Policy); ok {
		samePolicy(t, p, again.(*policy.Policy))
	}
}

func checkDecode(t *testing.T, doc string) ([]policy.Resource, policy.Faults) {
	t.Helper()
	res, faults := policy.Decode("f", []byte(doc))
	for _, fault := range faults {
		if fault.Origin.Line < 1 || fault.Origin.Column < 1 || fault.Reason == "" || fault.Code == "" {
			t.Fatalf("a fault without a place or code: %#v", fault)
		}
	}
	policy.NewSnapshot(1, res, nil)
	if m, err := policy.ReadObject([]byte(doc)); err == nil && m != nil {
		sameObject(t, &unstructured.Unstructured{Object: m}, res, faults)
	}
	for i := range res {
		switch v := res[i].Value.(type) {
		case nil:
			unknown := slices.ContainsFunc(faults, func(f policy.Fault) bool { return f.Code == policy.CodeUnknownKind })
			if k := res[i].Key.Kind; !unknown && (k == policy.KindNetworkPolicy || k == policy.KindGlobalNetworkPolicy || k == policy.KindKubernetesNetworkPolicy || k == policy.KindClusterNetworkPolicy) {
				t.Fatalf("an enforced policy vanishes: %s: %v", res[i].Key, faults)
			}
		case *policy.Policy:
			if faults.Err() == nil {
				roundTrip(t, v)
			}
		case *policy.NetworkSet:
			if faults.Err() == nil {
				u := policy.NetworkSetObject(v)
				again, faults := policy.ValidateObject(u)
				if diff := cmp.Diff(v, again, alike, cmpopts.IgnoreFields(policy.NetworkSet{}, "Origin"), cmpopts.EquateEmpty()); diff != "" || len(faults) > 0 {
					t.Fatalf("%v (-want +got)\n%s", faults, diff)
				}
			}
		}
	}
	return res, faults
}

// roundTrip writes a policy and reads it again. Kubernetes' policies become v3
// ones, whose bounds they may exceed.
func roundTrip(t *testing.T, p *policy.Policy) {
	t.Helper()
	want := *p
	switch p.Kind {
	case policy.KindKubernetesNetworkPolicy:
		want.Kind = policy.KindNetworkPolicy
	case policy.KindClusterNetworkPolicy:
		want.Kind = policy.KindGlobalNetworkPolicy
		if want.Types == [2]bool{} {
			want.Types[policy.Ingress] = true // no rules there, and the tier passes
		}
	}
	if want.Kind != p.Kind && exceeds(p) {
		return
	}
	again, faults := policy.ValidateObject(policy.ToObject(p))
	if faults.Err() != nil {
		t.Fatalf("written and read again: %v\n%v", faults, policy.ToObject(p))
	}
	samePolicy(t, &want, again.(*policy.Policy))
}

func exceeds(p *policy.Policy) bool {
	long := func(list ...*selector.Selector) bool {
		for _, s := range list {
			if len(s.String()) > selector.MaxLength {
				return true
			}
		}
		return false
	}
	for _, rules := range p.Rules {
		if len(rules) > 1024 {
			return true
		}
		for i := range rules {
			for _, e := range []*policy.Entity{&rules[i].Source, &rules[i].Destination} {
				if len(e.NotNets) > 256 || len(e.Ports)+len(e.NamedPorts) > 50 || long(e.Selector, e.NamespaceSelector) {
					return true
				}
			}
		}
	}
	return long(p.Selector, p.NamespaceSelector)
}

func samePolicy(t *testing.T, want, got *policy.Policy) {
	t.Helper()
	if diff := cmp.Diff(want, got, alike, cmpopts.IgnoreFields(policy.Policy{}, "Origin"), cmpopts.EquateEmpty()); diff != "" {
		t.Fatalf("(-want +got)\n%s", diff)
	}
}
