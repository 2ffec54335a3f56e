package policy_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/netpol-project/netpol/pkg/policy"
)

// The criteria that netpol does not judge yet are refused by name and place,
// and no policy opens because of them: an Allow with one matches nothing, a
// Deny with one loses that criterion only (S4).

// refused is a criterion in a rule of the direction given; the fault must be
// at the field and say what can't be judged.
type refused struct {
	direction    policy.Direction
	criterion    string // of a rule, after its action
	field, words string
	deny         policy.Rule // what becomes of a Deny with it
}

func (c refused) check(t *testing.T) {
	t.Helper()
	list := [...]string{"ingress", "egress"}[c.direction]
	field := "spec." + list + "[0]." + c.field
	for action, want := range map[string]policy.Rule{"Allow": {Action: policy.Allow, Source: never}, "Deny": c.deny} {
		spec := fmt.Sprintf("%s:\n- {action: %s, %s}", list, action, c.criterion)
		res, faults := policy.Decode("f.yaml", []byte(v3("GlobalNetworkPolicy", spec)))
		if len(faults) != 1 || !faults[0].Unsupported || faults[0].Field != field || faults[0].Origin.Line != 6 ||
			!strings.Contains(faults.Error(), c.words) {
			t.Errorf("%s: want one fault at %s about %s, got %v", spec, field, c.words, faults)
			continue
		}
		want.Action = policy.Allow
		if action == "Deny" {
			want.Action = policy.Deny
		}
		got := res[0].Value.(*policy.Policy).Rules[c.direction]
		if diff := cmp.Diff([]policy.Rule{want}, got, alike); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", spec, diff)
		}
	}
}

// refusedKind is a whole resource; nothing is read from it.
func refusedKind(t *testing.T, apiVersion, kind, spec string) {
	t.Helper()
	doc := fmt.Sprintf("apiVersion: %s\nkind: %s\nmetadata: {name: a}\nspec: %s\n", apiVersion, kind, spec)
	res, faults := policy.Decode("f.yaml", []byte(doc))
	if len(faults) != 1 || !faults[0].Unsupported || !strings.Contains(faults.Error(), "f.yaml:2:7") || !strings.Contains(faults.Error(), kind) {
		t.Errorf("%s: want one fault at f.yaml:2:7, got %v", kind, faults)
	}
	if len(res) != 1 || res[0].Value != nil {
		t.Errorf("%s: something was read: %v", kind, res)
	}
}

func TestS18_NetworkSetsAreRefused(t *testing.T) {
	for _, kind := range []string{"NetworkSet", "GlobalNetworkSet"} {
		refusedKind(t, "projectcalico.org/v3", kind, "{nets: [192.0.2.0/24]}")
	}
}

func TestS19_ServiceAccountsAreRefused(t *testing.T) {
	for _, accounts := range []string{"{names: [robot]}", "{selector: has(a)}"} {
		refused{policy.Ingress, "source: {serviceAccounts: " + accounts + "}", "source.serviceAccounts", "service accounts",
			policy.Rule{}}.check(t)
	}
	refused{policy.Egress, "protocol: UDP, destination: {serviceAccounts: {names: [robot]}}", "destination.serviceAccounts", "service accounts",
		policy.Rule{Protocol: policy.UDP}}.check(t)
}

func TestS20_ServicesAreRefused(t *testing.T) {
	refused{policy.Egress, "destination: {services: {name: db}}", "destination.services", "services", policy.Rule{}}.check(t)
	refused{policy.Ingress, "protocol: TCP, source: {services: {name: db, namespace: b}}", "source.services", "services",
		policy.Rule{Protocol: policy.TCP}}.check(t)
}

func TestS21_NamedPortsAreRefused(t *testing.T) {
	refused{policy.Ingress, "protocol: TCP, destination: {ports: [80, http]}", "destination.ports[1]", "by name",
		policy.Rule{Protocol: policy.TCP}}.check(t)
	refused{policy.Egress, "protocol: UDP, destination: {notPorts: [dns]}", "destination.notPorts[0]", "by name",
		policy.Rule{Protocol: policy.UDP}}.check(t)
}

func TestS22_ICMPTypesAndSourcePortsAreRefused(t *testing.T) {
	refused{policy.Ingress, "protocol: ICMP, icmp: {type: 8, code: 0}", "icmp", "ICMP type", policy.Rule{Protocol: policy.ICMP}}.check(t)
	refused{policy.Ingress, "protocol: ICMPv6, notICMP: {type: 128}", "notICMP", "ICMP type", policy.Rule{Protocol: policy.ICMPv6}}.check(t)
	refused{policy.Ingress, "protocol: TCP, source: {ports: [80]}", "source.ports", "source ports", policy.Rule{Protocol: policy.TCP}}.check(t)
	refused{policy.Egress, "protocol: UDP, source: {notPorts: [53]}", "source.notPorts", "source ports", policy.Rule{Protocol: policy.UDP}}.check(t)
}

// S24: an Allow with HTTP does not widen to its protocol and ports.
func TestS24_HTTPIsRefused(t *testing.T) {
	refused{policy.Ingress, "protocol: TCP, destination: {ports: [80]}, http: {methods: [GET], paths: [{prefix: /}]}", "http", "HTTP",
		policy.Rule{Protocol: policy.TCP, Destination: policy.Entity{Ports: []policy.PortRange{{Min: 80, Max: 80}}}}}.check(t)
}

func TestS30_HostEndpointsAreRefused(t *testing.T) {
	refusedKind(t, "projectcalico.org/v3", "HostEndpoint", "{node: n, interfaceName: eth0}")
	for _, field := range []string{"applyOnForward", "preDNAT", "doNotTrack"} {
		doc := v3("GlobalNetworkPolicy", field+": true\ntypes: [Ingress]\ningress: [{action: Allow}]")
		res, faults := policy.Decode("f.yaml", []byte(doc))
		if len(faults) != 1 || !faults[0].Unsupported || faults[0].Field != "spec."+field {
			t.Errorf("%s: %v", field, faults)
			continue
		}
		got := res[0].Value.(*policy.Policy).Rules[policy.Ingress]
		if diff := cmp.Diff([]policy.Rule{{Action: policy.Allow, Source: never}}, got, alike); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", field, diff)
		}
	}
}

// Resources that other enforcers know are refused, too.
func TestClusterNetworkPoliciesAreRefused(t *testing.T) {
	refusedKind(t, "policy.networking.k8s.io/v1alpha2", "ClusterNetworkPolicy", "{tier: Admin, priority: 1}")
	refusedKind(t, "policy.networking.k8s.io/v1alpha1", "AdminNetworkPolicy", "{priority: 1}")
	refusedKind(t, "projectcalico.org/v3", "StagedKubernetesNetworkPolicy", "{podSelector: {}}")
}
