package tier

import (
	"slices"

	"github.com/netpol-project/netpol/pkg/policy"
)

// resolve makes of a rule whose ends match q the rules that stand for it
// between those two ends: ports by name and by Service become numbers, and
// criteria on the source's port, which q has, are done with. None if it can't
// match any more. Protocol and destination port of q are not looked at.
func (m *Model) resolve(r *rule, q *question, to []rule) []rule {
	by := r.by
	if by == nil {
		return append(to, *r)
	}
	if by.service {
		return m.resolveService(r, q, to)
	}
	src, srcEntity, dstEntity := q.source(), r.peer, r.local
	if q.dir == policy.Egress {
		srcEntity, dstEntity = dstEntity, srcEntity
	}
	at := func(numbers []policy.PortRange, names []string) bool {
		return inRanges(numbers, q.sourcePort) || m.named(names, src, srcEntity, r.protocol, q.sourcePort)
	}
	if !r.protocol.HasPorts() ||
		len(by.source)+len(by.sourceNamed) > 0 && !at(by.source, by.sourceNamed) || at(by.notSource, by.notSourceNamed) {
		return to
	}
	out := *r
	out.by = nil
	out.ports = append(slices.Clip(r.ports), m.numbers(by.named, q.destination(), dstEntity, r.protocol)...)
	out.notPorts = append(slices.Clip(r.notPorts), m.numbers(by.notNamed, q.destination(), dstEntity, r.protocol)...)
	if len(out.ports) == 0 && len(r.ports)+len(by.named) > 0 {
		return to // no such port there
	}
	return append(to, out)
}

// numbers are the ports that a pod declares under names.
func (m *Model) numbers(names []string, x *end, entity int32, proto policy.Protocol) []policy.PortRange {
	if len(names) == 0 || !m.namesPorts(entity, x) {
		return nil
	}
	var out []policy.PortRange
	for _, p := range m.ids.reps[x.id].Ports {
		if p.Name != "" && p.Protocol == proto && slices.Contains(names, p.Name) {
			out = append(out, policy.PortRange{Min: p.Port, Max: p.Port})
		}
	}
	return out
}

// resolveService makes one rule for each protocol that the Service has at the
// destination (S20).
func (m *Model) resolveService(r *rule, q *question, to []rule) []rule {
	entity := r.local
	if q.dir == policy.Egress {
		entity = r.peer
	}
	dst := q.destination()
	var ports [len(portProtocols)][]policy.PortRange
	m.reaches[entity].ports(dst, m.ids.rep(dst.id), func(p policy.Protocol, number uint16) {
		if i := slices.Index(portProtocols[:], p); i >= 0 && (r.protocol == 0 || r.protocol == p) {
			ports[i] = append(ports[i], policy.PortRange{Min: number, Max: number})
		}
	})
	for i, p := range portProtocols {
		if len(ports[i]) == 0 || r.notProtocol == p {
			continue
		}
		out := *r
		out.protocol, out.ports, out.by = p, ports[i], nil
		if by := *r.by; !by.serviceOnly() {
			by.service = false
			out.by = &by
			// The Service's ports are the numbers; validation refuses others
			// beside a Service.
			to = m.resolve(&out, q, to)
			continue
		}
		to = append(to, out)
	}
	return to
}
