package prove

import (
	"fmt"
	"time"
)

func (p *Pod) manifest() object {
	spec := object{"nodeName": p.Node, "serviceAccountName": p.ServiceAccount}
	var containers, inits []object
	for i, c := range p.Containers {
		o := object{"name": fmt.Sprintf("c%d", i), "image": "example.invalid/main"}
		put(o, "ports", containerPorts(c.Ports, "containerPort"), len(c.Ports) > 0)
		put(o, "restartPolicy", "Always", c.Role == RoleSidecar)
		if c.Role == RoleMain {
			containers = append(containers, o)
		} else {
			inits = append(inits, o)
		}
	}
	if len(containers) == 0 {
		containers = []object{{"name": "main", "image": "example.invalid/main"}}
	}
	spec["containers"] = containers
	put(spec, "initContainers", inits, len(inits) > 0)
	put(spec, "hostNetwork", true, p.HostNetwork)
	status := object{"phase": "Running"}
	if p.Finished {
		status["phase"] = "Succeeded"
	}
	var ips []object
	for _, a := range p.Addrs {
		ips = append(ips, object{"ip": a.String()})
	}
	if len(ips) > 0 {
		status["podIP"], status["podIPs"] = p.Addrs[0].String(), ips
	}
	meta := metadata(p.Namespace, p.Name, p.Labels)
	put(meta, "creationTimestamp", clock(p.Created), p.Created > 0)
	put(meta, "deletionTimestamp", clock(p.Created+60), p.Terminating)
	return object{"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec, "status": status}
}

func clock(seconds int) string {
	return time.Unix(1_700_000_000+int64(seconds), 0).UTC().Format(time.RFC3339)
}

// containerPorts writes ports; number is what the number's field is called.
func containerPorts(ports []ContainerPort, number string) []object {
	var out []object
	for _, p := range ports {
		o := object{number: p.Number}
		put(o, "name", p.Name, p.Name != "")
		put(o, "protocol", p.Protocol, p.Protocol != "")
		out = append(out, o)
	}
	return out
}

// manifests are the Service and its slices.
func (s *Service) manifests() []object {
	spec := object{}
	put(spec, "selector", s.Selector, len(s.Selector) > 0)
	var ports []object
	for _, p := range s.Ports {
		o := object{"port": p.Port}
		put(o, "name", p.Name, p.Name != "")
		put(o, "protocol", p.Protocol, p.Protocol != "")
		put(o, "targetPort", p.Target, p.Target != 0)
		put(o, "targetPort", p.TargetName, p.TargetName != "")
		ports = append(ports, o)
	}
	put(spec, "ports", ports, len(ports) > 0)
	out := []object{{"apiVersion": "v1", "kind": "Service", "metadata": metadata(s.Namespace, s.Name, nil), "spec": spec}}
	if s.Legacy {
		return append(out, s.legacy()...)
	}
	for i, slice := range s.Slices {
		meta := metadata(s.Namespace, fmt.Sprintf("%s-%d", s.Name, i), map[string]string{"kubernetes.io/service-name": s.Name})
		family := "IPv4"
		var endpoints []object
		for _, a := range slice.Addrs {
			endpoints = append(endpoints, object{"addresses": []string{a.String()}, "conditions": object{"ready": slice.Ready}})
			if a.Is6() {
				family = "IPv6"
			}
		}
		out = append(out, object{"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": meta,
			"addressType": family, "endpoints": endpoints, "ports": containerPorts(slice.Ports, "port")})
	}
	return out
}

// legacy is the slices as v1 Endpoints.
func (s *Service) legacy() []object {
	var subsets []object
	for _, slice := range s.Slices {
		var addrs []object
		for _, a := range slice.Addrs {
			addrs = append(addrs, object{"ip": a.String()})
		}
		subset := object{"addresses": addrs}
		if !slice.Ready {
			subset = object{"notReadyAddresses": addrs}
		}
		put(subset, "ports", containerPorts(slice.Ports, "port"), len(slice.Ports) > 0)
		subsets = append(subsets, subset)
	}
	if len(subsets) == 0 {
		return nil
	}
	return []object{{"apiVersion": "v1", "kind": "Endpoints", "metadata": metadata(s.Namespace, s.Name, nil), "subsets": subsets}}
}

func (s *Set) manifest() object {
	kind := "NetworkSet"
	if s.Namespace == "" {
		kind = "GlobalNetworkSet"
	}
	return object{"apiVersion": calico, "kind": kind, "metadata": metadata(s.Namespace, s.Name, s.Labels), "spec": object{"nets": netNames(s.Nets)}}
}

func (h *HostEndpoint) manifest() object {
	var ips []string
	for _, a := range h.Addrs {
		ips = append(ips, a.String())
	}
	spec := object{"node": "node", "interfaceName": "eth0"}
	put(spec, "expectedIPs", ips, len(ips) > 0)
	return object{"apiVersion": calico, "kind": "HostEndpoint", "metadata": metadata("", h.Name, h.Labels), "spec": spec}
}
