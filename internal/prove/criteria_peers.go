package prove

import (
	"net/netip"
	"slices"
)

var entityCriteria = []Criterion{
	{"source.nets", inSources(func(e *Entity) { e.Nets = nil })},
	{"destination.nets", inDestinations(func(e *Entity) { e.Nets = nil })},
	{"notNets", inEntities(func(e *Entity) { e.NotNets = nil })},
	{"nets of IPv6", inEntities(func(e *Entity) {
		if len(e.Nets) > 0 && e.Nets[0].Addr().Is6() {
			e.Nets = nil
		}
	})},
	{"selector", inEntities(func(e *Entity) { e.Selector = nil })},
	{"notSelector", inEntities(func(e *Entity) { e.NotSelector = nil })},
	{"namespaceSelector", inEntities(func(e *Entity) { e.NamespaceSelector = nil })},
	{"namespaceSelector all()", inScope(OpAll)},
	{"namespaceSelector global()", inScope(OpGlobal)},
	{"serviceAccounts", inEntities(func(e *Entity) { e.ServiceAccounts = nil })},
	{"serviceAccounts.names", inEntities(func(e *Entity) {
		if e.ServiceAccounts != nil {
			e.ServiceAccounts = &AccountMatch{Selector: e.ServiceAccounts.Selector}
		}
	})},
	{"serviceAccounts.selector", inEntities(func(e *Entity) {
		if e.ServiceAccounts != nil {
			e.ServiceAccounts = &AccountMatch{Names: e.ServiceAccounts.Names}
		}
	})},
	{"a service account's labels", func(w *World) { w.Accounts = nil }},
	{"source.services", inSources(func(e *Entity) { e.Service = nil })},
	{"destination.services", inDestinations(func(e *Entity) { e.Service = nil })},
	{"a Service's selector", inServices(func(s *Service) { s.Selector = nil })},
	{"a Service's target by name", inServices(func(s *Service) {
		s.Ports = slices.DeleteFunc(slices.Clone(s.Ports), func(p ServicePort) bool { return p.TargetName != "" })
	})},
	{"a Service's target by number", inServices(func(s *Service) {
		s.Ports = slices.DeleteFunc(slices.Clone(s.Ports), func(p ServicePort) bool { return p.TargetName == "" })
	})},
	{"an EndpointSlice", inServices(func(s *Service) {
		if !s.Legacy {
			s.Slices = nil
		}
	})},
	{"Endpoints", inServices(func(s *Service) {
		if s.Legacy {
			s.Slices = nil
		}
	})},
	{"NetworkSet", func(w *World) { w.Sets = slices.DeleteFunc(w.Sets, func(s *Set) bool { return s.Namespace != "" }) }},
	{"GlobalNetworkSet", func(w *World) { w.Sets = slices.DeleteFunc(w.Sets, func(s *Set) bool { return s.Namespace == "" }) }},
	{"HostEndpoint", func(w *World) { w.HostEndpoints = nil }},
	{"a network set that holds a pod", func(w *World) {
		for i, s := range w.Sets {
			next := *s
			next.Nets = slices.DeleteFunc(slices.Clone(s.Nets), func(n netip.Prefix) bool { return w.holdsPod(n) })
			w.Sets[i] = &next
		}
	}},
	{"an address of two pods", func(w *World) { // as if the other one had it
		for i, p := range w.Pods {
			next := *p
			next.Created, next.Terminating = -p.Created, !p.Terminating
			w.Pods[i] = &next
		}
	}},
}

func inScope(op Op) func(*World) {
	return inEntities(func(e *Entity) {
		if e.NamespaceSelector != nil && e.NamespaceSelector.Op == op {
			e.NamespaceSelector = nil
		}
	})
}

func inServices(f func(*Service)) func(*World) {
	return func(w *World) {
		for i, s := range w.Services {
			next := *s
			f(&next)
			w.Services[i] = &next
		}
	}
}

func (w *World) holdsPod(n netip.Prefix) bool {
	for _, p := range w.Endpoints() {
		if slices.ContainsFunc(p.Addrs, n.Contains) {
			return true
		}
	}
	return false
}

var kubeCriteria = []Criterion{
	{"a Kubernetes peer's selectors", inKube(func(r *KubeRule) {
		r.Peers = slices.DeleteFunc(slices.Clone(r.Peers), func(k KubePeer) bool { return !k.Block.IsValid() })
	})},
	{"ipBlock", inKube(func(r *KubeRule) {
		r.Peers = slices.DeleteFunc(slices.Clone(r.Peers), func(k KubePeer) bool { return k.Block.IsValid() })
	})},
	{"except", inKube(func(r *KubeRule) {
		r.Peers = slices.Clone(r.Peers)
		for i := range r.Peers {
			r.Peers[i].Except = nil
		}
	})},
	{"a Kubernetes port", inKube(func(r *KubeRule) { r.Ports = kubePortsWithout(r.Ports, func(k KubePort) bool { return k.Name == "" }) })},
	{"a Kubernetes port by name", inKube(func(r *KubeRule) { r.Ports = kubePortsWithout(r.Ports, func(k KubePort) bool { return k.Name != "" }) })},
	{"endPort", inKube(func(r *KubeRule) {
		r.Ports = slices.Clone(r.Ports)
		for i := range r.Ports {
			r.Ports[i].EndPort = 0
		}
	})},
	{"networks", inCluster(func(r *ClusterRule) {
		r.Peers = slices.DeleteFunc(slices.Clone(r.Peers), func(k ClusterPeer) bool { return len(k.Networks) > 0 })
	})},
	{"pods of a ClusterNetworkPolicy", inCluster(func(r *ClusterRule) {
		r.Peers = slices.DeleteFunc(slices.Clone(r.Peers), func(k ClusterPeer) bool { return len(k.Networks) == 0 })
	})},
	{"destinationPort", inCluster(func(r *ClusterRule) {
		r.Protocols = protocolsWithout(r.Protocols, func(k ClusterProtocol) bool { return k.NamedPort == "" })
	})},
	{"destinationNamedPort", inCluster(func(r *ClusterRule) {
		r.Protocols = protocolsWithout(r.Protocols, func(k ClusterProtocol) bool { return k.NamedPort != "" })
	})},
	{"a ClusterNetworkPolicy's Pass", inCluster(func(r *ClusterRule) {
		if r.Action == "Pass" {
			r.Peers = nil
		}
	})},
}

func kubePortsWithout(ports []KubePort, f func(KubePort) bool) []KubePort {
	return slices.DeleteFunc(slices.Clone(ports), f)
}

func protocolsWithout(protocols []ClusterProtocol, f func(ClusterProtocol) bool) []ClusterProtocol {
	return slices.DeleteFunc(slices.Clone(protocols), f)
}

func inKube(f func(*KubeRule)) func(*World) {
	return inPolicies(func(p *Policy) {
		if p.Kube == nil {
			return
		}
		for _, rules := range [][]KubeRule{p.Kube.Ingress, p.Kube.Egress} {
			for i := range rules {
				f(&rules[i])
			}
		}
	})
}

func inCluster(f func(*ClusterRule)) func(*World) {
	return inPolicies(func(p *Policy) {
		if p.Cluster == nil {
			return
		}
		for _, rules := range [][]ClusterRule{p.Cluster.Ingress, p.Cluster.Egress} {
			for i := range rules {
				f(&rules[i])
			}
		}
	})
}
