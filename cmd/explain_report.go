package cmd

import (
	"github.com/netpol-project/netpol/internal/output"
	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
)

// explainReport is the JSON of explain.
type explainReport struct {
	output.Meta
	Source      string `json:"source"`
	Destination string `json:"destination"`
	flow.Port
	SourcePort int             `json:"sourcePort,omitempty"`
	Result     string          `json:"result"` // allow or deny
	Notes      []string        `json:"notes,omitempty"`
	Ends       []explainEnd    `json:"ends"`
	Pending    *explainPending `json:"pending,omitempty"`
}

// explainPending is there if staged policies would change who decides.
type explainPending struct {
	Result string    `json:"result"`
	By     hitReport `json:"by"`
	// Alone are the staged policies that would change the result by themselves.
	Alone []explainKey `json:"alone,omitempty"`
}

type explainKey struct {
	Kind      string `json:"kind"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
}

type explainEnd struct {
	Direction  string        `json:"direction"`
	Endpoint   string        `json:"endpoint"`
	Result     string        `json:"result"`
	By         hitReport     `json:"by"`
	Logs       []hitReport   `json:"logs,omitempty"`
	Tiers      []explainTier `json:"tiers"`
	NotReached []explainKey  `json:"notReached,omitempty"`
}

type explainTier struct {
	Tier     string          `json:"tier"`
	Outcome  string          `json:"outcome"`
	Default  bool            `json:"byDefaultAction"`
	Policies []explainPolicy `json:"policies"`
}

type explainPolicy struct {
	explainKey
	Rules []explainRule `json:"rules"`
}

type explainRule struct {
	Rule    int    `json:"rule"`
	Action  string `json:"action"`
	Matched bool   `json:"matched"`
	Failed  string `json:"failed,omitempty"`
	Wanted  string `json:"wanted,omitempty"`
	Met     string `json:"met,omitempty"`
}

// resultWord is a verdict in JSON.
func resultWord(allowed bool) string {
	if allowed {
		return "allow"
	}
	return "deny"
}

// newPortReport is a port as flows have it in JSON. What is asked about is
// known, so type 0 of ICMP is one too.
func newPortReport(p policy.Protocol, port uint16) flow.Port {
	out := flow.NewPort(p, port)
	if p.HasTypes() && out.ICMP == nil {
		out.ICMP = &flow.ICMP{}
	}
	return out
}

func newExplainKey(k policy.Key) explainKey { return explainKey{string(k.Kind), k.Namespace, k.Name} }

func explainKeys(keys []policy.Key) []explainKey {
	var out []explainKey
	for _, k := range keys {
		out = append(out, newExplainKey(k))
	}
	return out
}

func newExplainReport(e *explained) explainReport {
	r := explainReport{
		Meta: output.NewMeta("Explanation"), Source: e.source, Destination: e.destination,
		Port: newPortReport(e.protocol, e.port), SourcePort: int(e.sourcePort),
		Result: resultWord(e.allowed), Notes: e.notes, Ends: []explainEnd{},
	}
	if a := e.pending; a != nil {
		r.Pending = &explainPending{Result: resultWord(a.allowed), By: newHitReport(a.by, a.dir), Alone: explainKeys(a.alone)}
	}
	for i := range e.ends {
		r.Ends = append(r.Ends, newExplainEnd(&e.ends[i]))
	}
	return r
}

func newExplainEnd(end *endWalk) explainEnd {
	v := end.walk.Verdict
	out := explainEnd{
		Direction: end.walk.Direction.String(), Endpoint: end.at, Result: resultWord(v.Action == policy.Allow),
		By: newHitReport(v.By, end.walk.Direction), Tiers: []explainTier{}, NotReached: explainKeys(end.notReached),
	}
	for _, l := range v.Logs {
		out.Logs = append(out.Logs, newHitReport(l, end.walk.Direction))
	}
	for _, t := range end.walk.Tiers {
		tr := explainTier{Tier: t.Tier, Outcome: t.Outcome.String(), Default: t.ByDefault, Policies: []explainPolicy{}}
		for _, ps := range t.Policies {
			pr := explainPolicy{explainKey: newExplainKey(ps.Policy.Key), Rules: []explainRule{}}
			for _, rule := range ps.Rules {
				pr.Rules = append(pr.Rules, explainRule{rule.Index, rule.Action.String(), rule.Matched, rule.Failed, rule.Wanted, rule.Met})
			}
			tr.Policies = append(tr.Policies, pr)
		}
		out.Tiers = append(out.Tiers, tr)
	}
	return out
}
