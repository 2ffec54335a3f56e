package calicolog

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/flow/jsonlines"
	"github.com/netpol-project/netpol/pkg/policy"
)

// record is a line of Calico's flow log, as far as it is looked at.
type record struct {
	// Wrapped is the flow log, where the line is a document of Elasticsearch.
	Wrapped *record `json:"_source"`

	Start moment `json:"start_time"`
	End   moment `json:"end_time"`

	SourceType      string `json:"source_type"`
	SourceName      string `json:"source_name"`
	SourceNameAggr  string `json:"source_name_aggr"`
	SourceNamespace string `json:"source_namespace"`
	SourceIP        string `json:"source_ip"`
	SourceLabels    labels `json:"source_labels"`

	DestType      string `json:"dest_type"`
	DestName      string `json:"dest_name"`
	DestNameAggr  string `json:"dest_name_aggr"`
	DestNamespace string `json:"dest_namespace"`
	DestIP        string `json:"dest_ip"`
	DestLabels    labels `json:"dest_labels"`

	// DestDomains are the DNS names of an address outside, where Calico logs them.
	DestDomains []string `json:"dest_domains"`

	DestPort         number  `json:"dest_port"`
	ServiceNamespace string  `json:"dest_service_namespace"`
	ServiceName      string  `json:"dest_service_name"`
	ServicePortName  string  `json:"dest_service_port_name"`
	ServicePort      anyText `json:"dest_service_port"`

	Protocol string    `json:"proto"`
	Action   string    `json:"action"`
	Reporter string    `json:"reporter"`
	Policies *policies `json:"policies"`

	PacketsIn  number `json:"packets_in"`
	PacketsOut number `json:"packets_out"`
	BytesIn    number `json:"bytes_in"`
	BytesOut   number `json:"bytes_out"`
	Started    number `json:"num_flows_started"`
	Completed  number `json:"num_flows_completed"`
	Flows      number `json:"num_flows"`
}

// labels are those of an end, as name=value.
type labels struct {
	Labels []string          `json:"labels"`
	own    map[string]string // what they say, where it was read already
}

// policies are the hits on the way to a verdict.
type policies struct {
	All      []string `json:"all_policies"`
	Enforced []string `json:"enforced_policies"`
	Pending  []string `json:"pending_policies"`
	own      *traces  // what they say, where it was read already
}

// end is one end of a flow.
type end struct{ kind, name, aggregated, namespace, ip string }

// moment is a time in seconds since 1970, as a number or a text, or RFC 3339.
type moment struct{ time.Time }

// UnmarshalJSON implements json.Unmarshaler.
func (m *moment) UnmarshalJSON(data []byte) error {
	text := strings.Trim(string(data), `"`)
	if at, err := time.Parse(time.RFC3339, text); err == nil && jsonlines.Plausible(at) {
		m.Time = at.UTC()
		return nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || !m.set(n) {
		return fmt.Errorf("%s: expected seconds since 1970 or a time such as 2026-03-01T12:00:00Z", data)
	}
	return nil
}

// set reads seconds since 1970; false if nobody can mean them.
func (m *moment) set(n int64) bool {
	if n <= 0 || n > 1<<42 {
		return false
	}
	if n > 1<<36 { // milliseconds, as Elasticsearch gives dates
		n /= 1000
	}
	m.Time = time.Unix(n, 0).UTC()
	return true
}

// number is a count that may be null, and is never negative.
type number int64

// UnmarshalJSON implements json.Unmarshaler.
func (n *number) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		return nil
	}
	v, err := strconv.ParseUint(strings.Trim(string(data), `"`), 10, 64)
	if err != nil || v > flow.MaxCount {
		return fmt.Errorf("%s: expected a number", data)
	}
	*n = number(v)
	return nil
}

// anyText is a text, or something else that is passed over.
type anyText string

// UnmarshalJSON implements json.Unmarshaler.
func (t *anyText) UnmarshalJSON(data []byte) error {
	var s string
	if json.Unmarshal(data, &s) == nil {
		*t = anyText(s)
	}
	return nil
}

// parseRecord reads a line: a flow log, or a document of Elasticsearch with one.
func parseRecord(data []byte) (*record, error) {
	if data[0] != '{' {
		return nil, errors.New("expected a flow log as one JSON object a line")
	}
	r := &record{}
	if err := json.Unmarshal(data, r); err != nil {
		return nil, fmt.Errorf("expected a flow log as one JSON object a line: %w", err)
	}
	if r.Wrapped != nil {
		return r.Wrapped, nil
	}
	return r, nil
}

// flow is the record as a flow.
func (r *record) flow() (flow.Flow, error) {
	f := flow.Flow{
		FirstSeen: r.Start.Time, LastSeen: r.End.Time,
		Connections: int64(r.Started), Completed: int64(r.Completed), Live: int64(r.Flows),
		PacketsIn: int64(r.PacketsIn), PacketsOut: int64(r.PacketsOut), BytesIn: int64(r.BytesIn), BytesOut: int64(r.BytesOut),
		SourceLabels: r.SourceLabels.read(), DestinationLabels: r.DestLabels.read(),
	}
	f.ServiceNamespace, f.ServiceName, f.ServicePortName = dash(r.ServiceNamespace), dash(r.ServiceName), dash(r.ServicePortName)
	if f.ServicePortName == "" && f.ServiceName != "" {
		f.ServicePortName = dash(string(r.ServicePort))
	}
	var err error
	source := end{r.SourceType, r.SourceName, r.SourceNameAggr, r.SourceNamespace, r.SourceIP}
	if f.Source, err = source.peer("source"); err != nil {
		return f, err
	}
	dest := end{r.DestType, r.DestName, r.DestNameAggr, r.DestNamespace, r.DestIP}
	if f.Destination, err = dest.peer("dest"); err != nil {
		return f, err
	}
	if f.Destination.Kind == flow.PeerNetwork || f.Destination.Kind == flow.PeerNetworkSet {
		f.Domains = flow.Domains(r.DestDomains)
	}
	var ok bool
	if f.Protocol, ok = flow.ParseProtocol(r.Protocol); !ok {
		return f, fmt.Errorf("proto %q: expected tcp, udp, … or a number from 1 to 255", r.Protocol)
	}
	if r.DestPort > 65535 {
		return f, fmt.Errorf("dest_port %d: there is no such port", r.DestPort)
	}
	f.Port = uint16(r.DestPort)
	switch r.Reporter {
	case "src":
		f.Direction = policy.Egress
	case "dst":
		f.Direction = policy.Ingress
	default:
		return f, fmt.Errorf("reporter %q: expected src or dst", r.Reporter)
	}
	if f.FirstSeen.IsZero() || f.LastSeen.IsZero() {
		return f, errors.New("start_time or end_time is missing")
	}
	if f.LastSeen.Before(f.FirstSeen) { // the node's clock was set back meanwhile
		f.FirstSeen, f.LastSeen = f.LastSeen, f.FirstSeen
	}
	return f, r.judge(&f)
}

func (l labels) read() map[string]string {
	if len(l.Labels) == 0 || l.own != nil {
		return l.own
	}
	out := make(map[string]string, len(l.Labels))
	for _, l := range l.Labels {
		k, v, _ := strings.Cut(l, "=")
		out[k] = v
	}
	return out
}

// peer is the end that a record tells. What is summed up has a name for all.
func (e end) peer(prefix string) (flow.Peer, error) {
	name := dash(e.name)
	if name == "" {
		name = dash(e.aggregated)
	}
	var addr netip.Addr
	if ip := dash(e.ip); ip != "" {
		var err error
		if addr, err = netip.ParseAddr(ip); err != nil {
			return flow.Peer{}, fmt.Errorf("%s_ip %q is no address", prefix, ip)
		}
		addr = addr.Unmap()
	}
	switch e.kind {
	case "wep":
		return flow.Peer{Kind: flow.PeerWorkload, Workload: policy.Workload{Namespace: dash(e.namespace), Name: name}}, nil
	case "hep":
		return flow.Peer{Kind: flow.PeerHost, Workload: policy.Workload{Name: name}}, nil
	case "ns":
		return flow.Peer{Kind: flow.PeerNetworkSet, Addr: addr, Workload: policy.Workload{Namespace: dash(e.namespace), Name: name}}, nil
	case "net":
		return flow.Peer{Kind: flow.PeerNetwork, Addr: addr}, nil
	}
	return flow.Peer{}, fmt.Errorf("%s_type %q: expected wep, hep, ns or net", prefix, e.kind)
}

// dash is s, empty where the log has the dash that stands for nothing.
func dash(s string) string {
	if s == "-" {
		return ""
	}
	return s
}
