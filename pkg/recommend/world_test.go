package recommend

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/policy/selector"
	"github.com/netpol-project/netpol/pkg/tier"
)

var seen = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// world collects a snapshot and flows for a test.
type world struct {
	snap  policy.Snapshot
	flows []flow.Flow
	addr  byte
}

func (w *world) namespace(names ...string) {
	for _, n := range names {
		w.snap.Namespaces = append(w.snap.Namespaces, &policy.Namespace{Name: n, Labels: selector.Labels{
			"kubernetes.io/metadata.name": n, "projectcalico.org/name": n,
		}})
	}
}

// pod adds a pod of Deployment ns/name.
func (w *world) pod(ns, name string, labels selector.Labels, ports ...uint16) *policy.Endpoint {
	w.addr++
	all := selector.Labels{
		"projectcalico.org/namespace": ns, "projectcalico.org/orchestrator": "k8s",
		"projectcalico.org/serviceaccount": "default", "pod-template-hash": name + "-1",
	}
	for k, v := range labels {
		all[k] = v
	}
	ep := &policy.Endpoint{
		Namespace: ns, Name: name + "-" + string(rune('a'+w.addr)), Node: "n1", Labels: all,
		Workload: policy.Workload{Kind: policy.KindDeployment, Namespace: ns, Name: name},
		Addrs:    []netip.Addr{netip.AddrFrom4([4]byte{10, 0, 0, w.addr})},
	}
	for _, p := range ports {
		ep.Ports = append(ep.Ports, policy.ContainerPort{Protocol: policy.TCP, Port: p})
	}
	w.snap.Endpoints = append(w.snap.Endpoints, ep)
	return ep
}

func app(name string) selector.Labels { return selector.Labels{"app": name} }

// peer reads namespace/workload, a host's name, or an address.
func peer(name string) flow.Peer {
	if a, err := netip.ParseAddr(name); err == nil {
		return flow.Peer{Kind: flow.PeerNetwork, Addr: a}
	}
	for i := range name {
		if name[i] == '/' {
			return flow.Peer{Kind: flow.PeerWorkload, Workload: policy.Workload{
				Kind: policy.KindDeployment, Namespace: name[:i], Name: name[i+1:]}}
		}
	}
	return flow.Peer{Kind: flow.PeerHost, Workload: policy.Workload{Name: name}}
}

// saw adds a flow that both ends report, as far as they are pods.
func (w *world) saw(from, to string, proto policy.Protocol, port uint16, service string) {
	k := flow.Key{
		Source: peer(from), Destination: peer(to), Protocol: proto, Port: port,
		Enforced: policy.Hit{Rule: policy.NoPolicy, Action: policy.Allow},
	}
	if service != "" {
		p := peer(service).Workload
		k.ServiceNamespace, k.ServiceName = p.Namespace, p.Name
	}
	for _, d := range []policy.Direction{policy.Egress, policy.Ingress} {
		local := k.Source
		if d == policy.Ingress {
			local = k.Destination
		}
		if local.Kind != flow.PeerWorkload {
			continue
		}
		k.Direction = d
		w.flows = append(w.flows, flow.Flow{
			Key: k, FirstSeen: seen, LastSeen: seen.Add(90 * time.Second), Connections: 3, Completed: 3,
		})
	}
}

func (w *world) policies(p ...*policy.Policy) {
	w.snap.Policies = append(w.snap.Policies, p...)
	slices.SortFunc(w.snap.Policies, tier.ComparePolicies)
}

func (w *world) request(targets ...string) Request {
	req := Request{Model: tier.New(&w.snap, nil), Flows: w.flows, Tier: "default"}
	for _, t := range targets {
		req.Targets = append(req.Targets, peer(t).Workload)
	}
	return req
}

// voteWorld is the workshop: the voting application, its neighbour, the DNS.
func voteWorld() *world {
	w := &world{}
	w.namespace("kube-system", "vote", "wordpress")
	w.pod("kube-system", "coredns", selector.Labels{"k8s-app": "kube-dns"}, 53)
	w.pod("vote", "db", app("db"), 5432)
	w.pod("vote", "redis", app("redis"), 6379)
	w.pod("vote", "result", app("result"), 80)
	w.pod("vote", "vote", app("vote"), 80)
	w.pod("vote", "vote", app("vote"), 80)
	w.pod("vote", "worker", app("worker"))
	w.pod("wordpress", "mysql", app("mysql"), 3306)
	w.pod("wordpress", "wordpress", app("wordpress"), 80)
	w.snap.Services = []*policy.Service{{
		Namespace: "kube-system", Name: "kube-dns", Selector: map[string]string{"k8s-app": "kube-dns"},
		Ports: []policy.ServicePort{{Protocol: policy.UDP, Port: 53, TargetPort: 53}, {Protocol: policy.TCP, Port: 53, TargetPort: 53}},
	}}
	w.saw("192.0.2.10", "vote/vote", policy.TCP, 80, "vote/vote")
	w.saw("192.0.2.10", "vote/result", policy.TCP, 80, "vote/result")
	w.saw("n1", "vote/vote", policy.TCP, 80, "") // the kubelet
	w.saw("vote/vote", "vote/redis", policy.TCP, 6379, "vote/redis")
	w.saw("vote/worker", "vote/redis", policy.TCP, 6379, "vote/redis")
	w.saw("vote/worker", "vote/db", policy.TCP, 5432, "vote/db")
	w.saw("vote/result", "vote/db", policy.TCP, 5432, "vote/db")
	for _, client := range []string{"vote", "worker", "result"} {
		w.saw("vote/"+client, "kube-system/coredns", policy.UDP, 53, "kube-system/kube-dns")
	}
	w.saw("wordpress/wordpress", "wordpress/mysql", policy.TCP, 3306, "wordpress/mysql")
	return w
}

var voteTargets = []string{"vote/db", "vote/redis", "vote/result", "vote/vote", "vote/worker"}

func find(t *testing.T, res *Result, name string) *Policy {
	t.Helper()
	for _, p := range res.Policies {
		if p.Name == name {
			return p
		}
	}
	t.Fatalf("no policy %q in %v", name, res.Policies)
	return nil
}

// summary is a rule as one line.
func summary(r Rule) string {
	out := r.Protocol.String() + " " + portsText(r.Ports)
	if r.ICMP != nil {
		out += fmt.Sprintf("type %d", r.ICMP.Type)
	}
	if r.NamespaceSelector != nil {
		out += " ns " + quoted(r.NamespaceSelector)
	}
	if r.Selector != nil {
		out += " " + quoted(r.Selector)
	}
	for _, n := range r.Nets {
		out += " " + n.String()
	}
	return out
}

func summaries(rules []Rule) []string {
	out := []string{}
	for _, r := range rules {
		out = append(out, summary(r))
	}
	return out
}
