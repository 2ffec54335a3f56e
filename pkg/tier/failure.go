package tier

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/netpol-project/netpol/pkg/policy"
)

// FailedByFault is in the place of a criterion where a rule could not be
// understood, and so matches nothing.
const FailedByFault = "fault"

// failure finds the first criterion of a rule that does not hold, in the
// order in which people read a rule: its field path, what it asks for and what
// the connection has.
func (m *Model) failure(r *rule, src *policy.Rule, q *question) (field, wanted, met string) {
	switch {
	case src.Faulty:
		return FailedByFault, "", ""
	case r.ipVersion != 0 && r.ipVersion != q.version:
		return "ipVersion", fmt.Sprint(r.ipVersion), fmt.Sprint(q.version)
	case r.protocol != 0 && r.protocol != q.protocol:
		return "protocol", r.protocol.String(), q.protocol.String()
	case r.notProtocol != 0 && r.notProtocol == q.protocol:
		return "notProtocol", anyBut + r.notProtocol.String(), q.protocol.String()
	case r.never && src.HTTP == nil || r.by != nil && r.protocol == 0 && !r.by.serviceOnly():
		return "protocol", "TCP, UDP or SCTP", "none"
	}
	sides := [...]sideOf{
		{"source", &src.Source, q.source(), r.peer, q.sourcePort},
		{"destination", &src.Destination, q.destination(), r.local, q.port},
	}
	if q.dir == policy.Egress {
		sides[0].entity, sides[1].entity = sides[1].entity, sides[0].entity
		sides[0], sides[1] = sides[1], sides[0] // the far side first
	}
	for i := range sides {
		if f, w, met := m.entityFailure(&sides[i]); f != "" {
			return f, w, met
		}
	}
	for i := range sides {
		if f, w, met := sides[i].netsFailure(r, q); f != "" {
			return f, w, met
		}
	}
	return m.portFailure(r, src, q, sides[:])
}

// sideOf is one side of a rule and the end of the connection there.
type sideOf struct {
	name   string
	rule   *policy.Entity
	end    *end
	entity int32
	port   uint16
}

func (m *Model) entityFailure(s *sideOf) (field, wanted, met string) {
	if s.entity == noEntity || m.entityMatches(s.entity, s.end) {
		return "", "", ""
	}
	e, ent, rep := s.rule, &m.entities[s.entity], m.ids.rep(s.end.id)
	wanted = entityText(e)
	switch {
	case e.Service != nil:
		met = m.endText(s.end)
		if m.reaches[s.entity] == nil {
			met = "there is no such Service"
		}
		return s.name + ".services", e.Service.Namespace + "/" + e.Service.Name, met
	case e.ServiceAccounts != nil && !m.accountMatches(s):
		return s.name + ".serviceAccounts", accountsText(e.ServiceAccounts), m.accountText(s.end)
	case rep != nil && ent.nsSel != nil && (ent.nsSel.Global() || !ent.nsSel.Matches(m.labels.namespaces[rep.Namespace])):
		return s.name + ".namespaceSelector", e.NamespaceSelector.String(),
			m.endText(s.end) + " in namespace " + rep.Namespace + labelsText(m.labels.namespaces[rep.Namespace])
	case e.Selector != nil:
		field = "selector"
	case e.NotSelector != nil:
		field = "notSelector"
	default:
		field, wanted = "namespaceSelector", e.NamespaceSelector.String()
	}
	if rep != nil && ent.namespace != "" && ent.namespace != rep.Namespace {
		wanted += ", in namespace " + ent.namespace // S16: its labels may well match
	}
	return s.name + "." + field, wanted, m.endText(s.end)
}

// accountMatches says whether the service account alone is as the rule wants.
func (m *Model) accountMatches(s *sideOf) bool {
	rep := m.ids.rep(s.end.id)
	return rep != nil && m.entities[s.entity].matchesAccount(rep, &m.labels)
}

func (s *sideOf) netsFailure(r *rule, q *question) (field, wanted, met string) {
	e := s.rule
	if len(e.Nets)+len(e.NotNets) == 0 {
		return "", "", ""
	}
	if r.nets.version == q.version && netsMatch(e.Nets, e.NotNets, s.end.addr) {
		return "", "", ""
	}
	field = "nets"
	if len(e.Nets) == 0 || inNets(e.Nets, s.end.addr) {
		field = "notNets"
	}
	met = "no address yet"
	if s.end.addr.IsValid() {
		met = s.end.addr.String()
	}
	wanted = netsText(e.Nets, e.NotNets)
	if r.nets.version != q.version {
		wanted = fmt.Sprintf("IPv%d, %s", r.nets.version, wanted) // S23, notNets too
	}
	return s.name + "." + field, wanted, met
}

// portFailure looks at what is left: ports, types and Services' ports.
func (m *Model) portFailure(r *rule, src *policy.Rule, q *question, sides []sideOf) (field, wanted, met string) {
	have := q.protocol.String()
	if text := policy.PortText(q.protocol, q.port); text != "" {
		have = text
	}
	if r.types {
		typ, code := policy.ICMPTypeCode(q.port)
		have = icmpText(&policy.ICMPMatch{Type: typ, Code: int(code)})
		if len(r.ports) > 0 && !r.portIn(r.ports, q) {
			return "icmp", icmpText(src.ICMP), have
		}
		if src.NotICMP != nil && r.portIn(r.notPorts, q) {
			return "notICMP", anyBut + icmpText(src.NotICMP), have
		}
	}
	for i := range sides {
		s := &sides[i]
		e := s.rule
		has := func(numbers []policy.PortRange, names []string) bool {
			return inRanges(numbers, s.port) || m.named(names, s.end, s.entity, q.protocol, s.port)
		}
		switch {
		case len(e.Ports)+len(e.NamedPorts) > 0 && !has(e.Ports, e.NamedPorts):
			return s.name + ".ports", portsText(e.Ports, e.NamedPorts), m.portMet(s, e.NamedPorts, q)
		case has(e.NotPorts, e.NotNamedPorts):
			return s.name + ".notPorts", anyBut + portsText(e.NotPorts, e.NotNamedPorts), m.portMet(s, e.NotNamedPorts, q)
		}
	}
	if src.HTTP != nil { // last: all else holds (S24)
		return "http", httpText(src.HTTP), "nothing here judges HTTP"
	}
	if r.by != nil && r.by.service {
		ref := src.Destination.Service
		return "destination.services", ref.Namespace + "/" + ref.Name, strings.TrimSuffix(q.protocol.String()+"/"+policy.PortText(q.protocol, q.port), "/")
	}
	return "destination.ports", portsText(src.Destination.Ports, src.Destination.NamedPorts), have
}

// portMet is the port, and what the names stand for at that end.
func (m *Model) portMet(s *sideOf, names []string, q *question) string {
	met := strconv.Itoa(int(s.port))
	if s.name == "source" && s.port == AssumedSourcePort {
		met += ", as programs get"
	}
	for _, name := range names {
		numbers := m.numbers([]string{name}, s.end, s.entity, q.protocol)
		switch {
		case len(numbers) > 0:
			met += fmt.Sprintf("; %s is %s there", name, portsText(numbers, nil))
		case s.end.id >= 0:
			met += fmt.Sprintf("; no %s port %s there", q.protocol, name)
		}
	}
	return met
}
