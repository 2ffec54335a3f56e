package stage

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/netpol-project/netpol/pkg/flow"
)

// Policies that allow nothing of what is needed, one direction each.
const (
	egressOnly = "selector: app == 'APP', types: [Egress], egress: [{action: Allow, protocol: SCTP}]"
	inOnly     = "selector: app == 'APP', types: [Ingress], ingress: [{action: Allow, protocol: SCTP}]"
)

func of(app, spec string) string { return strings.ReplaceAll(spec, "APP", app) }

// What a promotion would cut is told with its class, and whether that is a reason
// to refuse, and with the rule that would help; with that rule nothing is cut.
func TestPreflightRefusesWhatWouldCut(t *testing.T) {
	blind := Facts{Blind: true}
	const dnsForAll = "UDP/5353 (names of cluster DNS): add to ingress of kube-system/coredns: {action: Allow, protocol: UDP, source: {namespaceSelector: all()}, destination: {ports: [5353]}}"
	for name, tc := range map[string]struct {
		world  []string
		policy string
		facts  Facts
		want   []string
	}{
		"DNS": {nil, stagedIn("vote", "x", of("web", egressOnly)), blind, []string{
			"dns refuses: vote/web → kube-system/coredns UDP/5353 (names of cluster DNS): add to egress of vote/web: {action: Allow, destination: {services: {namespace: kube-system, name: kube-dns}}}",
		}},
		"DNS, where traffic was looked at and nobody asked": {nil, stagedIn("vote", "x", of("web", egressOnly)), Facts{}, []string{
			"dns note: vote/web → kube-system/coredns UDP/5353 (names of cluster DNS): add to egress of vote/web: {action: Allow, destination: {services: {namespace: kube-system, name: kube-dns}}}",
		}},
		"DNS at the node-local cache's link-local address": {[]string{cache}, stagedIn("vote", "x", "selector: app == 'web', types: [Egress], egress: [{action: Allow, protocol: UDP, destination: {selector: k8s-app == 'kube-dns', namespaceSelector: all()}}]"), blind, []string{
			"dns refuses: vote/web → 10.96.0.10 UDP/53 (names of cluster DNS): add to egress of vote/web: {action: Allow, destination: {services: {namespace: kube-system, name: kube-dns}}}",
			"dns refuses: vote/web → 169.254.20.10 UDP/53 (names of cluster DNS): add to egress of vote/web: {action: Allow, destination: {services: {namespace: kube-system, name: kube-dns}}}",
		}},
		"DNS behind the node-local cache, from other nodes": {[]string{cache}, stagedIn("kube-system", "x", of("coredns", inOnly)), blind, []string{
			"dns refuses: 10.0.0.12 → kube-system/coredns UDP/5353 (node-local DNS cache on n2): add to ingress of kube-system/coredns: {action: Allow, protocol: UDP, source: {nets: [10.0.0.12/32]}, destination: {ports: [5353]}}",
		}},
		"DNS of all, at the server's end": {nil, stagedIn("kube-system", "x", of("coredns", inOnly)), blind, []string{
			"dns refuses: ops/hook → kube-system/coredns " + dnsForAll,
			"dns refuses: ops/metrics-server → kube-system/coredns " + dnsForAll,
			"dns refuses: ops/prometheus → kube-system/coredns " + dnsForAll,
			"dns refuses: vote/robot → kube-system/coredns " + dnsForAll,
			"dns refuses: vote/web → kube-system/coredns " + dnsForAll,
		}},
		"API server": {nil, stagedIn("vote", "x", "selector: app == 'robot', types: [Egress], egress: [{action: Allow, destination: {services: {namespace: kube-system, name: kube-dns}}}]"), blind, []string{
			"api-server refuses: vote/robot → 10.0.0.12 TCP/6443 (service account robot): add to egress of vote/robot: {action: Allow, destination: {services: {namespace: default, name: kubernetes}}}",
		}},
		"webhook, though nobody called it": {nil, stagedIn("ops", "x", of("hook", inOnly)), Facts{Calls: hookCalls}, []string{
			"webhooks refuses: 10.0.0.12 → ops/hook TCP/8443 (ValidatingWebhookConfiguration checks): add to ingress of ops/hook: {action: Allow, protocol: TCP, source: {services: {namespace: default, name: kubernetes}}, destination: {ports: [8443]}}",
		}},
		"webhook on the API server's own node": {[]string{
			`{apiVersion: v1, kind: Pod, metadata: {name: near, namespace: ops, labels: {app: near}}, spec: {nodeName: n2, containers: [{name: c, image: c}]}, status: {phase: Running, podIP: 10.1.0.99}}`,
			`{apiVersion: v1, kind: Service, metadata: {name: near, namespace: ops}, spec: {clusterIP: 10.96.0.13, selector: {app: near}, ports: [{port: 443, targetPort: 8443}]}}`,
		}, stagedIn("ops", "x", of("near", inOnly)), Facts{Calls: []Call{{Who: "hook", Namespace: "ops", Service: "near", Port: 443}}}, nil},
		"metrics, scraped by a number": {nil, stagedIn("ops", "x", of("hook", inOnly)), Facts{Blind: true, Scrapes: []Scrape{{Who: "annotation prometheus.io/scrape", Namespace: "ops", Pod: "hook", Port: 9090}}}, []string{
			"metrics refuses: ops/prometheus → ops/hook TCP/9090 (annotation prometheus.io/scrape): add to ingress of ops/hook: {action: Allow, protocol: TCP, source: {namespaceSelector: \"projectcalico.org/name == 'ops'\", selector: \"app == 'prometheus'\"}, destination: {ports: [9090]}}",
		}},
		"metrics, by a port's name": {nil, stagedIn("ops", "x", of("hook", inOnly)), Facts{Blind: true, Scrapes: []Scrape{{Who: "PodMonitor m", Namespace: "ops", Selector: labels.SelectorFromSet(labels.Set{"app": "hook"}), PortName: "metrics"}}}, []string{
			"metrics refuses: ops/prometheus → ops/hook TCP/9090 (PodMonitor m): add to ingress of ops/hook: {action: Allow, protocol: TCP, source: {namespaceSelector: \"projectcalico.org/name == 'ops'\", selector: \"app == 'prometheus'\"}, destination: {ports: [9090]}}",
		}},
		"metrics, of all ports that are declared": {nil, stagedIn("ops", "x", of("prometheus", strings.ReplaceAll(egressOnly, "{action: Allow, protocol: SCTP}", "{action: Allow, protocol: UDP}"))), Facts{Blind: true, Scrapes: []Scrape{{Who: "annotation prometheus.io/scrape", Namespace: "vote", Pod: "web"}}}, []string{
			"metrics refuses: ops/prometheus → vote/web TCP/80 (annotation prometheus.io/scrape): add to egress of ops/prometheus: {action: Allow, protocol: TCP, destination: {namespaceSelector: \"projectcalico.org/name == 'vote'\", selector: \"app == 'web'\", ports: [80]}}",
		}},
		"metrics, behind a Service": {nil, stagedIn("ops", "x", of("hook", inOnly)), Facts{Blind: true, Scrapes: []Scrape{{Who: "ServiceMonitor m", Namespace: "ops", Service: "hook", PortName: "https"}}}, []string{
			"metrics refuses: ops/prometheus → ops/hook TCP/8443 (ServiceMonitor m): add to ingress of ops/hook: {action: Allow, protocol: TCP, source: {namespaceSelector: \"projectcalico.org/name == 'ops'\", selector: \"app == 'prometheus'\"}, destination: {ports: [8443]}}",
		}},
		"metrics of a Service without pods select no pod": {nil, stagedIn("ops", "x", of("hook", inOnly)), Facts{Blind: true, Scrapes: []Scrape{{Who: "ServiceMonitor m", Namespace: "ops", Service: "outside", PortName: "metrics"}}}, nil},
		"metrics-server and the kubelets": {nil, stagedIn("ops", "x", of("metrics-server", strings.ReplaceAll(egressOnly, "{action: Allow, protocol: SCTP}", "{action: Allow, protocol: UDP}"))), blind, []string{
			"metrics refuses: ops/metrics-server → 10.0.0.11 TCP/10250 (metrics of kubelet on n1): add to egress of ops/metrics-server: {action: Allow, protocol: TCP, destination: {nets: [10.0.0.11/32], ports: [10250]}}",
			"metrics refuses: ops/metrics-server → 10.0.0.12 TCP/10250 (metrics of kubelet on n2): add to egress of ops/metrics-server: {action: Allow, protocol: TCP, destination: {nets: [10.0.0.12/32], ports: [10250]}}",
		}},
		"observed traffic": {nil, stagedIn("ops", "x", of("hook", inOnly)), Facts{Flows: []flow.Flow{webToHook()}}, []string{
			"observed refuses: vote/web → ops/hook TCP/8443 (traffic that was seen): add to ingress of ops/hook: {action: Allow, protocol: TCP, source: {namespaceSelector: \"projectcalico.org/name == 'vote'\", selector: \"app == 'web'\"}, destination: {ports: [8443]}}",
		}},
		"refused by a rule, in a tier": {[]string{`{apiVersion: projectcalico.org/v3, kind: Tier, metadata: {name: security}, spec: {order: 10}}`},
			stagedIn("ops", "security.x", "tier: security, selector: app == 'hook', order: 20, types: [Ingress], ingress: [{action: Deny, protocol: TCP}]"), Facts{Calls: hookCalls}, []string{
				"webhooks refuses: 10.0.0.12 → ops/hook TCP/8443 (ValidatingWebhookConfiguration checks): add to ingress of ops/hook, in tier security, before rule 0 of StagedNetworkPolicy ops/security.x: {action: Allow, protocol: TCP, source: {services: {namespace: default, name: kubernetes}}, destination: {ports: [8443]}}",
			}},
		"kubelet's probes are always allowed": {nil, stagedIn("vote", "x", "selector: app == 'web', types: [Ingress]"), Facts{}, nil},
		"what is refused now already":         {[]string{`{apiVersion: projectcalico.org/v3, kind: NetworkPolicy, metadata: {name: y, namespace: ops}, spec: {selector: app == 'hook', types: [Ingress]}}`}, stagedIn("ops", "x", of("hook", inOnly)), Facts{Calls: hookCalls}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			world := append(slices.Clone(tc.world), tc.policy)
			m := preflightWorld(t, world...)
			got := Preflight(m, stagedKeys(m), tc.facts)
			lines := told(got)
			if !slices.Equal(lines, tc.want) {
				t.Fatalf("got\n%s\nwant\n%s", strings.Join(lines, "\n"), strings.Join(tc.want, "\n"))
			}
			m = preflightWorld(t, append(world, rulesOf(t, got)...)...)
			if left := Preflight(m, stagedKeys(m), tc.facts); len(left.Problems) > 0 {
				t.Errorf("with the rules there still is\n%s", strings.Join(told(left), "\n"))
			}
		})
	}
}

var fixText = regexp.MustCompile(`^(egress|ingress) of ([a-z-]+)/([a-z-]+)(?:, in tier ([a-z]+))?(, before rule \d+ of [^{]*)?: (\{.*\})$`)

// rulesOf are the rules that a preflight names, each in a staged policy of its
// own where it says that the rule belongs.
func rulesOf(t interface{ Fatal(...any) }, r *PreflightReport) []string {
	rules := map[string]bool{}
	for _, p := range r.Problems {
		for _, fix := range strings.Split(p.Fix, "; ") {
			rules[fix] = true
		}
	}
	var out []string
	for fix := range rules {
		f := fixText.FindStringSubmatch(fix)
		if f == nil {
			t.Fatal("no rule: " + fix)
		}
		tierName, prefix, order := "default", "", 5000
		if f[4] != "" {
			tierName, prefix = f[4], f[4]+"."
		}
		if f[5] != "" {
			order = 1
		}
		types := strings.ToUpper(f[1][:1]) + f[1][1:]
		out = append(out, stagedIn(f[2], fmt.Sprintf("%sfix-%d", prefix, len(out)),
			fmt.Sprintf("tier: %s, order: %d, selector: app == '%s', types: [%s], %s: [%s]", tierName, order, f[3], types, f[1], f[6])))
	}
	return out
}

// What can't be judged is named.
func TestPreflightNamesWhatItDoesNotCheck(t *testing.T) {
	for name, tc := range map[string]struct {
		world []string
		facts Facts
		want  string // "" is nothing beside the traffic
	}{
		"no pod is known as Prometheus":   {[]string{stagedIn("vote", "x", "selector: app == 'web'")}, Facts{Scrapes: []Scrape{{Who: "m", Namespace: "vote", Pod: "web", Port: 80}}}, ""},
		"traffic that can't be looked at": {nil, Facts{Blind: true}, "observed traffic: none could be looked at"},
		"what may not be read":            {nil, Facts{NotChecked: []string{"webhooks: forbidden"}}, "webhooks: forbidden"},
	} {
		t.Run(name, func(t *testing.T) {
			m := preflightWorld(t, tc.world...)
			if got := strings.Join(Preflight(m, stagedKeys(m), tc.facts).NotChecked, "; "); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
	// Without a pod that looks like Prometheus, nobody can say who collects.
	m := promoteWorld(t, stagedPolicy("x", "selector: app == 'a'"))
	facts := Facts{Scrapes: []Scrape{{Who: "m", Namespace: "n", Pod: "a", Port: 80}}, Calls: hookCalls}
	got := strings.Join(Preflight(m, stagedKeys(m), facts).NotChecked, "; ")
	want := "metrics: no pod is known as Prometheus by its labels (app or app.kubernetes.io/name); webhooks: the API server's address is not known (Service default/kubernetes has no endpoints)"
	if got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
