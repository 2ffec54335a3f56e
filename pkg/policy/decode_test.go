package policy_test

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/policy/selector"
)

// selectors are compared by what they say.
var alike = cmp.Options{
	cmp.Comparer(func(a, b *selector.Selector) bool { return (a == nil) == (b == nil) && a.String() == b.String() }),
	cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
	cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
}

// decodeOne decodes a document that is right.
func decodeOne[T any](t *testing.T, doc string) *T {
	t.Helper()
	res, faults := policy.Decode("f.yaml", []byte(doc))
	if len(faults) > 0 {
		t.Fatalf("faults:\n%v\nin:\n%s", faults, doc)
	}
	if len(res) != 1 {
		t.Fatalf("%d resources", len(res))
	}
	v, ok := res[0].Value.(*T)
	if !ok {
		t.Fatalf("got a %T", res[0].Value)
	}
	return v
}

// v3 wraps a policy's spec into a document; the spec begins in line 5.
func v3(kind, spec string) string {
	meta := "{name: p, namespace: vote}"
	if strings.Contains(kind, "Global") {
		meta = "{name: p}"
	}
	return "apiVersion: projectcalico.org/v3\nkind: " + kind + "\nmetadata: " + meta + "\nspec:\n" + indent(spec)
}

func indent(s string) string {
	return "  " + strings.ReplaceAll(strings.TrimSuffix(s, "\n"), "\n", "\n  ") + "\n"
}

func prefixes(list ...string) (out []netip.Prefix) {
	for _, s := range list {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

func TestDecodePolicy(t *testing.T) {
	got := decodeOne[policy.Policy](t, v3("NetworkPolicy", `tier: platform
order: 12.5
selector: app == 'db'
types: [Ingress]
performanceHints: [AssumeNeededOnEveryNode]
ingress:
- action: Allow
  protocol: TCP
  notProtocol: 47
  ipVersion: 4
  metadata: {annotations: {why: because}}
  source:
    selector: app == 'worker'
    notSelector: has(bad)
    namespaceSelector: global()
    nets: [10.0.0.0/8, 10.1.2.3]
    notNets: ["10.1.0.0/16"]
  destination:
    ports: [5432, "80:90", "443"]
    notPorts: [85]
- action: Pass
`))
	want := &policy.Policy{
		Key:  policy.Key{Kind: policy.KindNetworkPolicy, Namespace: "vote", Name: "p"},
		Tier: "platform", Order: 12.5, Types: [2]bool{true, false},
		Selector: selector.Eq("app", "db"),
		Rules: [2][]policy.Rule{{{
			Action: policy.Allow, Protocol: policy.TCP, NotProtocol: 47, IPVersion: 4,
			Source: policy.Entity{
				Selector: selector.Eq("app", "worker"), NotSelector: selector.Has("bad"),
				NamespaceSelector: selector.MustParse("global()"),
				Nets:              prefixes("10.0.0.0/8", "10.1.2.3/32"), NotNets: prefixes("10.1.0.0/16"),
			},
			Destination: policy.Entity{
				Ports:    []policy.PortRange{{Min: 5432, Max: 5432}, {Min: 80, Max: 90}, {Min: 443, Max: 443}},
				NotPorts: []policy.PortRange{{Min: 85, Max: 85}},
			},
		}, {Action: policy.Pass}}},
		Origin: policy.Origin{File: "f.yaml", Line: 1, Column: 1},
	}
	if diff := cmp.Diff(want, got, alike); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestS2_Defaults(t *testing.T) {
	p := decodeOne[policy.Policy](t, v3("StagedGlobalNetworkPolicy", "namespaceSelector: all()"))
	if p.Tier != "default" || p.Order != policy.Unordered || p.Selector != nil || p.StagedAction != policy.StagedSet {
		t.Errorf("%+v", p)
	}
	if !p.NamespaceSelector.All() || p.NamespaceSelector == nil {
		t.Error("a namespaceSelector of all() is not the same as none (S14)")
	}
}

func TestS3_Types(t *testing.T) {
	in, out := "ingress: [{action: Deny}]\n", "egress: [{action: Deny}]\n"
	for _, c := range []struct {
		spec            string
		ingress, egress bool
	}{
		{"order: 1", true, false},
		{in, true, false},
		{out, false, true},
		{in + out, true, true},
		{"types: []\n" + out, false, true},
		{"ingress: []\n" + out, false, true},
		{"egress: []", true, false},
		{"types: [Egress]\n" + in, false, true},
		{"types: [Ingress, Egress]", true, true},
	} {
		p := decodeOne[policy.Policy](t, v3("NetworkPolicy", c.spec))
		if p.Types != [2]bool{c.ingress, c.egress} {
			t.Errorf("%q: %v", c.spec, p.Types)
		}
	}
}

func TestS27_StagedActions(t *testing.T) {
	for in, want := range map[string]policy.StagedAction{
		"stagedAction: Set": policy.StagedSet, "stagedAction: Learn": policy.StagedLearn,
		"stagedAction: Ignore": policy.StagedIgnore, "stagedAction: Delete": policy.StagedDelete,
		"stagedAction: Delete\ntier: x\ntypes: []\nselector: ''": policy.StagedDelete,
	} {
		if p := decodeOne[policy.Policy](t, v3("StagedNetworkPolicy", in)); p.StagedAction != want {
			t.Errorf("%q: %s", in, p.StagedAction)
		}
	}
}

func TestS22_Protocols(t *testing.T) {
	for in, want := range map[string]policy.Protocol{
		"TCP": policy.TCP, "UDP": policy.UDP, "ICMP": policy.ICMP, "ICMPv6": policy.ICMPv6, "SCTP": policy.SCTP,
		"UDPLite": policy.UDPLite, "tcp": policy.TCP, "1": 1, "255": 255, `"17"`: policy.UDP,
	} {
		p := decodeOne[policy.Policy](t, v3("NetworkPolicy", "egress: [{action: Allow, protocol: "+in+"}]"))
		if got := p.Rules[policy.Egress][0].Protocol; got != want {
			t.Errorf("%s: %v", in, got)
		}
	}
}

// Calico's controllers write a status that the types do not have yet.
func TestStatusIsNobodysMistake(t *testing.T) {
	tier := decodeOne[policy.Tier](t, "apiVersion: projectcalico.org/v3\nkind: Tier\nmetadata: {name: a}\nspec: {order: 1}\nstatus: {conditions: [{type: Ready}]}\n")
	if tier.Order != 1 {
		t.Errorf("%+v", tier)
	}
}

func TestS1_Tier(t *testing.T) {
	tier := func(spec string) string {
		return "apiVersion: projectcalico.org/v3\nkind: Tier\nmetadata: {name: platform}\nspec: " + spec
	}
	for spec, want := range map[string]policy.Tier{
		"{order: 5}":                       {Order: 5, DefaultAction: policy.Deny},
		"{}":                               {Order: policy.Unordered, DefaultAction: policy.Deny},
		"{defaultAction: Pass, order: -1}": {Order: -1, DefaultAction: policy.Pass},
		"{defaultAction: Deny}":            {Order: policy.Unordered, DefaultAction: policy.Deny},
	} {
		got := decodeOne[policy.Tier](t, tier(spec))
		if got.Name != "platform" || got.Order != want.Order || got.DefaultAction != want.DefaultAction {
			t.Errorf("%s: %+v", spec, got)
		}
	}
	def := decodeOne[policy.Tier](t, strings.Replace(tier("{}"), "platform", "default", 1))
	if def.Order != 1_000_000 || def.DefaultAction != policy.Deny {
		t.Errorf("default: %+v", def)
	}
	base := decodeOne[policy.Tier](t, strings.Replace(tier("{}"), "platform", "kube-baseline", 1))
	if base.Order != 10_000_000 || base.DefaultAction != policy.Pass {
		t.Errorf("kube-baseline: %+v", base)
	}
}

func TestDecodeSyntaxes(t *testing.T) {
	for name, doc := range map[string]string{
		"block":        "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: a\n  labels:\n    x: \"1\"\n",
		"flow":         "{apiVersion: v1, kind: Namespace, metadata: {name: a, labels: {x: '1'}}}",
		"json":         `{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"a","labels":{"x":"1"}}}`,
		"json, tabs":   "{\n\t\"apiVersion\": \"v1\",\n\t\"kind\": \"Namespace\",\n\t\"metadata\": {\"name\": \"a\", \"labels\": {\"x\": \"1\"}}\n}\n",
		"anchors":      "apiVersion: v1\nkind: Namespace\nmetadata: &m\n  name: a\n  labels: {x: \"1\"}\n  annotations: {}\n",
		"marker":       "# comment\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: a, labels: {x: \"1\"}}\n---\n# end\n",
		"directive":    "%YAML 1.1\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: a, labels: {x: \"1\"}}\n...\n",
		"crlf":         "apiVersion: v1\r\nkind: Namespace\r\nmetadata:\r\n  name: a\r\n  labels: {x: \"1\"}\r\n",
		"bom":          "\ufeffapiVersion: v1\nkind: Namespace\nmetadata: {name: a, labels: {x: \"1\"}}\n",
		"merge key":    "apiVersion: v1\nkind: Namespace\nmetadata:\n  <<: {name: a, labels: {x: \"1\"}}\n",
		"List":         "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Namespace\n  metadata: {name: a, labels: {x: \"1\"}}\n",
		"typed list":   "apiVersion: v1\nkind: NamespaceList\nitems:\n- metadata: {name: a, labels: {x: \"1\"}}\n",
		"JSON of List": `{"apiVersion":"v1","kind":"List","items":[{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"a","labels":{"x":"1"}}}]}`,
	} {
		res, faults := policy.Decode("f", []byte(doc))
		if len(faults) > 0 || len(res) != 1 {
			t.Errorf("%s: %d resources, faults: %v", name, len(res), faults)
			continue
		}
		want := selector.Labels{"x": "1", "projectcalico.org/name": "a", "kubernetes.io/metadata.name": "a"}
		if ns, ok := res[0].Value.(*policy.Namespace); !ok || ns.Name != "a" || !reflect.DeepEqual(ns.Labels, want) {
			t.Errorf("%s: %+v", name, res[0].Value)
		}
	}
}

func TestDecodeManyDocuments(t *testing.T) {
	res, faults := policy.Decode("f.yaml", []byte("\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n--- # next\napiVersion: v1\nkind: Namespace\nmetadata: {name: b}\n...\napiVersion: v1\nkind: Namespace\nmetadata: {name: c}\n"))
	if len(faults) > 0 || len(res) != 3 {
		t.Fatalf("%d resources, faults: %v", len(res), faults)
	}
	for i, want := range []string{"f.yaml:3:1", "f.yaml:7:1", "f.yaml:11:1"} {
		if got := res[i].Origin.String(); got != want {
			t.Errorf("%v: at %s, want %s", res[i].Key, got, want)
		}
	}
}

// A broken document leaves the others of its file readable.
func TestDecodeGoesOnAfterSyntaxErrors(t *testing.T) {
	res, faults := policy.Decode("f.yaml", []byte("a: [\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: b}\n"))
	if len(faults) != 1 || len(res) != 1 || res[0].Key.Name != "b" {
		t.Errorf("%v %v", res, faults)
	}
}

func TestDecodeSyntaxErrors(t *testing.T) {
	for _, c := range []struct{ doc, at, part string }{
		{"a: b\nc: d: e\n", "f:2:5", "mapping values"},
		{"a:\n  - b\n   - c\n d: e\n", "f:4:2", ""},
		{"a:\n\tb: c\n", "f:2:1", ""},
		{"apiVersion: v1\nkind: Pod\nmetadata: {name: a, name: a}\n", "f:3:21", "metadata.name: the field is given twice"},
		{"apiVersion: v1\nkind: List\nitems: []\nitems: []\n", "f:4:1", "items: the field is given twice"},
		{"a:\n  b: 'c\n", "f:2:3", ""},
		{"{\"a\": 1,\n \"b\" 2}\n", "f:2:6", "JSON"},
		{"{\"apiVersion\": \"v1\", \"kind\": \"Pod\",\n \"metadata\": {\"name\": \"a\"}, \"kind\": \"x\"}\n", "f:2:29", "kind: the field is given twice"},
		{"{\"a\": 1} {\n", "f:1:10", "JSON"},
		{"x: y\n---\na: b\nc: *nope\n", "f:4:1", "unknown anchor"},
		{"just text\n", "f:1:1", "expected a resource, got a string"},
		{"- a\n", "f:1:1", "expected a resource, got a list"},
		{"kind: Pod\n", "f:1:1", "apiVersion"},
		{"apiVersion: v1\n", "f:1:1", "kind"},
		{"apiVersion: 1\nkind: Pod\n", "f:1:13", "expected a string"},
		{"? [a]\n: b\n", "f:1:3", "plain string"},
	} {
		_, faults := policy.Decode("f", []byte(c.doc))
		last := len(faults) - 1
		if last < 0 || faults[last].Origin.String() != c.at || !strings.Contains(faults[last].Error(), c.part) {
			t.Errorf("%q: want %s %q, got: %v", c.doc, c.at, c.part, faults)
		}
	}
}

// Aliases that unfold to billions of values, and values nested without end,
// must cost nothing.
func TestDecodeBombs(t *testing.T) {
	bomb := "a: &a [x,x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c < 'k'; c++ {
		bomb += string(c) + ": &" + string(c) + " [" + strings.TrimSuffix(strings.Repeat("*"+string(c-1)+",", 10), ",") + "]\n"
	}
	for _, doc := range []string{bomb, "a: &a [*a]\n", strings.Repeat("[", 5000), strings.Repeat("{\"a\":", 5000), "a: " + strings.Repeat("[", 500) + strings.Repeat("]", 500)} {
		if _, faults := policy.Decode("f", []byte(doc)); len(faults) == 0 {
			t.Errorf("%.30q… was accepted", doc)
		}
	}
}

func TestDecodeOtherKinds(t *testing.T) {
	for doc, want := range map[string]string{
		"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: b}\ndata:\n  x: |\n    y\n": "ConfigMap b/a",
		"apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: a}\n":                     "Ingress.networking.k8s.io a",
		"apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata: {name: a}\n":                   "Service.serving.knative.dev a",
		"apiVersion: projectcalico.org/v3\nkind: IPPool\nmetadata: {name: a}\n":                      "IPPool.projectcalico.org a",
	} {
		res, faults := policy.Decode("f", []byte(doc))
		if len(faults) > 0 || len(res) != 1 || res[0].Value != nil || res[0].Key.String() != want {
			t.Errorf("%q: %v %v", doc, res, faults)
		}
	}
}

func TestDecodeRefusedKinds(t *testing.T) {
	for _, c := range []struct {
		doc, part   string
		unsupported bool
	}{
		{"apiVersion: projectcalico.org/v3\nkind: RemoteCluster\nmetadata: {name: a}\n", "RemoteCluster", true},
		{"apiVersion: projectcalico.org/v3\nkind: NetworkPolcy\nmetadata: {name: a}\n", "did you mean NetworkPolicy?", false},
		{"apiVersion: projectcalico.org/v1\nkind: NetworkPolicy\nmetadata: {name: a}\n", "use projectcalico.org/v3", false},
		{"apiVersion: crd.projectcalico.org/v1\nkind: NetworkPolici\nmetadata: {name: a}\n", "did you mean NetworkPolicy?", false},
		{"apiVersion: crd.projectcalico.org/v2\nkind: NetworkPolicy\nmetadata: {name: a}\n", "use projectcalico.org/v3", false},
		{"apiVersion: policy.networking.k8s.io/v1alpha1\nkind: AdminNetworkPolicy\nmetadata: {name: a}\n", "AdminNetworkPolicy", true},
		{"apiVersion: policy.networking.k8s.io/v1alpha1\nkind: ClusterNetworkPolicy\nmetadata: {name: a}\n", "use policy.networking.k8s.io/v1alpha2", false},
		{"apiVersion: extensions/v1beta1\nkind: NetworkPolicy\nmetadata: {name: a}\n", "networking.k8s.io/v1", true},
		{"apiVersion: networking.k8s.io/v1\nkind: NetworkPolici\nmetadata: {name: a}\n", "did you mean NetworkPolicy?", false},
		{"apiVersion: v2\nkind: Pod\nmetadata: {name: a}\n", "API version", false},
		{"apiVersion: apps/v1beta1\nkind: Deployment\nmetadata: {name: a}\n", "use apps/v1", false},
	} {
		res, faults := policy.Decode("f", []byte(c.doc))
		if len(faults) != 1 || !strings.Contains(faults.Error(), c.part) || faults[0].Unsupported != c.unsupported {
			t.Errorf("%q: %v", c.doc, faults)
		}
		if len(res) == 1 && res[0].Value != nil {
			t.Errorf("%q: value %v", c.doc, res[0].Value)
		}
	}
}
