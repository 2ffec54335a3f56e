package stage

import (
	"fmt"

	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

// preflightCluster has everything that a preflight looks after: DNS, an API
// server, a webhook, an aggregated API, Prometheus and metrics-server.
const preflightCluster = `
{apiVersion: v1, kind: Namespace, metadata: {name: vote}}
---
{apiVersion: v1, kind: Node, metadata: {name: n1}, status: {addresses: [{type: InternalIP, address: 10.0.0.11}]}}
---
{apiVersion: v1, kind: Node, metadata: {name: n2}, status: {addresses: [{type: InternalIP, address: 10.0.0.12}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: kube-dns, namespace: kube-system},
 spec: {clusterIP: 10.96.0.10, selector: {k8s-app: kube-dns}, ports: [{name: dns, protocol: UDP, port: 53, targetPort: 5353}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: kubernetes, namespace: default},
 spec: {clusterIP: 10.96.0.1, ports: [{name: https, port: 443, targetPort: 6443}]}}
---
{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: kubernetes, namespace: default, labels: {kubernetes.io/service-name: kubernetes}},
 addressType: IPv4, endpoints: [{addresses: [10.0.0.12]}], ports: [{name: https, protocol: TCP, port: 6443}]}
---
{apiVersion: v1, kind: Service, metadata: {name: hook, namespace: ops},
 spec: {clusterIP: 10.96.0.11, selector: {app: hook}, ports: [{name: https, port: 443, targetPort: 8443}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: outside, namespace: ops}, spec: {clusterIP: 10.96.0.12, ports: [{name: metrics, port: 9100}]}}
`

// preflightPods are the pods: name, namespace, node, service account, ports.
var preflightPods = [][5]string{
	{"web", "vote", "n1", "default", "{containerPort: 80}"},
	{"robot", "vote", "n1", "robot", "{containerPort: 80}"},
	{"coredns", "kube-system", "n1", "default", "{name: dns, protocol: UDP, containerPort: 5353}"},
	{"hook", "ops", "n1", "default", "{name: https, containerPort: 8443}, {name: metrics, containerPort: 9090}"},
	{"prometheus", "ops", "n2", "default", "{containerPort: 9090}"},
	{"metrics-server", "ops", "n2", "default", "{name: https, containerPort: 4443}"},
}

func preflightWorld(t interface{ Fatal(...any) }, more ...string) *tier.Model {
	texts := append([]string{preflightCluster}, more...)
	for i, p := range preflightPods {
		own := ""
		if p[0] == "coredns" {
			own = ", k8s-app: kube-dns"
		}
		texts = append(texts, fmt.Sprintf(`{apiVersion: v1, kind: Pod, metadata: {name: %s, namespace: %s, labels: {app: %s%s}},
 spec: {nodeName: %s, serviceAccountName: %s, containers: [{name: c, image: c, ports: [%s]}]}, status: {phase: Running, podIP: 10.1.0.%d, podIPs: [{ip: 10.1.0.%d}]}}`,
			p[0], p[1], p[0], own, p[2], p[3], p[4], i+1, i+1))
	}
	var all []policy.Resource
	for _, text := range texts {
		res, faults := policy.NewDecoder().Decode("", []byte(text))
		if faults.Err() != nil {
			t.Fatal(faults, text)
		}
		all = append(all, res...)
	}
	snap, _ := policy.NewSnapshot(1, all, nil)
	return tier.New(snap, nil)
}

// cache is a node-local DNS cache, as its DaemonSet tells of it (S33).
const cache = `{apiVersion: apps/v1, kind: DaemonSet, metadata: {name: node-local-dns, namespace: kube-system}, spec: {selector: {matchLabels: {k8s-app: node-local-dns}},
 template: {metadata: {labels: {k8s-app: node-local-dns}}, spec: {hostNetwork: true, containers: [{name: node-cache, image: c, args: [-localip, "169.254.20.10,10.96.0.10"]}]}}}}`

func stagedIn(ns, name, spec string) string {
	return fmt.Sprintf(`{apiVersion: projectcalico.org/v3, kind: StagedNetworkPolicy, metadata: {name: %s, namespace: %s}, spec: {%s}}`, name, ns, spec)
}

// told are problems as lines.
func told(r *PreflightReport) []string {
	var out []string
	for _, p := range r.Problems {
		word := "note"
		if p.Refuses {
			word = "refuses"
		}
		out = append(out, fmt.Sprintf("%s %s: %s → %s %s (%s): add to %s", p.Class, word, p.Source, p.Destination, p.Port.Text(), p.For, p.Fix))
	}
	return out
}

// webToHook is traffic that was seen.
func webToHook() flow.Flow {
	peer := func(ns, name string) flow.Peer {
		return flow.Peer{Kind: flow.PeerWorkload, Workload: policy.Workload{Namespace: ns, Name: name, Kind: policy.KindPod}}
	}
	return flow.Flow{Key: flow.Key{Source: peer("vote", "web"), Destination: peer("ops", "hook"), Protocol: policy.TCP, Port: 8443}, Connections: 3}
}

// hookCalls is what the API server calls in these worlds.
var hookCalls = []Call{{Who: "ValidatingWebhookConfiguration checks", Namespace: "ops", Service: "hook", Port: 443}}
