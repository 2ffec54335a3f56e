// Package connectivity answers who may talk to whom: the model's verdict for
// every pair of workloads on every port that the destination declares.
//
// It is pure. Whether packets really pass is for the prober to find out.
package connectivity

import (
	"cmp"
	"slices"

	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

// Item is the verdict for one source, destination and port.
type Item struct {
	Source, Destination policy.Workload
	Protocol            policy.Protocol
	Port                uint16
	Allowed             bool
	// By is what denies, or what allows at the end that decided last; nil
	// where no policy applies at either end.
	By *policy.Hit
	// Direction is the end that By belongs to.
	Direction policy.Direction
}

// Pick says which pairs of workloads are looked at.
type Pick func(source, destination policy.Workload) bool

// systemNamespaces hold the cluster's own workloads: asked for with all only.
var systemNamespaces = []string{"kube-system", "netpol-system"}

// InNamespaces picks pairs of which one end is in one of the namespaces;
// without any, pairs of applications: all but the cluster's own namespaces,
// and these too if all is set.
func InNamespaces(namespaces []string, all bool) Pick {
	return func(src, dst policy.Workload) bool {
		if len(namespaces) > 0 {
			return slices.Contains(namespaces, src.Namespace) || slices.Contains(namespaces, dst.Namespace)
		}
		return all || !slices.Contains(systemNamespaces, src.Namespace) && !slices.Contains(systemNamespaces, dst.Namespace)
	}
}

// Matrix judges all pairs picked, sorted by source, destination, protocol and
// port. Pods of one workload that are labelled differently are judged one by
// one, and the pair counts as allowed only if all of them are. A workload is
// not paired with itself unless it has more than one pod.
func Matrix(m *tier.Model, scope tier.Scope, pick Pick) []Item {
	groups := workloads(m)
	var out []Item
	for i := range groups {
		for j := range groups {
			src, dst := &groups[i], &groups[j]
			if i == j && src.pods < 2 || !pick(src.workload, dst.workload) {
				continue
			}
			for _, p := range dst.ports {
				out = append(out, judge(m, scope, src, dst, p))
			}
		}
	}
	return out
}

// component is a workload with two endpoints of each identity among its pods:
// one would do, but that it always reaches itself (S32).
type component struct {
	workload  policy.Workload
	endpoints []*policy.Endpoint
	ports     []policy.ContainerPort
	pods      int
}

func workloads(m *tier.Model) []component {
	index := map[policy.Workload]int{}
	type seen struct {
		policy.Workload
		identity int
	}
	known := map[seen]int{}
	var out []component
	for _, ep := range m.Snapshot().Endpoints {
		i, ok := index[ep.Workload]
		if !ok {
			i = len(out)
			index[ep.Workload] = i
			out = append(out, component{workload: ep.Workload})
		}
		c := &out[i]
		c.pods++
		if key := (seen{ep.Workload, m.Identity(ep)}); known[key] < 2 {
			known[key]++
			c.endpoints = append(c.endpoints, ep)
		}
		for _, p := range ep.Ports {
			if !slices.ContainsFunc(c.ports, func(o policy.ContainerPort) bool { return o.Protocol == p.Protocol && o.Port == p.Port }) {
				c.ports = append(c.ports, p)
			}
		}
	}
	for i := range out {
		slices.SortFunc(out[i].ports, func(a, b policy.ContainerPort) int {
			return cmp.Or(cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(a.Port, b.Port))
		})
	}
	slices.SortFunc(out, func(a, b component) int {
		return cmp.Or(cmp.Compare(a.workload.Namespace, b.workload.Namespace),
			cmp.Compare(a.workload.Name, b.workload.Name), cmp.Compare(a.workload.Kind, b.workload.Kind))
	})
	return out
}

func judge(m *tier.Model, scope tier.Scope, src, dst *component, port policy.ContainerPort) Item {
	it := Item{Source: src.workload, Destination: dst.workload, Protocol: port.Protocol, Port: port.Port, Allowed: true}
	for _, s := range src.endpoints {
		for _, d := range dst.endpoints {
			if s == d {
				continue
			}
			r := m.Evaluate(scope, tier.Conn{
				Source: tier.Peer{Endpoint: s}, Destination: tier.Peer{Endpoint: d}, Protocol: port.Protocol, Port: port.Port,
			})
			it.note(policy.Egress, r.Egress)
			it.note(policy.Ingress, r.Ingress)
			if !it.Allowed {
				return it
			}
		}
	}
	return it
}

// note keeps the verdict of one end; the first denial stays.
func (it *Item) note(dir policy.Direction, v *tier.Verdict) {
	if v == nil || !it.Allowed || v.By.Rule == policy.NoPolicy {
		return
	}
	it.Allowed = v.Action == policy.Allow
	it.By, it.Direction = &v.By, dir
}
