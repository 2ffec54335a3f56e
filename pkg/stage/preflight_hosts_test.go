package stage

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
)

func hostEndpoint(node, profiles string) string {
	return fmt.Sprintf(`{apiVersion: projectcalico.org/v3, kind: HostEndpoint, metadata: {name: %s-eth0, labels: {role: node, node: %s}}, spec: {node: %s, interfaceName: eth0, profiles: [%s]}}`,
		node, node, node, profiles)
}

func globalPolicy(kind, name, spec string) string {
	return fmt.Sprintf(`{apiVersion: projectcalico.org/v3, kind: %s, metadata: {name: %s}, spec: {%s}}`, kind, name, spec)
}

func stagedGlobal(spec string) string { return globalPolicy("StagedGlobalNetworkPolicy", "g", spec) }

func hostFlow(source, destination flow.Peer, port uint16) flow.Flow {
	return flow.Flow{Key: flow.Key{Source: source, Destination: destination, Protocol: policy.TCP, Port: port}, Connections: 3}
}

func nodePeer(name string) flow.Peer {
	return flow.Peer{Kind: flow.PeerHost, Workload: policy.Workload{Name: name}}
}

func podPeer(ns, name string) flow.Peer {
	return flow.Peer{Kind: flow.PeerWorkload, Workload: policy.Workload{Namespace: ns, Name: name, Kind: policy.KindPod}}
}

const (
	openProfile = "projectcalico-default-allow"
	hostsIn     = "selector: has(role), types: [Ingress], ingress: [{action: Allow, protocol: SCTP}]"
	hostsOut    = "selector: has(role), types: [Egress], egress: [{action: Allow, protocol: SCTP}]"
	toKubelet   = "hosts refuses: n2 → n1 TCP/10250 (API server to kubelet: logs, exec): add to ingress of host endpoint n1-eth0"
	ruleKubelet = ": {action: Allow, protocol: TCP, source: {nets: [10.0.0.12/32]}, destination: {ports: [10250]}}"
	toMetrics   = "hosts refuses: ops/metrics-server → n1 TCP/10250 (metrics of kubelet on n1): add to ingress of host endpoint n1-eth0"
	ruleMetrics = ": {action: Allow, protocol: TCP, source: {namespaceSelector: \"projectcalico.org/name == 'ops'\", selector: \"app == 'metrics-server'\"}, destination: {ports: [10250]}}"
	toHook      = "hosts refuses: n2 → ops/hook TCP/8443 (ValidatingWebhookConfiguration checks): add to egress of host endpoint n2-eth0: {action: Allow, protocol: TCP, destination: {namespaceSelector: \"projectcalico.org/name == 'ops'\", selector: \"app == 'hook'\", ports: [8443]}}"
)

// What policies for host endpoints would cut of what nodes need, by S9, S12, S14
// and S30; the rules that are named are enough.
func TestS30_PreflightJudgesHostEndpoints(t *testing.T) {
	n1, n2 := hostEndpoint("n1", openProfile), hostEndpoint("n2", openProfile)
	at443 := `{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: more, namespace: default, labels: {kubernetes.io/service-name: kubernetes}},
 addressType: IPv4, endpoints: [{addresses: [10.0.0.12]}], ports: [{name: https, protocol: TCP, port: 443}]}`
	open := globalPolicy("GlobalNetworkPolicy", "open", "selector: has(role), ingress: [{action: Allow, protocol: TCP}]")
	for name, tc := range map[string]struct {
		world []string
		flows []flow.Flow
		calls []Call
		want  []string
	}{
		"kubelets are not reached any more": {[]string{n1, n2, stagedGlobal(hostsIn)}, nil, nil, []string{toKubelet + ruleKubelet, toMetrics + ruleMetrics}},
		"by a rule that denies": {[]string{n1, stagedGlobal("selector: has(role), order: 20, types: [Ingress], ingress: [{action: Deny, protocol: TCP}, {action: Allow}]")}, nil, nil, []string{
			toKubelet + ", before rule 0 of StagedGlobalNetworkPolicy g" + ruleKubelet, toMetrics + ", before rule 0 of StagedGlobalNetworkPolicy g" + ruleMetrics,
		}},
		"what it allows is no problem":                          {[]string{n1, n2, stagedGlobal("selector: has(role), ingress: [{action: Allow, protocol: TCP, destination: {ports: [10250]}}]")}, nil, nil, nil},
		"a rule may pick the host endpoint as its destination":  {[]string{n1, stagedGlobal("selector: has(role), ingress: [{action: Allow, protocol: TCP, destination: {selector: node == 'n1', ports: [10250]}}]")}, nil, nil, nil},
		"a host endpoint is in no namespace":                    {[]string{n1, stagedGlobal("selector: has(role), ingress: [{action: Allow, protocol: TCP, destination: {namespaceSelector: all(), ports: [10250]}}]")}, nil, nil, []string{toKubelet + ruleKubelet, toMetrics + ruleMetrics}},
		"the API server at 6443, and a node's DNS are failsafe": {[]string{n1, stagedGlobal(hostsOut)}, nil, nil, nil},
		"the API server at 443 is not": {[]string{n1, at443, stagedGlobal(hostsOut)}, nil, nil, []string{
			"hosts refuses: n1 → n2 TCP/443 (kubelet to API server): add to egress of host endpoint n1-eth0: {action: Allow, protocol: TCP, destination: {nets: [10.0.0.12/32], ports: [443]}}",
		}},
		"nor at its own end": {[]string{n2, at443, stagedGlobal(hostsIn)}, nil, nil, []string{
			"hosts refuses: n1 → n2 TCP/443 (kubelet to API server): add to ingress of host endpoint n2-eth0: {action: Allow, protocol: TCP, source: {nets: [10.0.0.11/32]}, destination: {ports: [443]}}",
			"hosts refuses: vote/robot → n2 TCP/443 (service account robot): add to ingress of host endpoint n2-eth0: {action: Allow, protocol: TCP, source: {namespaceSelector: \"projectcalico.org/name == 'vote'\", selector: \"app == 'robot'\"}, destination: {ports: [443]}}",
		}},
		"webhooks are called from the API server's node":                            {[]string{n2, stagedGlobal("selector: has(role), types: [Egress], egress: [{action: Allow, protocol: TCP, destination: {ports: [10250]}}]")}, nil, hookCalls, []string{toHook}},
		"without policy and profile nothing but failsafes is open: nothing is lost": {[]string{hostEndpoint("n1", ""), stagedGlobal(hostsIn)}, nil, hookCalls, nil},
		"the policy that opens it is deleted": {[]string{hostEndpoint("n1", ""), open, globalPolicy("StagedGlobalNetworkPolicy", "open", "stagedAction: Delete")}, nil, nil, []string{
			toKubelet + ruleKubelet, toMetrics + ruleMetrics,
		}},
		"a policy for pods selects no host": {[]string{n1, stagedGlobal("selector: has(role), namespaceSelector: all(), types: [Ingress, Egress]")}, nil, hookCalls, nil},
		"seen: from a node to a pod elsewhere": {[]string{n2, stagedGlobal(hostsOut)}, []flow.Flow{hostFlow(nodePeer("n2"), podPeer("vote", "web"), 80)}, nil, []string{
			"hosts refuses: n2 → n1 TCP/10250 (API server to kubelet: logs, exec): add to egress of host endpoint n2-eth0: {action: Allow, protocol: TCP, destination: {nets: [10.0.0.11/32], ports: [10250]}}",
			"hosts refuses: n2 → vote/web TCP/80 (traffic that was seen): add to egress of host endpoint n2-eth0: {action: Allow, protocol: TCP, destination: {namespaceSelector: \"projectcalico.org/name == 'vote'\", selector: \"app == 'web'\", ports: [80]}}",
		}},
		"seen: from a node to its own pod, which is always allowed": {[]string{n1, stagedGlobal(hostsOut)}, []flow.Flow{hostFlow(nodePeer("n1"), podPeer("vote", "web"), 80)}, nil, nil},
		"seen: from outside to a node": {[]string{n2, stagedGlobal(hostsIn)}, []flow.Flow{
			hostFlow(flow.Peer{Kind: flow.PeerNetwork, Addr: netOf(Peer{Address: "203.0.113.7"}).Addr()}, nodePeer("n2"), 9100),
			hostFlow(flow.Peer{Kind: flow.PeerNetwork, Addr: netOf(Peer{Address: "203.0.113.7"}).Addr()}, nodePeer("n2"), 22), // a failsafe
		}, nil, []string{
			"hosts refuses: 203.0.113.7 → n2 TCP/9100 (traffic that was seen): add to ingress of host endpoint n2-eth0: {action: Allow, protocol: TCP, source: {nets: [203.0.113.7/32]}, destination: {ports: [9100]}}",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			m := preflightWorld(t, tc.world...)
			facts := Facts{Flows: tc.flows, Calls: tc.calls, Hosts: true}
			got := hostsTold(Preflight(m, stagedKeys(m), facts))
			if !slices.Equal(got, tc.want) {
				t.Fatalf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(tc.want, "\n"))
			}
			m = preflightWorld(t, append(tc.world, hostRulesOf(t, got)...)...)
			if left := hostsTold(Preflight(m, stagedKeys(m), facts)); len(left) > 0 {
				t.Errorf("with the rules there still is\n%s", strings.Join(left, "\n"))
			}
		})
	}
}

// hostsTold is what is told of host endpoints.
func hostsTold(r *PreflightReport) []string {
	var out []string
	for _, line := range told(r) {
		if strings.HasPrefix(line, string(ClassHosts)) {
			out = append(out, line)
		}
	}
	return out
}

var hostFixText = regexp.MustCompile(`(egress|ingress) of host endpoint (n\d)-eth0(?:, before rule [^{]*)?: (\{.*\})$`)

// hostRulesOf are the rules that are named, each in a policy of its own.
func hostRulesOf(t *testing.T, lines []string) []string {
	t.Helper()
	var out []string
	for i, line := range lines {
		f := hostFixText.FindStringSubmatch(line)
		if f == nil {
			t.Fatal("no rule: " + line)
		}
		out = append(out, globalPolicy("StagedGlobalNetworkPolicy", fmt.Sprintf("fix-%d", i),
			fmt.Sprintf("order: 1, selector: node == '%s', types: [%s], %s: [%s]", f[2], strings.ToUpper(f[1][:1])+f[1][1:], f[1], f[3])))
	}
	return out
}

// Where our agents enforce, such a policy has no effect on hosts, and that is said;
// what can't be judged is said, too.
func TestS30_PreflightSaysWhatHostEndpointsAreNotJudged(t *testing.T) {
	n1 := hostEndpoint("n1", openProfile)
	for name, tc := range map[string]struct {
		world   []string
		hosts   bool
		note    string
		lacking string
	}{
		"nobody enforces them":       {[]string{n1, stagedGlobal(hostsIn)}, false, "StagedGlobalNetworkPolicy g selects host endpoints (n1-eth0), which netpol does not enforce: it has no effect on them", ""},
		"for pods alone":             {[]string{n1, stagedGlobal("namespaceSelector: all()")}, false, "", ""},
		"a deletion of nothing":      {[]string{n1, stagedGlobal("stagedAction: Delete")}, false, "", ""},
		"judged, but for what Felix": {[]string{n1, stagedGlobal(hostsIn)}, true, "", "hosts: whether a FelixConfiguration sets other failsafe ports than Calico's own"},
		"untracked": {[]string{n1, stagedGlobal("selector: has(role), doNotTrack: true, applyOnForward: true, ingress: [{action: Deny}]")}, true, "",
			"hosts: what StagedGlobalNetworkPolicy g lets through at host endpoints (n1-eth0): it is asked before connections are tracked or translated"},
	} {
		t.Run(name, func(t *testing.T) {
			m := preflightWorld(t, tc.world...)
			r := Preflight(m, stagedKeys(m), Facts{Hosts: tc.hosts})
			if got := strings.Join(r.Notes, "; "); got != tc.note {
				t.Errorf("noted: %q, want %q", got, tc.note)
			}
			if got := strings.Join(r.NotChecked, "; "); got != tc.lacking {
				t.Errorf("not checked: %q, want %q", got, tc.lacking)
			}
			if judged := slices.ContainsFunc(r.Checks, func(c Check) bool { return c.Class == ClassHosts }); !tc.hosts && (judged || len(hostsTold(r)) > 0) {
				t.Error("it is judged all the same")
			}
		})
	}
}

// Two policies of which each allows something for a host endpoint: no order keeps
// both ways open, and that is found as it is for pods.
func TestS30_PreflightFindsTheGapAtAHostEndpoint(t *testing.T) {
	one := globalPolicy("StagedGlobalNetworkPolicy", "a", "selector: has(role), types: [Ingress], ingress: [{action: Allow, source: {nets: [10.0.0.12/32]}}]")
	two := globalPolicy("StagedGlobalNetworkPolicy", "b", "selector: has(role), types: [Ingress], ingress: [{action: Allow, source: {namespaceSelector: all()}}]")
	m := preflightWorld(t, hostEndpoint("n1", openProfile), one, two)
	if r := Preflight(m, stagedKeys(m), Facts{Hosts: true}); len(hostsTold(r)) > 0 || r.Gap == "" {
		t.Errorf("problems %q, gap %q", hostsTold(r), r.Gap)
	}
	if r := Preflight(m, stagedKeys(m), Facts{}); r.Gap != "" {
		t.Errorf("where they are not enforced: gap %q", r.Gap)
	}
}
