package policy_test

import (
	"fmt"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/netpol-project/netpol/pkg/policy"
)

// wrong is a document and the faults that it has, each as
// "line:column field value: part of the reason or fix".
type wrong struct {
	name, doc string
	faults    []string
	unsup     bool
}

func repeat(s string, n int) string { return strings.TrimSuffix(strings.Repeat(s+", ", n), ", ") }

// Specs of a v3 NetworkPolicy; its first line is line 5, indented by two.
var wrongSpecs = []wrong{
	{name: "S25 selector", doc: "selector: app = 'db'", faults: []string{"5:13 spec.selector app = 'db': column 5: expected =="}},
	{name: "selector length", doc: "selector: a == '" + strings.Repeat("x", 1020) + "'", faults: []string{"5:13 spec.selector: 1024"}},
	{name: "selector type", doc: "selector: 5", faults: []string{"5:13 spec.selector 5: expected a string, got a number"}},
	{name: "global() as subject", doc: "selector: global()", faults: []string{"5:13 spec.selector global(): namespaceSelector only"}},
	{name: "global() in a rule's selector", doc: "ingress: [{action: Deny, source: {selector: global()}}]", faults: []string{"5:47 spec.ingress[0].source.selector global(): namespaceSelector only"}},
	{name: "global() in part", doc: "ingress: [{action: Deny, source: {namespaceSelector: global() || has(a)}}]", faults: []string{"5:56 spec.ingress[0].source.namespaceSelector: longer selector"}},
	{name: "unknown field", doc: "selectr: app == 'db'", faults: []string{"5:3 spec.selectr: did you mean selector?"}},
	{name: "unknown field in a rule", doc: "ingress:\n- action: Deny\n  sourc: {}", faults: []string{"7:5 spec.ingress[0].sourc: did you mean source?"}},
	{name: "unknown field in an entity", doc: "egress:\n- action: Deny\n  destination:\n    port: [1]", faults: []string{"8:7 spec.egress[0].destination.port: did you mean ports?"}},
	{name: "namespaceSelector of a namespaced policy", doc: "namespaceSelector: all()", faults: []string{"5:3 spec.namespaceSelector: no such field"}},
	{name: "wrong type of list", doc: "ingress: {action: Deny}", faults: []string{"5:12 spec.ingress: expected a list, got a mapping"}},
	{name: "wrong type of spec part", doc: "ingress: [Deny]", faults: []string{"5:13 spec.ingress[0] Deny: expected a mapping, got a string"}},
	{name: "no rule in the place of one", doc: "ingress: [null]\negress:\n-", faults: []string{
		"5:13 spec.ingress[0]: expected a mapping, got null", "7:4 spec.egress[0]: expected a mapping, got null"}},
	{name: "nothing in the place of a name", doc: "ingress: [{action: Deny, source: {serviceAccounts: {names: [null]}}}]", faults: []string{"5:63 spec.ingress[0].source.serviceAccounts.names[0]: expected a string, got null"}},
	{name: "order", doc: "order: '10'", faults: []string{"5:10 spec.order 10: expected a number, got a string"}},
	{name: "order nan", doc: "order: .nan", faults: []string{"5:10 spec.order .nan: finite"}},
	{name: "order inf", doc: "order: .inf", faults: []string{"5:10 spec.order .inf: finite"}},
	{name: "tier name", doc: "tier: My_Tier", faults: []string{"5:9 spec.tier My_Tier: lower-case"}},
	{name: "types unknown", doc: "types: [Ingres]", faults: []string{"5:11 spec.types[0] Ingres: did you mean Ingress?"}},
	{name: "types twice", doc: "types: [Ingress, Ingress]", faults: []string{"5:20 spec.types[1] Ingress: given twice"}},
	{name: "no action", doc: "ingress:\n- protocol: TCP", faults: []string{"6:5 spec.ingress[0].action: must say its action"}},
	{name: "action", doc: "ingress: [{action: allow}]", faults: []string{"5:22 spec.ingress[0].action allow: did you mean Allow?"}},
	{name: "action far off", doc: "ingress: [{action: Reject}]", faults: []string{"5:22 spec.ingress[0].action Reject: use one of Allow, Deny, Pass, Log"}},
	{name: "protocol", doc: "ingress: [{action: Deny, protocol: TPC}]", faults: []string{"5:38 spec.ingress[0].protocol TPC: did you mean TCP?"}},
	{name: "protocol of no type", doc: "ingress: [{action: Allow, protocol: {}}]", faults: []string{"5:39 spec.ingress[0].protocol: 1 to 255"}},
	{name: "protocol number", doc: "ingress: [{action: Deny, protocol: 256}]", faults: []string{"5:38 spec.ingress[0].protocol 256: 1 to 255"}},
	{name: "protocol 0", doc: "ingress: [{action: Deny, notProtocol: 0}]", faults: []string{"5:41 spec.ingress[0].notProtocol 0: 1 to 255"}},
	{name: "ipVersion", doc: "ingress: [{action: Deny, ipVersion: 5}]", faults: []string{"5:39 spec.ingress[0].ipVersion 5: 4 or 6"}},
	{name: "S22 ports without protocol", doc: "ingress: [{action: Deny, destination: {ports: [80]}}]", faults: []string{"5:49 spec.ingress[0].destination.ports 80: add protocol: TCP"}},
	{name: "S22 ports of ICMP", doc: "ingress: [{action: Deny, protocol: ICMP, destination: {notPorts: [80]}}]", faults: []string{"5:68 spec.ingress[0].destination.notPorts 80: this one has ICMP"}},
	{name: "S22 ports of UDPLite", doc: "ingress: [{action: Deny, protocol: UDPLite, destination: {ports: [80]}}]", faults: []string{"5:68 spec.ingress[0].destination.ports 80: UDPLite"}},
	{name: "port out of range", doc: "ingress: [{action: Deny, protocol: TCP, destination: {ports: [0, 65536, '1:70000', -1]}}]", faults: []string{
		"5:65 spec.ingress[0].destination.ports[0] 0: 1 to 65535", "5:68 spec.ingress[0].destination.ports[1] 65536: 1 to 65535",
		"5:75 spec.ingress[0].destination.ports[2] 1:70000: 1 to 65535", "5:86 spec.ingress[0].destination.ports[3] -1: 1 to 65535"}},
	{name: "port range backwards", doc: "ingress: [{action: Deny, protocol: TCP, destination: {ports: ['90:80']}}]", faults: []string{"5:65 spec.ingress[0].destination.ports[0] 90:80: write 80:90"}},
	{name: "port nonsense", doc: "ingress: [{action: Deny, protocol: TCP, destination: {ports: ['80-90']}}]", faults: []string{"5:65 spec.ingress[0].destination.ports[0] 80-90: range like"}},
	{name: "net", doc: "ingress: [{action: Deny, source: {nets: [10.0.0.300/24]}}]", faults: []string{"5:44 spec.ingress[0].source.nets[0] 10.0.0.300/24: is written"}},
	{name: "net not masked", doc: "ingress: [{action: Deny, source: {nets: [10.0.0.1/24, '2001:db8::1/64']}}]", faults: []string{
		"5:44 spec.ingress[0].source.nets[0] 10.0.0.1/24: write 10.0.0.0/24", "5:57 spec.ingress[0].source.nets[1] 2001:db8::1/64: write 2001:db8::/64",
		"5:57 spec.ingress[0].source.nets[1] 2001:db8::1/64: all IPv4 or all IPv6"}},
	{name: "S23 mixed families", doc: "ingress: [{action: Deny, source: {nets: [10.0.0.0/24]}, destination: {notNets: ['2001:db8::/64']}}]", faults: []string{"5:83 spec.ingress[0].destination.notNets[0] 2001:db8::/64: all IPv4 or all IPv6"}},
	{name: "S23 other family than ipVersion", doc: "ingress: [{action: Deny, ipVersion: 6, source: {nets: [10.0.0.0/24]}}]", faults: []string{"5:58 spec.ingress[0].source.nets[0] 10.0.0.0/24: ipVersion 6"}},
	{name: "catch-all in notNets", doc: "ingress: [{action: Deny, source: {notNets: [0.0.0.0/0]}}]", faults: []string{"5:47 spec.ingress[0].source.notNets[0] 0.0.0.0/0: nothing is outside"}},
	{name: "257 nets", doc: "ingress: [{action: Deny, source: {nets: [" + repeat("10.0.0.0/8", 257) + "]}}]", faults: []string{"5:43 spec.ingress[0].source.nets 257: more than 256 nets"}},
	{name: "51 ports", doc: "ingress: [{action: Deny, protocol: TCP, destination: {ports: [" + repeat("1", 51) + "]}}]", faults: []string{"5:64 spec.ingress[0].destination.ports 51: more than 50 ports"}},
	{name: "1025 rules", doc: "egress: [" + repeat("{action: Deny}", 1025) + "]", faults: []string{"5:11 spec.egress 1025: more than 1024 rules"}},
	{name: "S20 services in the wrong direction", doc: "ingress: [{action: Deny, destination: {services: {name: x}}}]\negress: [{action: Deny, source: {services: {name: x}}}]", faults: []string{
		"5:52 spec.ingress[0].destination.services: for egress rules", "6:46 spec.egress[0].source.services: for ingress rules"}},
	{name: "all at once", doc: "order: x\nselector: '('\ningress:\n- action: Alow\n  protocol: TCPP\n- action: Deny\n  source: {nets: [x]}", faults: []string{
		"5:10 spec.order x: number", "6:13 spec.selector (: column 2", "8:13 spec.ingress[0].action Alow: Allow", "9:15 spec.ingress[0].protocol TCPP: TCP", "11:21 spec.ingress[1].source.nets[0] x: written"}},

	{name: "S14 serviceAccountSelector", doc: "serviceAccountSelector: a =", faults: []string{"5:27 spec.serviceAccountSelector a =: expected"}},
	{name: "S19 serviceAccounts", doc: "ingress: [{action: Deny, source: {serviceAccounts: {names: [A_b], selector: '('}}}]", faults: []string{
		"5:63 spec.ingress[0].source.serviceAccounts.names[0] A_b: lower-case", "5:79 spec.ingress[0].source.serviceAccounts.selector (: column 2"}},
	{name: "S19 nothing", doc: "ingress: [{action: Deny, source: {serviceAccounts: {}}}]", faults: []string{"5:54 spec.ingress[0].source.serviceAccounts: selector: all()"}},
	{name: "S20 services without a name", doc: "egress: [{action: Deny, destination: {services: {namespace: a}}}]", faults: []string{"5:51 spec.egress[0].destination.services: name of a Service"}},
	{name: "S20 services and others", doc: "egress: [{action: Deny, protocol: TCP, destination: {services: {name: a}, selector: has(x), ports: [80, http]}}]", faults: []string{
		"5:87 spec.egress[0].destination.selector has(x): together with services", "5:102 spec.egress[0].destination.ports 80, http: together with services"}},
	{name: "S21 too many names", doc: "ingress: [{action: Deny, protocol: TCP, source: {ports: [" + repeat("http", 51) + "]}}]", faults: []string{"5:59 spec.ingress[0].source.ports 51: more than 50 ports"}},
	{name: "S22 source ports without protocol", doc: "ingress: [{action: Deny, source: {notPorts: [80]}}]", faults: []string{"5:47 spec.ingress[0].source.notPorts 80: add protocol: TCP"}},
	{name: "S22 ICMP type", doc: "ingress: [{action: Deny, protocol: ICMP, icmp: {type: 255, code: 256}}]", faults: []string{
		"5:57 spec.ingress[0].icmp.type 255: 0 to 254", "5:68 spec.ingress[0].icmp.code 256: 0 to 255"}},
	{name: "S22 ICMP code alone", doc: "ingress: [{action: Deny, protocol: ICMP, icmp: {code: 1}}]", faults: []string{"5:57 spec.ingress[0].icmp.code 1: needs a type"}},
	{name: "S22 notICMP of UDP", doc: "ingress: [{action: Deny, protocol: UDP, notICMP: {type: 8}}]", faults: []string{"5:52 spec.ingress[0].notICMP: this one has UDP"}},
	{name: "S22 icmp alone", doc: "ingress: [{action: Deny, icmp: {type: 8}}]", faults: []string{"5:34 spec.ingress[0].icmp: add protocol: ICMP"}},
	{name: "S24 http of a Deny", doc: "ingress: [{action: Deny, protocol: TCP, http: {methods: [GET]}}]", faults: []string{"5:49 spec.ingress[0].http: action Allow"}},
	{name: "S24 http for egress", doc: "egress: [{action: Allow, protocol: TCP, http: {methods: [GET]}}]", faults: []string{"5:49 spec.egress[0].http: ingress"}},
	{name: "S24 http of UDP", doc: "ingress: [{action: Allow, protocol: UDP, http: {methods: [GET]}}]", faults: []string{"5:50 spec.ingress[0].http: TCP"}},
	{name: "S24 http values", doc: "ingress: [{action: Allow, http: {methods: [get], paths: [{}, {exact: /, prefix: /}, {exact: a}]}}]", faults: []string{
		"5:46 spec.ingress[0].http.methods[0] get: did you mean GET?", "5:60 spec.ingress[0].http.paths[0]: exact or prefix",
		"5:64 spec.ingress[0].http.paths[1]: not both", "5:95 spec.ingress[0].http.paths[2].exact a: begins with /"}},
}

// Whole documents.
var wrongDocuments = []wrong{
	{name: "no name", doc: "apiVersion: projectcalico.org/v3\nkind: NetworkPolicy\nmetadata: {namespace: a}\n", faults: []string{"3:11 metadata.name: has no name"}},
	{name: "no metadata", doc: "apiVersion: v1\nkind: Pod\nspec: {}\n", faults: []string{"1:1 metadata: no metadata"}},
	{name: "name", doc: "apiVersion: v1\nkind: Pod\nmetadata: {name: My_Pod}\n", faults: []string{"3:18 metadata.name My_Pod: lower-case"}},
	{name: "name of 254", doc: "apiVersion: v1\nkind: Pod\nmetadata: {name: " + strings.Repeat("a", 254) + "}\n", faults: []string{"3:18 metadata.name: 253"}},
	{name: "namespace name", doc: "apiVersion: v1\nkind: Pod\nmetadata: {name: a, namespace: a.b}\n", faults: []string{"3:32 metadata.namespace a.b: letters, digits and -"}},
	{name: "namespace of a global kind", doc: "apiVersion: projectcalico.org/v3\nkind: GlobalNetworkPolicy\nmetadata: {name: a, namespace: b}\n", faults: []string{"3:32 metadata.namespace b: belongs to no namespace"}},
	{name: "unknown top field", doc: "apiVersion: projectcalico.org/v3\nkind: Tier\nmetadata: {name: a}\nspek: {}\n", faults: []string{"4:1 spek: did you mean spec?"}},
	{name: "unknown metadata field", doc: "apiVersion: projectcalico.org/v3\nkind: Tier\nmetadata: {name: a, lables: {}}\n", faults: []string{"3:21 metadata.lables: did you mean labels?"}},
	{name: "label type", doc: "apiVersion: v1\nkind: Pod\nmetadata:\n  name: a\n  labels:\n    app.kubernetes.io/v: 1\n    b: true\n", faults: []string{
		"6:26 metadata.labels[app.kubernetes.io/v] 1: put it in quotes: \"1\"", "7:8 metadata.labels.b true: put it in quotes"}},
	{name: "tier action", doc: "apiVersion: projectcalico.org/v3\nkind: Tier\nmetadata: {name: a}\nspec: {defaultAction: Allow}\n", faults: []string{"4:23 spec.defaultAction Allow: Deny or Pass"}},
	{name: "S1 default tier moved", doc: "apiVersion: projectcalico.org/v3\nkind: Tier\nmetadata: {name: default}\nspec: {order: 5, defaultAction: Pass}\n", faults: []string{
		"4:15 spec.order 5: write 1000000", "4:33 spec.defaultAction Pass: write Deny"}},
	{name: "S30 host endpoint flags", doc: "apiVersion: projectcalico.org/v3\nkind: GlobalNetworkPolicy\nmetadata: {name: a}\nspec: {doNotTrack: true, preDNAT: false}\n", faults: []string{
		"4:20 spec.doNotTrack true: add applyOnForward"}},
	{name: "S20 service of a global policy", doc: v3("GlobalNetworkPolicy", "ingress: [{action: Deny, source: {services: {name: a}}}]"), faults: []string{"5:47 spec.ingress[0].source.services: add services.namespace"}},
	{name: "staged action", doc: "apiVersion: projectcalico.org/v3\nkind: StagedNetworkPolicy\nmetadata: {name: a}\nspec: {stagedAction: Sett}\n", faults: []string{"4:22 spec.stagedAction Sett: did you mean Set?"}},
	{name: "staged Delete with a spec", doc: "apiVersion: projectcalico.org/v3\nkind: StagedNetworkPolicy\nmetadata: {name: a}\nspec: {stagedAction: Delete, tier: a, order: 1, selector: all()}\n", faults: []string{
		"4:46 spec.order 1: remove order", "4:59 spec.selector all(): remove selector"}},
	{name: "pod address", doc: "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nstatus: {podIP: 10.0.0.256}\n", faults: []string{"4:17 status.podIP 10.0.0.256: IP address"}},
	{name: "container port", doc: "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: [{ports: [{containerPort: 99999}]}]}\n", faults: []string{"4:46 spec.containers[0].ports[0].containerPort 99999: 65535"}},
	{name: "replicas", doc: "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec: {replicas: many}\n", faults: []string{"4:18 spec.replicas many: 0 or more"}},
	{name: "JSON", doc: "{\"apiVersion\": \"projectcalico.org/v3\",\n \"kind\": \"Tier\", \"metadata\": {\"name\": \"a\"},\n \"spec\": {\"order\": \"x\"}}\n", faults: []string{"3:20 spec.order x: number"}},

	{name: "S4 port name", doc: kubernetes("ingress: [{ports: [{port: Http}, {port: a-name-too-long--}]}]"), faults: []string{
		"6:29 spec.ingress[0].ports[0].port Http: lower-case", "6:43 spec.ingress[0].ports[1].port a-name-too-long--: 15"}},
	{name: "S4 endPort of a name", doc: kubernetes("ingress: [{ports: [{port: web, endPort: 5}]}]"), faults: []string{"6:43 spec.ingress[0].ports[0].endPort 5: by name"}},
	{name: "S4 endPort alone", doc: kubernetes("ingress: [{ports: [{endPort: 5}]}]"), faults: []string{"6:32 spec.ingress[0].ports[0].endPort 5: needs port"}},
	{name: "S4 endPort before port", doc: kubernetes("ingress: [{ports: [{port: 9, endPort: 5}]}]"), faults: []string{"6:41 spec.ingress[0].ports[0].endPort 5: ends before"}},
	{name: "S4 protocol", doc: kubernetes("ingress: [{ports: [{port: 9, protocol: ICMP}]}]"), faults: []string{"6:42 spec.ingress[0].ports[0].protocol ICMP: TCP, UDP and SCTP"}},
	{name: "S4 protocol in other letters", doc: kubernetes("ingress: [{ports: [{port: 9, protocol: udp}]}]"), faults: []string{"6:42 spec.ingress[0].ports[0].protocol udp: did you mean UDP?"}},
	{name: "S4 protocol by number", doc: kubernetes("ingress: [{ports: [{port: 9, protocol: '6'}]}]"), faults: []string{"6:42 spec.ingress[0].ports[0].protocol 6: TCP, UDP and SCTP"}},
	{name: "S4 port in quotes", doc: kubernetes("ingress: [{ports: [{port: '80'}]}]"), faults: []string{"6:29 spec.ingress[0].ports[0].port 80: write port: 80"}},
	{name: "S4 port range as v3 has it", doc: kubernetes("ingress: [{ports: [{port: '80:90'}]}]"), faults: []string{"6:29 spec.ingress[0].ports[0].port 80:90: write port: 80 and endPort: 90"}},
	{name: "S4 IPv4 net in IPv6 form", doc: kubernetes("ingress: [{from: [{ipBlock: {cidr: '::ffff:10.0.0.0/104'}}]}]"), faults: []string{"6:38 spec.ingress[0].from[0].ipBlock.cidr ::ffff:10.0.0.0/104: in IPv4 form"}},
	{name: "S4 nothing in the place of rule and peer", doc: kubernetes("ingress: [null, {from: [null]}]"), faults: []string{
		"6:13 spec.ingress[0]: expected a mapping, got null", "6:27 spec.ingress[1].from[0]: expected a mapping, got null"}},
	{name: "S4 empty peer", doc: kubernetes("ingress: [{from: [{}]}]"), faults: []string{"6:21 spec.ingress[0].from[0]: must have"}},
	{name: "S4 two kinds of peer", doc: kubernetes("ingress: [{from: [{podSelector: {}, ipBlock: {cidr: 10.0.0.0/8}}]}]"), faults: []string{"6:48 spec.ingress[0].from[0].ipBlock: not both"}},
	{name: "S4 exception outside", doc: kubernetes("egress: [{to: [{ipBlock: {cidr: 10.0.0.0/8, except: [11.0.0.0/16]}}]}]"), faults: []string{"6:56 spec.egress[0].to[0].ipBlock.except[0] 11.0.0.0/16: part of the net"}},
	{name: "S4 operator", doc: kubernetes("ingress: [{from: [{podSelector: {matchExpressions: [{key: a, operator: Is}]}}]}]"), faults: []string{
		"6:74 spec.ingress[0].from[0].podSelector.matchExpressions[0].operator Is: did you mean In?"}},
	{name: "S4 In without values", doc: kubernetes("ingress: [{from: [{podSelector: {matchExpressions: [{key: a, operator: In}]}}]}]"), faults: []string{"6:74 spec.ingress[0].from[0].podSelector.matchExpressions[0].operator In: needs values"}},
	{name: "S4 unknown field", doc: kubernetes("ingress: [{form: []}]"), faults: []string{"6:14 spec.ingress[0].form: did you mean from?"}},
	{name: "S4 v3 fields in a Kubernetes policy", doc: kubernetes("types: [Ingress]\ningress: [{source: {}}]"), faults: []string{
		"6:3 spec.types: has policyTypes instead", "7:14 spec.ingress[0].source: has from instead"}},
	{name: "Kubernetes fields in a v3 policy", doc: v3("NetworkPolicy", "podSelector: {}\negress: [{action: Deny, to: []}]"), faults: []string{
		"5:3 spec.podSelector: has selector instead", "6:27 spec.egress[0].to: has destination instead"}},
	{name: "a global policy's field", doc: v3("NetworkPolicy", "namespaceSelector: all()"), faults: []string{"5:3 spec.namespaceSelector: only a GlobalNetworkPolicy"}},
	{name: "S4 policy type", doc: kubernetes("policyTypes: [Egres]"), faults: []string{"6:17 spec.policyTypes[0] Egres: did you mean Egress?"}},
}

// kubernetes is a Kubernetes NetworkPolicy; the spec given begins in line 6.
func kubernetes(spec string) string {
	return "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p, namespace: vote}\nspec:\n  podSelector: {}\n" + indent(spec)
}

func TestFaults(t *testing.T) {
	all := wrongDocuments
	for _, w := range wrongSpecs {
		w.doc = v3("NetworkPolicy", w.doc)
		all = append(all, w)
	}
	for _, w := range all {
		t.Run(w.name, func(t *testing.T) {
			_, faults := policy.Decode("f.yaml", []byte(w.doc))
			checkFaults(t, w, faults)
			checkObjectFaults(t, w, faults)
		})
	}
}

func checkFaults(t *testing.T, w wrong, faults policy.Faults) {
	t.Helper()
	if len(faults) != len(w.faults) {
		t.Errorf("want %d faults, got:\n%v\nin:\n%s", len(w.faults), faults, w.doc)
		return
	}
	for i, want := range w.faults {
		f := faults[i]
		head, part, _ := strings.Cut(want, ": ")
		got := fmt.Sprintf("%d:%d %s", f.Origin.Line, f.Origin.Column, f.Field)
		if strings.Count(head, " ") > 1 || strings.HasPrefix(head, got+" ") {
			got += " " + f.Value
		}
		if got != head || !strings.Contains(f.Error(), part) || f.Unsupported != w.unsup || f.Origin.File != "f.yaml" {
			t.Errorf("want %s, got: %v", want, f)
		}
	}
}

// What was made in memory is judged by the same rules.
func checkObjectFaults(t *testing.T, w wrong, faults policy.Faults) {
	t.Helper()
	var u unstructured.Unstructured
	if yaml.Unmarshal([]byte(w.doc), &u.Object) != nil {
		return // nothing that an object could hold (.nan)
	}
	_, again := policy.ValidateObject(&u)
	if len(again) != len(faults) {
		t.Errorf("in memory %d faults, in a file %d:\n%v", len(again), len(faults), again)
	}
	for _, f := range again {
		if f.Origin != (policy.Origin{}) || f.Key != faults[0].Key {
			t.Errorf("in memory: %+v", f)
		}
	}
}

func TestBoundsAreInclusive(t *testing.T) {
	for _, spec := range []string{
		"ingress: [{action: Deny, source: {nets: [" + repeat("10.0.0.0/8", 256) + "]}}]",
		"ingress: [{action: Deny, protocol: TCP, destination: {ports: [" + repeat("1", 50) + "], notPorts: [" + repeat("65535", 50) + "]}}]",
		"egress: [" + repeat("{action: Deny}", 1024) + "]",
		"selector: a == '" + strings.Repeat("x", 1017) + "'",
	} {
		decodeOne[policy.Policy](t, v3("NetworkPolicy", spec))
	}
	decodeOne[policy.Endpoint](t, "apiVersion: v1\nkind: Pod\nmetadata: {name: "+strings.Repeat("a", 253)+"}\n")
}

// Unknown fields of kinds that are not ours to judge are none of our business.
func TestUnknownFieldsOfCoreKinds(t *testing.T) {
	decodeOne[policy.Endpoint](t, "apiVersion: v1\nkind: Pod\nmetadata: {name: a, newField: 1}\nspec: {newField: {a: 1}, containers: [{x: y}]}\nanother: 1\n")
}
