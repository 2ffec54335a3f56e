package recording

import (
	"fmt"

	"github.com/netpol-project/netpol/pkg/policy"
)

func texts[T fmt.Stringer](in []T) []string {
	out := make([]string, len(in))
	for i, v := range in {
		out[i] = v.String()
	}
	return out
}

func nodeRest(n *policy.Node) m {
	var addrs []any
	for _, a := range n.Addrs {
		addrs = append(addrs, m{"type": "InternalIP", "address": a.String()})
	}
	rest := m{"status": m{"addresses": addrs}}
	if len(n.PodCIDRs) > 0 {
		rest["spec"] = m{"podCIDRs": texts(n.PodCIDRs)}
	}
	return rest
}

func ownerOf(w policy.Workload) (m, bool) {
	group := "apps/v1"
	switch w.Kind {
	case policy.KindPod, "":
		return nil, false
	case policy.KindJob, policy.KindCronJob:
		group = "batch/v1"
	}
	return m{"apiVersion": group, "kind": string(w.Kind), "name": w.Name, "controller": true}, true
}

func podRest(ep *policy.Endpoint) m {
	container := m{"name": "c"}
	if ports := containerPorts(ep.Ports); ports != nil {
		container["ports"] = ports
	}
	spec := m{"containers": []any{container}}
	if a := ep.Labels[policy.LabelServiceAccount]; a != "" && a != "default" {
		spec["serviceAccountName"] = a
	}
	if ep.Node != "" {
		spec["nodeName"] = ep.Node
	}
	rest := m{"spec": spec}
	if len(ep.Addrs) > 0 {
		var ips []any
		for _, a := range ep.Addrs {
			ips = append(ips, m{"ip": a.String()})
		}
		rest["status"] = m{"podIPs": ips}
	}
	return rest
}

func containerPorts(in []policy.ContainerPort) []any {
	var out []any
	for _, p := range in {
		port := m{"containerPort": p.Port, "protocol": p.Protocol.String()}
		if p.Name != "" {
			port["name"] = p.Name
		}
		out = append(out, port)
	}
	return out
}

func serviceRest(s *policy.Service) m {
	spec := m{}
	if len(s.Addrs) > 0 {
		spec["clusterIPs"] = texts(s.Addrs)
	}
	if len(s.Selector) > 0 {
		spec["selector"] = s.Selector
	}
	var ports []any
	for _, p := range s.Ports {
		port := m{"port": p.Port, "protocol": p.Protocol.String()}
		if p.Name != "" {
			port["name"] = p.Name
		}
		switch {
		case p.TargetName != "":
			port["targetPort"] = p.TargetName
		case p.TargetPort != 0:
			port["targetPort"] = p.TargetPort
		}
		if p.NodePort != 0 {
			port["nodePort"] = p.NodePort
		}
		ports = append(ports, port)
	}
	if ports != nil {
		spec["ports"] = ports
	}
	return m{"spec": spec}
}

func sliceRest(b policy.Backend) m {
	family := "IPv6"
	if b.Addr.Is4() {
		family = "IPv4"
	}
	var ports []any
	for _, p := range b.Ports {
		ports = append(ports, m{"name": p.Name, "port": p.Port, "protocol": p.Protocol.String()})
	}
	return m{"addressType": family, "endpoints": []any{m{"addresses": []string{b.Addr.String()}}}, "ports": ports}
}

func hostRest(h *policy.HostEndpoint) m {
	spec := m{"node": h.Node}
	if h.Interface != "" {
		spec["interfaceName"] = h.Interface
	}
	if len(h.Addrs) > 0 {
		spec["expectedIPs"] = texts(h.Addrs)
	}
	if len(h.Profiles) > 0 {
		spec["profiles"] = h.Profiles
	}
	var ports []any
	for _, p := range h.Ports {
		ports = append(ports, m{"name": p.Name, "port": p.Port, "protocol": p.Protocol.String()})
	}
	if ports != nil {
		spec["ports"] = ports
	}
	return m{"spec": spec}
}
