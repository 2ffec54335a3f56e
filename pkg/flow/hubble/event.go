package hubble

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// event is a line, as far as it is looked at: a response of the observer, or a
// flow alone. Field names are those of Cilium's observer.proto and flow.proto.
type event struct {
	Flow *packet `json:"flow"`
	Lost *struct {
		Events count `json:"num_events_lost"`
	} `json:"lost_events"`
	Node string    `json:"node_name"`
	Time time.Time `json:"time"`
	// Verdict tells a flow alone.
	Verdict string `json:"verdict"`
}

// packet is a Flow of Hubble.
type packet struct {
	Time       time.Time `json:"time"`
	Verdict    string    `json:"verdict"`
	DropReason string    `json:"drop_reason_desc"`
	IP         struct {
		Source      string `json:"source"`
		Destination string `json:"destination"`
	} `json:"IP"`
	L4          l4              `json:"l4"`
	Source      endpoint        `json:"source"`
	Destination endpoint        `json:"destination"`
	Domains     []string        `json:"destination_names"`
	Type        string          `json:"Type"`
	Node        string          `json:"node_name"`
	L7          json.RawMessage `json:"l7"`
	IsReply     *bool           `json:"is_reply"`
	Reply       bool            `json:"reply"` // before is_reply there was
	Service     struct {
		Name      string `json:"name"`
		Namespace string `json:"namespace"`
	} `json:"destination_service"`
	Direction string `json:"traffic_direction"`
	Point     string `json:"trace_observation_point"`
}

type l4 struct {
	TCP    *ports `json:"TCP"`
	UDP    *ports `json:"UDP"`
	SCTP   *ports `json:"SCTP"`
	ICMPv4 *icmp  `json:"ICMPv4"`
	ICMPv6 *icmp  `json:"ICMPv6"`
}

type ports struct {
	Source      uint16 `json:"source_port"`
	Destination uint16 `json:"destination_port"`
	Flags       *flags `json:"flags"`
}

type flags struct {
	SYN bool `json:"SYN"`
	ACK bool `json:"ACK"`
}

type icmp struct {
	Type uint8 `json:"type"`
	Code uint8 `json:"code"`
}

// endpoint is one end of a packet.
type endpoint struct {
	Namespace string   `json:"namespace"`
	Labels    []string `json:"labels"`
	Pod       string   `json:"pod_name"`
	Workloads []struct {
		Name string `json:"name"`
		Kind string `json:"kind"`
	} `json:"workloads"`
	// own are its labels, where they were looked for already.
	own map[string]string
}

// count is a number, which JSON of protocol buffers writes as a text.
type count int64

// UnmarshalJSON implements json.Unmarshaler.
func (c *count) UnmarshalJSON(data []byte) error {
	n, err := strconv.ParseUint(strings.Trim(string(data), `"`), 10, 62)
	if err != nil {
		return fmt.Errorf("%s: expected a number", data)
	}
	*c = count(n)
	return nil
}

// parseEvent reads a line.
func parseEvent(data []byte) (*event, error) {
	e := &event{}
	if err := json.Unmarshal(data, e); err != nil || data[0] != '{' {
		return nil, fmt.Errorf("expected an event of hubble observe -o jsonpb: %w", cmp.Or(err, errors.New("not a JSON object")))
	}
	switch {
	case e.Flow == nil && e.Verdict != "": // a flow alone
		e.Flow = &packet{}
		if err := json.Unmarshal(data, e.Flow); err != nil {
			return nil, fmt.Errorf("expected an event of hubble observe -o jsonpb: %w", err)
		}
	case e.Flow == nil && e.Lost == nil && !IsEvent(data):
		return nil, errors.New("expected an event of hubble observe -o jsonpb: it has no flow")
	case e.Flow != nil:
		if e.Flow.Time.IsZero() {
			e.Flow.Time = e.Time
		}
		e.Flow.Node = cmp.Or(e.Flow.Node, e.Node)
	}
	return e, nil
}

// IsEvent says whether text, the start of a file, begins as Hubble's lines do.
func IsEvent(text []byte) bool {
	var fields map[string]json.RawMessage
	line, _, _ := strings.Cut(strings.TrimSpace(string(text)), "\n")
	if json.Unmarshal([]byte(line), &fields) != nil {
		return false
	}
	for _, name := range []string{"flow", "verdict", "lost_events", "node_status", "agent_event", "debug_event"} {
		if _, ok := fields[name]; ok {
			return true
		}
	}
	return false
}
