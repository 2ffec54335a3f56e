package recommend

import (
	"strconv"
	"strings"
	"time"

	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
)

// The annotations of a rule that say what it was written for. They are as of the
// moment when the rule was written: who brought them up to date at every run
// would change files in which nothing else changes.
const (
	ConnectionsAnnotation = "netpol.dev/connections"
	FirstSeenAnnotation   = "netpol.dev/first-seen"
	LastSeenAnnotation    = "netpol.dev/last-seen"
	SampleAnnotation      = "netpol.dev/sample"
)

// Evidence sums up flows.
type Evidence struct {
	Flows       int
	Connections int64
	// FirstSeen and LastSeen are zero if there are no flows.
	FirstSeen, LastSeen time.Time
	// Sample is the flow with the most connections, as text.
	Sample string
}

// EvidenceOf sums up some flows.
func EvidenceOf(flows []*flow.Observed) Evidence {
	e := Evidence{Flows: len(flows)}
	var most *flow.Observed
	for _, o := range flows {
		e.Connections += o.Connections
		if e.FirstSeen.IsZero() || o.FirstSeen.Before(e.FirstSeen) {
			e.FirstSeen = o.FirstSeen
		}
		if o.LastSeen.After(e.LastSeen) {
			e.LastSeen = o.LastSeen
		}
		if most == nil || o.Connections > most.Connections {
			most = o
		}
	}
	if most != nil {
		e.Sample = FlowText(most)
	}
	return e
}

// String is the evidence in words.
func (e Evidence) String() string {
	return plural(int64(e.Flows), "flow") + ", " + plural(e.Connections, "connection") + ", seen " + stamp(e.FirstSeen) + " to " + stamp(e.LastSeen)
}

// annotations are the evidence as a rule carries it.
func (e Evidence) annotations() map[string]any {
	return map[string]any{
		ConnectionsAnnotation: strconv.FormatInt(e.Connections, 10),
		FirstSeenAnnotation:   stamp(e.FirstSeen),
		LastSeenAnnotation:    stamp(e.LastSeen),
		SampleAnnotation:      e.Sample,
	}
}

// FlowText is a flow on one line.
func FlowText(o *flow.Observed) string {
	return o.Source.String() + " → " + o.DestinationText() + " " + strings.ToLower(flow.PortText(o.Protocol, o.Port))
}

// Flows are the flows that the policy was written for, each once.
func (p *Policy) Flows() []*flow.Observed {
	var out []*flow.Observed
	done := map[*flow.Observed]bool{}
	for _, rules := range p.Rules {
		for _, r := range rules {
			for _, o := range r.Evidence {
				if !done[o] {
					done[o] = true
					out = append(out, o)
				}
			}
		}
	}
	return out
}

// Peers are the other ends of the evidence of a rule for a direction, with the
// Services by which they were reached, each once and in order.
func (r *Rule) Peers(dir policy.Direction) []string {
	var out []string
	done := map[string]bool{}
	for _, o := range r.Evidence {
		text := "from " + o.Source.String()
		if dir == policy.Egress {
			text = "to " + o.DestinationText()
		}
		if s := o.Service(); s != "" {
			text += " by Service " + s
		}
		if !done[text] {
			done[text] = true
			out = append(out, text)
		}
	}
	return out
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
