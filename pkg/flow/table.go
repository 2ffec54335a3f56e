package flow

import (
	"maps"
	"slices"
	"strings"

	"github.com/netpol-project/netpol/pkg/policy"
)

// service is what a connection was made to, before translation.
type service struct{ namespace, name, port string }

// Subject stands for a Key, and for what else is told of a flow apart from its
// counts and times, to the Table that made it. It is comparable.
type Subject struct {
	key                   keyNumbers
	labels                [2]uint32 // of source and destination
	domains               uint32
	enforcedBy, wouldBeBy uint32 // traces
}

// keyNumbers stand for a Key.
type keyNumbers struct {
	source, destination, service, enforced, pending, logs uint32
	port                                                  uint16
	protocol                                              policy.Protocol
	direction                                             policy.Direction
	probe                                                 bool
}

// Table holds each part of flows once, so that many flows take little room. It
// is not for several goroutines at once.
type Table struct {
	peers    interned[Peer]
	services interned[service]
	hits     interned[policy.Hit]
	logs     interned[Logs]
	labels   *shared[map[string]string]
	domains  *shared[[]string]
	traces   *shared[[]Step]
}

// NewTable makes an empty table.
func NewTable() *Table {
	return &Table{
		labels:  newShared(labelsText),
		domains: newShared(func(d []string) string { return strings.Join(d, "\x00") }),
		traces:  newShared(stepsText),
	}
}

// Subject is what a flow is of. The flow's maps and slices are not to be changed
// any more.
func (t *Table) Subject(f *Flow) Subject {
	return Subject{
		key: keyNumbers{
			source: t.peers.number(f.Source), destination: t.peers.number(f.Destination),
			service:  t.services.number(service{f.ServiceNamespace, f.ServiceName, f.ServicePortName}),
			enforced: t.hits.number(f.Enforced), pending: t.hits.number(f.Pending), logs: t.logs.number(f.Logs),
			port: f.Port, protocol: f.Protocol, direction: f.Direction, probe: f.Probe,
		},
		labels:  [2]uint32{t.labels.number(f.SourceLabels), t.labels.number(f.DestinationLabels)},
		domains: t.domains.number(f.Domains), enforcedBy: t.traces.number(f.EnforcedTrace), wouldBeBy: t.traces.number(f.PendingTrace),
	}
}

// Flow is a flow of the subject that counts nothing yet.
func (t *Table) Flow(s Subject) Flow {
	return Flow{
		Key:          t.key(s.key),
		SourceLabels: t.labels.values[s.labels[0]], DestinationLabels: t.labels.values[s.labels[1]],
		Domains: t.domains.values[s.domains], EnforcedTrace: t.traces.values[s.enforcedBy], PendingTrace: t.traces.values[s.wouldBeBy],
	}
}

func (t *Table) key(n keyNumbers) Key {
	to := t.services.values[n.service]
	return Key{
		Source: t.peers.values[n.source], Destination: t.peers.values[n.destination],
		ServiceNamespace: to.namespace, ServiceName: to.name, ServicePortName: to.port,
		Enforced: t.hits.values[n.enforced], Pending: t.hits.values[n.pending], Logs: t.logs.values[n.logs],
		Port: n.port, Protocol: n.protocol, Direction: n.direction, Probe: n.probe,
	}
}

// both is what is told of two flows of one key together, as Flow.Add says.
func (t *Table) both(a, b Subject) Subject {
	for i := range a.labels {
		if a.labels[i] != b.labels[i] {
			a.labels[i] = t.labels.number(intersect(t.labels.values[a.labels[i]], t.labels.values[b.labels[i]]))
		}
	}
	if a.domains != b.domains {
		a.domains = t.domains.number(joinDomains(t.domains.values[a.domains], t.domains.values[b.domains]))
	}
	if a.enforcedBy != b.enforcedBy {
		a.enforcedBy = 0
	}
	if a.wouldBeBy != b.wouldBeBy {
		a.wouldBeBy = 0
	}
	return a
}

func labelsText(labels map[string]string) string {
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(labels)) {
		b.WriteString(k + "\x00" + labels[k] + "\x00")
	}
	return b.String()
}

func stepsText(trace []Step) string {
	hits := make([]policy.Hit, len(trace))
	var b strings.Builder
	for i, s := range trace {
		hits[i] = s.Hit
		b.WriteRune(rune(s.Index))
		b.WriteRune(rune(s.Action))
	}
	return b.String() + string(NewLogs(hits))
}
