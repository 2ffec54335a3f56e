package recording

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"time"

	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
)

// line is any line but the first. One of Object, Flow and End is set.
type line struct {
	Object json.RawMessage `json:"object"`
	Flow   json.RawMessage `json:"flow"`
	counts
	End *end `json:"end"`
}

// counts are what a record counts of its flow. Their order is that of the lines
// that are written, which decodeFast relies on.
type counts struct {
	FirstSeen   time.Time `json:"firstSeen"`
	LastSeen    time.Time `json:"lastSeen"`
	Connections int64     `json:"connections"`
	Completed   int64     `json:"completed"`
	Live        int64     `json:"live"`
	PacketsIn   int64     `json:"packetsIn"`
	PacketsOut  int64     `json:"packetsOut"`
	BytesIn     int64     `json:"bytesIn"`
	BytesOut    int64     `json:"bytesOut"`
}

// flowLine is a line with a flow, as it is written.
type flowLine struct {
	Flow subject `json:"flow"`
	counts
}

// end is the last line of a recording that was not cut off.
type end struct {
	Records  int64     `json:"records"`
	Coverage *coverage `json:"coverage,omitempty"`
}

// subject is what a record counts: a flow.Key, and the labels that its pods share.
type subject struct {
	Source      peer   `json:"source"`
	Destination peer   `json:"destination"`
	Protocol    string `json:"protocol"`
	// Port is the destination's, or of ICMP the type and code in two bytes.
	Port              uint16            `json:"port"`
	Service           *service          `json:"service,omitempty"`
	Direction         string            `json:"direction"`
	Enforced          hit               `json:"enforced"`
	Pending           hit               `json:"pending"`
	Logs              []hit             `json:"logs,omitempty"`
	EnforcedTrace     []step            `json:"enforcedTrace,omitempty"`
	PendingTrace      []step            `json:"pendingTrace,omitempty"`
	Probe             bool              `json:"probe,omitempty"`
	SourceLabels      map[string]string `json:"sourceLabels,omitempty"`
	DestinationLabels map[string]string `json:"destinationLabels,omitempty"`
	Domains           []string          `json:"domains,omitempty"`
}

type peer struct {
	Kind      flow.PeerKind `json:"kind"`
	Namespace string        `json:"namespace,omitempty"`
	Name      string        `json:"name,omitempty"`
	Workload  policy.Kind   `json:"workloadKind,omitempty"`
	Address   netip.Addr    `json:"address,omitzero"`
}

type service struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	Port      string `json:"port,omitempty"`
}

type hit struct {
	Action    string      `json:"action"`
	Tier      string      `json:"tier,omitempty"`
	Kind      policy.Kind `json:"kind,omitempty"`
	Namespace string      `json:"namespace,omitempty"`
	Name      string      `json:"name,omitempty"`
	Rule      int         `json:"rule"`
}

type step struct {
	hit
	Index int `json:"index"`
}

func newFlowLine(f *flow.Flow) flowLine {
	s := subject{
		Source: newPeer(f.Source), Destination: newPeer(f.Destination),
		Protocol: f.Protocol.String(), Port: f.Port, Direction: f.Direction.String(),
		Enforced: newHit(f.Enforced), Pending: newHit(f.Pending), Probe: f.Probe,
		EnforcedTrace: newSteps(f.EnforcedTrace), PendingTrace: newSteps(f.PendingTrace),
		SourceLabels: f.SourceLabels, DestinationLabels: f.DestinationLabels, Domains: f.Domains,
	}
	if f.ServiceName != "" {
		s.Service = &service{f.ServiceNamespace, f.ServiceName, f.ServicePortName}
	}
	for _, h := range f.Logs.Hits() {
		s.Logs = append(s.Logs, newHit(h))
	}
	return flowLine{Flow: s, counts: counts{
		FirstSeen: f.FirstSeen.UTC(), LastSeen: f.LastSeen.UTC(),
		Connections: f.Connections, Completed: f.Completed, Live: f.Live,
		PacketsIn: f.PacketsIn, PacketsOut: f.PacketsOut, BytesIn: f.BytesIn, BytesOut: f.BytesOut,
	}}
}

func newPeer(p flow.Peer) peer {
	return peer{p.Kind, p.Workload.Namespace, p.Workload.Name, p.Workload.Kind, p.Addr}
}

func newHit(h policy.Hit) hit {
	return hit{h.Action.String(), h.Tier, h.Policy.Kind, h.Policy.Namespace, h.Policy.Name, h.Rule}
}

func newSteps(in []flow.Step) []step {
	var out []step
	for _, s := range in {
		out = append(out, step{newHit(s.Hit), s.Index})
	}
	return out
}

// decodeSubject reads what a record counts, as a flow that counts nothing yet.
func decodeSubject(data []byte) (*flow.Flow, error) {
	var s subject
	if err := json.Unmarshal(data, &s); err != nil {
		return nil, err
	}
	f := &flow.Flow{SourceLabels: s.SourceLabels, DestinationLabels: s.DestinationLabels, Domains: flow.Domains(s.Domains)}
	f.Port, f.Probe = s.Port, s.Probe
	var err error
	if f.Source, err = s.Source.flow("source"); err != nil {
		return nil, err
	}
	if f.Destination, err = s.Destination.flow("destination"); err != nil {
		return nil, err
	}
	var ok bool
	if f.Protocol, ok = flow.ParseProtocol(s.Protocol); !ok {
		return nil, fmt.Errorf("protocol %q: expected TCP, UDP, … or a number from 1 to 255", s.Protocol)
	}
	switch s.Direction {
	case policy.Egress.String():
		f.Direction = policy.Egress
	case policy.Ingress.String():
		f.Direction = policy.Ingress
	default:
		return nil, fmt.Errorf("direction %q: expected Ingress or Egress", s.Direction)
	}
	if s.Service != nil {
		f.ServiceNamespace, f.ServiceName, f.ServicePortName = s.Service.Namespace, s.Service.Name, s.Service.Port
	}
	return f, s.judged(f)
}

// judged fills in what decided.
func (s *subject) judged(f *flow.Flow) error {
	var err error
	if f.Enforced, err = s.Enforced.verdict("enforced"); err != nil {
		return err
	}
	if f.Pending, err = s.Pending.verdict("pending"); err != nil {
		return err
	}
	var logs []policy.Hit
	for _, l := range s.Logs {
		h, err := l.policy("logs")
		if err != nil {
			return err
		}
		logs = append(logs, h)
	}
	f.Logs = flow.NewLogs(logs)
	if f.EnforcedTrace, err = steps(s.EnforcedTrace); err != nil {
		return err
	}
	f.PendingTrace, err = steps(s.PendingTrace)
	return err
}

func steps(in []step) ([]flow.Step, error) {
	var out []flow.Step
	for _, s := range in {
		h, err := s.policy("trace")
		if err != nil {
			return nil, err
		}
		out = append(out, flow.Step{Hit: h, Index: s.Index})
	}
	return out, nil
}

func (p peer) flow(field string) (flow.Peer, error) {
	switch p.Kind {
	case flow.PeerWorkload, flow.PeerHost, flow.PeerNetwork, flow.PeerNetworkSet:
	default:
		return flow.Peer{}, fmt.Errorf("%s: kind %q: expected Workload, Host, Network or NetworkSet", field, p.Kind)
	}
	return flow.Peer{
		Kind: p.Kind, Addr: p.Address.Unmap().WithZone(""),
		Workload: policy.Workload{Kind: p.Workload, Namespace: p.Namespace, Name: p.Name},
	}, nil
}

// verdict is a hit that decided.
func (h hit) verdict(field string) (policy.Hit, error) {
	out, err := h.policy(field)
	if err == nil && out.Action != policy.Allow && out.Action != policy.Deny {
		err = fmt.Errorf("%s: action %q: expected Allow or Deny", field, h.Action)
	}
	return out, err
}

func (h hit) policy(field string) (policy.Hit, error) {
	for _, a := range []policy.Action{policy.Allow, policy.Deny, policy.Pass, policy.Log} {
		if a.String() == h.Action {
			return policy.Hit{Tier: h.Tier, Policy: policy.Key{Kind: h.Kind, Namespace: h.Namespace, Name: h.Name}, Rule: h.Rule, Action: a}, nil
		}
	}
	return policy.Hit{}, fmt.Errorf("%s: action %q: expected Allow, Deny, Pass or Log", field, h.Action)
}
