package policy

// outside says whether any peer is none of the cluster's pods, so that it has no
// ports with names.
func outside(peers *node) bool {
	for i := range items(peers) {
		for _, f := range []string{"networks", "nodes", "domainNames"} {
			if peers.kids[i].node.get(f) != nil {
				return true
			}
		}
	}
	return false
}

// clusterProtocols groups protocols and ports; without any it is one group of
// any protocol. What is wrong is left out.
func (r *clusterReader) clusterProtocols(list *node, outside bool) []protocolPorts {
	if list == nil {
		return []protocolPorts{{}}
	}
	if list.kind == isList && len(list.kids) == 0 {
		r.fault(list, Fault{Code: CodeRequired, Reason: "protocols is empty", Fix: "leave it out for any protocol"})
	}
	r.atMost(list, maxClusterItems, "protocols in one rule")
	var g portGroups
	for i := range items(list) {
		n := &list.kids[i].node
		if n.kind != isMap || !r.exactlyOne(n, "protocol", "tcp", "udp", "sctp", "destinationNamedPort") {
			continue
		}
		if name := n.get("destinationNamedPort"); name != nil {
			switch {
			case name.kind == isString && !portName(name.text):
				r.fault(name, Fault{Code: CodeBadName, Reason: "expected the name of a container's port"})
				continue
			case outside:
				r.fault(name, Fault{Code: CodeExclusive, Reason: "only pods have ports with names, and a peer of this rule is none", Fix: "make two rules"})
				continue
			}
			for _, proto := range []Protocol{TCP, UDP, SCTP} {
				g.add(proto, PortRange{}, r.dec.shared.str(textOf(name)))
			}
			continue
		}
		for field, proto := range map[string]Protocol{"tcp": TCP, "udp": UDP, "sctp": SCTP} {
			start := r.mark()
			if f := n.get(field); f != nil {
				if ports := r.destinationPort(f); !r.since(start) {
					g.add(proto, ports, "")
				}
			}
		}
	}
	return g.groups
}

// destinationPort reads a number or range; the zero range is all ports.
func (r *clusterReader) destinationPort(n *node) PortRange {
	port := n.get("destinationPort")
	switch {
	case n.kind != isMap || port == nil:
		return PortRange{}
	case port.kind != isMap || !r.exactlyOne(port, "port", "number", "range"):
		return PortRange{}
	}
	if num := port.get("number"); num != nil {
		v := r.portNumber(num)
		return PortRange{v, v}
	}
	rng := port.get("range")
	for _, f := range []string{"start", "end"} {
		if rng.kind == isMap && rng.get(f) == nil {
			r.required(rng, f, "")
		}
	}
	start, end := r.portNumber(rng.get("start")), r.portNumber(rng.get("end"))
	if start != 0 && end != 0 && start >= end {
		r.fault(rng.get("end"), Fault{Code: CodeBadPort, Reason: "a range's end must be after its start"})
	}
	return PortRange{start, end}
}
