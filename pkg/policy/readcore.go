package policy

import (
	"net/netip"
	"strconv"
	"time"
)

// The labels that every endpoint or namespace has besides its own (S15).
const (
	LabelNamespace      = "projectcalico.org/namespace"
	LabelName           = "projectcalico.org/name"
	LabelOrchestrator   = "projectcalico.org/orchestrator"
	LabelServiceAccount = "projectcalico.org/serviceaccount"
	LabelMetadataName   = "kubernetes.io/metadata.name"
)

func readNamespace(r *reading) any {
	own := r.labels(r.root.at("metadata", "labels"))
	return &Namespace{
		Name:   r.key.Name,
		Labels: r.dec.shared.set(append(own, namespaceLabels(r.key.Name)...)),
		Origin: r.origin(r.root.line, r.root.col),
	}
}

func namespaceLabels(name string) []label {
	return []label{{LabelName, name}, {LabelMetadataName, name}}
}

// endpointLabels adds S15's labels; they win over labels of the pod's own with
// those names, which it must not forge.
func (r *reading) endpointLabels(own []label, account string) map[string]string {
	if account == "" {
		account = "default"
	}
	return r.dec.shared.set(append(own,
		label{LabelNamespace, r.key.Namespace},
		label{LabelOrchestrator, "k8s"},
		label{LabelServiceAccount, account}))
}

// accountOf is the service account of a pod's spec.
func accountOf(spec *node) string {
	if a := textOf(spec.get("serviceAccountName")); a != "" {
		return a
	}
	return textOf(spec.get("serviceAccount"))
}

// Idle is a pod that is no endpoint (S12): it runs on the host's own network,
// or has finished.
type Idle struct {
	Namespace, Name string
	Workload        Workload
	HostNetwork     bool
	// LocalDNS are the addresses at which a node-local DNS cache listens (S33).
	LocalDNS []netip.Addr
	Origin   Origin
}

// readPod makes an Endpoint, or an Idle.
func readPod(r *reading) any {
	meta, spec, status := r.root.get("metadata"), r.root.get("spec"), r.root.get("status")
	if spec != nil && spec.kind != isMap {
		r.wrongType(spec, isMap)
		return nil
	}
	own := r.labels(meta.get("labels"))
	w := r.podOwner(meta, own)
	phase := textOf(status.get("phase"))
	host := isTrue(spec.get("hostNetwork"))
	if host || phase == "Succeeded" || phase == "Failed" {
		idle := &Idle{Namespace: r.key.Namespace, Name: r.key.Name, Workload: w, HostNetwork: host, Origin: r.origin(r.root.line, r.root.col)}
		if host && phase != "Succeeded" && phase != "Failed" {
			idle.LocalDNS = localDNS(spec)
		}
		return idle
	}
	return &Endpoint{
		Namespace:   r.key.Namespace,
		Name:        r.key.Name,
		Workload:    w,
		Labels:      r.endpointLabels(own, accountOf(spec)),
		Node:        r.dec.shared.str(textOf(spec.get("nodeName"))),
		Addrs:       r.podAddrs(status),
		Ports:       r.containerPorts(spec),
		Created:     created(meta),
		Terminating: meta.get("deletionTimestamp") != nil,
		Origin:      r.origin(r.root.line, r.root.col),
	}
}

// created is when the API server made an object, Unix nanoseconds; 0 where the
// metadata does not say.
func created(meta *node) int64 {
	t, err := time.Parse(time.RFC3339, textOf(meta.get("creationTimestamp")))
	if err != nil {
		return 0
	}
	return t.UnixNano()
}

func (r *reading) podAddrs(status *node) []netip.Addr {
	var addrs []netip.Addr
	list := status.get("podIPs")
	for i := range items(list) {
		addrs = r.addr(addrs, list.kids[i].node.get("ip"))
	}
	if len(addrs) == 0 {
		addrs = r.addr(addrs, status.get("podIP"))
	}
	return addrs
}

func (r *reading) addr(to []netip.Addr, n *node) []netip.Addr {
	if n.empty() {
		return to
	}
	a, err := netip.ParseAddr(textOf(n))
	if err != nil || a.Zone() != "" {
		r.fault(n, Fault{Code: CodeBadAddress, Reason: "expected an IP address"})
		return to
	}
	return append(to, a.Unmap())
}

// containerPorts are the ports of a pod's containers and native sidecars.
func (r *reading) containerPorts(spec *node) []ContainerPort {
	var out []ContainerPort
	containers := spec.get("containers")
	for i := range items(containers) {
		out = r.portsOf(&containers.kids[i].node, out)
	}
	inits := spec.get("initContainers")
	for i := range items(inits) {
		if textOf(inits.kids[i].get("restartPolicy")) == "Always" {
			out = r.portsOf(&inits.kids[i].node, out)
		}
	}
	return out
}

func (r *reading) portsOf(container *node, out []ContainerPort) []ContainerPort {
	list := container.get("ports")
	for i := range items(list) {
		n := &list.kids[i].node
		port := r.portNumber(n.get("containerPort"))
		if port == 0 {
			continue
		}
		out = append(out, ContainerPort{Name: r.dec.shared.str(textOf(n.get("name"))), Protocol: r.protocolOr(n, TCP), Port: port})
	}
	return out
}

func (r *reading) protocolOr(n *node, other Protocol) Protocol {
	if p := n.get("protocol"); !p.empty() {
		return r.protocol(p)
	}
	return other
}

// portNumber is a single port; 0 if it is absent or, with a fault, wrong.
func (r *reading) portNumber(n *node) uint16 {
	if n == nil {
		return 0
	}
	v, err := strconv.ParseUint(n.text, 10, 16)
	if n.kind != isNumber || err != nil || v == 0 {
		r.fault(n, Fault{Code: CodeBadPort, Reason: "a port is a number from 1 to 65535"})
		return 0
	}
	return uint16(v)
}
