package tier

import (
	"net/netip"
	"slices"

	"github.com/netpol-project/netpol/pkg/policy"
)

// ruleMatches says whether every criterion that r gives holds.
func (m *Model) ruleMatches(r *rule, q *question) bool {
	return m.protocolMatches(r, q) && m.endsMatch(r, q)
}

func (m *Model) protocolMatches(r *rule, q *question) bool {
	if r.protocol != 0 && r.protocol != q.protocol || r.notProtocol != 0 && r.notProtocol == q.protocol {
		return false
	}
	if r.by != nil {
		return m.portsMatch(r, q)
	}
	if len(r.ports) > 0 && !r.portIn(r.ports, q) {
		return false
	}
	return len(r.notPorts) == 0 || !r.portIn(r.notPorts, q)
}

// portIn says whether the connection's port, or ICMP type and code, is in the
// list; other protocols have none.
func (r *rule) portIn(list []policy.PortRange, q *question) bool {
	return r.hasThem(q.protocol) && inRanges(list, q.port)
}

// hasThem says whether a protocol has what the rule's ports are: ports, or
// types and codes.
func (r *rule) hasThem(p policy.Protocol) bool {
	if r.types {
		return p.HasTypes()
	}
	return p.HasPorts()
}

func inRanges(list []policy.PortRange, port uint16) bool {
	for _, p := range list {
		if p.Contains(port) {
			return true
		}
	}
	return false
}

// portsMatch holds all criteria on ports of a rule that has some that depend
// on the ends. Numbers and names in one list are alternatives, and a not…
// list negates both (S21).
func (m *Model) portsMatch(r *rule, q *question) bool {
	by := r.by
	match := func(numbers []policy.PortRange, names []string, x *end, entity int32, port uint16) bool {
		return inRanges(numbers, port) || m.named(names, x, entity, q.protocol, port)
	}
	if !q.protocol.HasPorts() {
		return len(r.ports)+len(by.named)+len(by.source)+len(by.sourceNamed) == 0 && !by.service
	}
	src, dst, srcEntity, dstEntity := q.source(), q.destination(), r.peer, r.local
	if q.dir == policy.Egress {
		srcEntity, dstEntity = dstEntity, srcEntity
	}
	if len(r.ports)+len(by.named) > 0 && !match(r.ports, by.named, dst, dstEntity, q.port) ||
		len(by.source)+len(by.sourceNamed) > 0 && !match(by.source, by.sourceNamed, src, srcEntity, q.sourcePort) {
		return false
	}
	if match(r.notPorts, by.notNamed, dst, dstEntity, q.port) || match(by.notSource, by.notSourceNamed, src, srcEntity, q.sourcePort) {
		return false
	}
	return !by.service || m.reaches[dstEntity].servesAt(dst, m.ids.rep(dst.id), q.protocol, q.port)
}

// named says whether the pod at x, one that the side's entity matches, declares
// the port under one of the names (S21).
func (m *Model) named(names []string, x *end, entity int32, proto policy.Protocol, port uint16) bool {
	if len(names) == 0 || !m.namesPorts(entity, x) {
		return false
	}
	declared := m.ids.reps[x.id].Ports
	for i := range declared {
		p := &declared[i]
		if p.Port == port && p.Protocol == proto && p.Name != "" && slices.Contains(names, p.Name) {
			return true
		}
	}
	return false
}

// namesPorts says whether at x is a pod that the entity matches, so that ports
// go by the names which it declares: by its labels or, of a Service, by an
// address that its EndpointSlices list.
func (m *Model) namesPorts(entity int32, x *end) bool {
	return x.id >= 0 && (entity == noEntity || m.columns[entity].has(x.id) ||
		m.entities[entity].service.Name != "" && m.reaches[entity].has(x.addr))
}

// endsMatch holds the criteria on who talks to whom, ports and protocol apart.
func (m *Model) endsMatch(r *rule, q *question) bool {
	if r.never || r.peer != noEntity && !m.entityMatches(r.peer, &q.peer) {
		return false
	}
	if r.local != noEntity && !m.entityMatches(r.local, &q.local) {
		return false
	}
	// Where the version is not known yet, the protocol will tell it.
	return q.version == 0 || q.versionMatches(r)
}

// versionMatches holds the criteria that depend on the version of IP.
func (q *question) versionMatches(r *rule) bool {
	return (r.ipVersion == 0 || r.ipVersion == q.version) && (r.nets == nil || r.nets.match(q))
}

// entityMatches says whether an entity matches one end: by the endpoint there,
// or by its address. An external entity's reach is what it leaves out (S17).
func (m *Model) entityMatches(e int32, x *end) bool {
	if m.entities[e].external {
		return (x.id < 0 || m.columns[e].has(x.id)) && !m.reaches[e].has(x.addr)
	}
	return x.id >= 0 && m.columns[e].has(x.id) || m.reaches[e].has(x.addr)
}

// match holds the criteria on addresses. A rule whose nets are of one family
// does not match the other, notNets included (S23); an endpoint that has no
// address yet is in no net.
func (n *netCriteria) match(q *question) bool {
	return n.version == q.version &&
		netsMatch(n.peer, n.notPeer, q.peer.addr) && netsMatch(n.local, n.notLocal, q.local.addr)
}

func netsMatch(nets, notNets []netip.Prefix, addr netip.Addr) bool {
	if len(nets) > 0 && !inNets(nets, addr) {
		return false
	}
	return len(notNets) == 0 || !inNets(notNets, addr)
}

func inNets(nets []netip.Prefix, addr netip.Addr) bool {
	for _, n := range nets {
		if n.Contains(addr) {
			return true
		}
	}
	return false
}
