package cmd

import (
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/netpol-project/netpol/internal/output"
	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/recommend"
)

// recommendReport is the JSON of recommend.
type recommendReport struct {
	output.Meta
	Coverage coverageReport   `json:"coverage"`
	Proof    proofReport      `json:"proof"`
	Items    []recommendItem  `json:"items"`
	Covered  []workloadReport `json:"covered"`
	Unseen   []workloadReport `json:"unseen"`
	Skipped  []recommendSkip  `json:"skipped"`
	// SeenOnce are flows that are allowed though each was seen once.
	SeenOnce []string `json:"seenOnce"`
}

type proofReport struct {
	Observed    int               `json:"observed"`
	Allowed     int               `json:"allowed"`
	Blocked     []string          `json:"blocked"`
	Breaks      []string          `json:"breaks"`
	Doubts      []string          `json:"doubts"` // those that may be broken
	NotObserved []notObservedItem `json:"notObserved"`
	Wider       []widerItem       `json:"wider"`
}

type notObservedItem struct {
	Source      workloadReport `json:"source"`
	Destination workloadReport `json:"destination"`
	flow.Port
}

// widerItem is a net, or a network set, that holds more addresses than were seen.
type widerItem struct {
	Namespace  string `json:"namespace"`
	Policy     string `json:"policy"`
	Direction  string `json:"direction"`
	Net        string `json:"net,omitempty"`
	NetworkSet string `json:"networkSet,omitempty"`
	Seen       int    `json:"seen"`
}

type recommendItem struct {
	Workloads []workloadReport `json:"workloads"`
	// Unasked are those of the workloads that were not asked for.
	Unasked     []workloadReport `json:"unasked,omitempty"`
	Flows       int              `json:"flows"`
	Connections int64            `json:"connections"`
	Extends     bool             `json:"extends"`
	// Rules are the new ones, in the order of the policy's.
	Rules  []recommendRule `json:"rules"`
	Policy map[string]any  `json:"policy"`
}

// recommendRule says why a rule is there.
type recommendRule struct {
	Direction string `json:"direction"`
	// Index is the rule's place in the policy's list.
	Index       int              `json:"index"`
	Purpose     string           `json:"purpose,omitempty"`
	Admits      []workloadReport `json:"admits"`
	Flows       []string         `json:"flows"`
	Connections int64            `json:"connections"`
	FirstSeen   time.Time        `json:"firstSeen"`
	LastSeen    time.Time        `json:"lastSeen"`
	Sample      string           `json:"sample"`
}

type recommendSkip struct {
	Flow     string `json:"flow,omitempty"`
	Workload string `json:"workload,omitempty"`
	Kind     string `json:"kind"`
	Reason   string `json:"reason"`
}

func newRecommendReport(res *recommend.Result, objects []*unstructured.Unstructured, coverage coverageReport) recommendReport {
	out := recommendReport{
		Meta: output.NewMeta("Recommendation"), Coverage: coverage, Proof: newProofReport(&res.Proof),
		Items: []recommendItem{}, Covered: workloadReports(res.Covered), Unseen: workloadReports(res.Unseen),
		Skipped: []recommendSkip{}, SeenOnce: flowTexts(res.Once),
	}
	for i, r := range res.Policies {
		it := recommendItem{
			Workloads: workloadReports(r.Workloads), Extends: r.Base != nil, Rules: []recommendRule{}, Policy: objects[i].Object,
		}
		if len(r.Unasked) > 0 {
			it.Unasked = workloadReports(r.Unasked)
		}
		for _, o := range r.Flows() {
			it.Flows++
			it.Connections += o.Connections
		}
		for d := range r.Rules {
			for j := range r.Rules[d] {
				it.Rules = append(it.Rules, newRecommendRule(r, policy.Direction(d), j))
			}
		}
		out.Items = append(out.Items, it)
	}
	for _, s := range res.Skipped {
		out.Skipped = append(out.Skipped, newSkip(s))
	}
	return out
}

func newProofReport(proof *recommend.Proof) proofReport {
	out := proofReport{
		Observed: proof.Observed, Allowed: proof.Allowed, Blocked: blockedTexts(proof.Blocked), Breaks: blockedTexts(proof.Breaks), Doubts: doubtTexts(proof.Doubts),
		NotObserved: []notObservedItem{}, Wider: []widerItem{},
	}
	for _, n := range proof.NotObserved {
		out.NotObserved = append(out.NotObserved, notObservedItem{
			Source: newWorkloadReport(n.Source), Destination: newWorkloadReport(n.Destination), Port: flow.NewPort(n.Protocol, n.Port),
		})
	}
	for _, w := range proof.Wider {
		it := widerItem{Namespace: w.Policy.Namespace, Policy: w.Policy.Name, Direction: w.Direction.String(), Seen: w.Seen}
		if w.Set.Name != "" {
			it.NetworkSet = w.Set.String()
		} else {
			it.Net = w.Net.String()
		}
		out.Wider = append(out.Wider, it)
	}
	return out
}

func newRecommendRule(p *recommend.Policy, d policy.Direction, i int) recommendRule {
	r := &p.Rules[d][i]
	e := recommend.EvidenceOf(r.Evidence)
	out := recommendRule{
		Direction: d.String(), Index: i, Purpose: r.Purpose, Admits: workloadReports(r.Admits), Flows: flowTexts(r.Evidence),
		Connections: e.Connections, FirstSeen: e.FirstSeen.UTC().Truncate(time.Second), LastSeen: e.LastSeen.UTC().Truncate(time.Second), Sample: e.Sample,
	}
	if p.Base != nil {
		out.Index += len(p.Base.Rules[d])
	}
	return out
}

func newSkip(s recommend.Skipped) recommendSkip {
	out := recommendSkip{Kind: string(s.Kind), Reason: s.Reason}
	if s.Flow != nil {
		out.Flow = recommend.FlowText(s.Flow)
	} else {
		out.Workload = s.Workload.String()
	}
	return out
}

func flowTexts(flows []*flow.Observed) []string {
	out := []string{}
	for _, o := range flows {
		out = append(out, recommend.FlowText(o))
	}
	return out
}

func workloadReports(list []policy.Workload) []workloadReport {
	out := []workloadReport{}
	for _, w := range list {
		out = append(out, newWorkloadReport(w))
	}
	return out
}

func blockedTexts(list []recommend.Blocked) []string {
	out := []string{}
	for _, b := range list {
		out = append(out, breakText(b))
	}
	return out
}

// breakText is a flow and what refuses it. The default-deny of the proof is no
// policy that anybody could look up.
func breakText(b recommend.Blocked) string {
	if b.ByDefaultDeny() {
		return recommend.FlowText(b.Flow) + ", by the default-deny"
	}
	return recommend.FlowText(b.Flow) + ", by " + hitText(newHitReport(b.By, policy.Egress))
}

func doubtTexts(list []recommend.Doubt) []string {
	out := []string{}
	for _, d := range list {
		out = append(out, recommend.FlowText(d.Flow)+": "+d.Reason)
	}
	return out
}
