package cmd

import (
	"github.com/netpol-project/netpol/internal/output"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/recommend"
	"github.com/netpol-project/netpol/pkg/stage"
)

// fixReport is the JSON of fix.
type fixReport struct {
	output.Meta
	Coverage coverageReport `json:"coverage"`
	// Groups are the flows that would be blocked without the edits, or may be.
	Groups []fixGroup `json:"groups"`
	Edits  []fixEdit  `json:"edits"`
	Proof  fixProof   `json:"proof"`
}

type fixGroup struct {
	Flow        string     `json:"flow"`
	Source      stage.Peer `json:"source"`
	Destination stage.Peer `json:"destination"`
	Connections int64      `json:"connections"`
	// State is fixed, decision, review, noRule, left, undecided or blocked.
	State     string      `json:"state"`
	Reason    string      `json:"reason,omitempty"`
	BlockedBy []hitReport `json:"blockedBy"`
	Edits     []string    `json:"edits"`
}

type fixEdit struct {
	Kind      string         `json:"kind"`
	Namespace string         `json:"namespace"`
	Name      string         `json:"name"`
	Tier      string         `json:"tier"`
	Extends   *policyReport  `json:"extends,omitempty"`
	Patch     string         `json:"patch"` // a unified diff of its YAML
	Policy    map[string]any `json:"policy"`
}

type fixProof struct {
	Blocked     int               `json:"blocked"`
	Remaining   int               `json:"remaining"`
	Undecided   int               `json:"undecided"`
	Opened      []string          `json:"opened"`
	NotObserved []notObservedItem `json:"notObserved"`
	Wider       []widerItem       `json:"wider"`
	Breaks      []string          `json:"breaks"`
	Doubts      []string          `json:"doubts"` // those that may be broken
}

func newFixReport(res *recommend.FixResult, patches []patch, coverage coverageReport) fixReport {
	proof := newProofReport(&recommend.Proof{NotObserved: res.Proof.NotObserved, Wider: res.Proof.Wider, Breaks: res.Proof.Breaks, Doubts: res.Proof.Doubts})
	out := fixReport{
		Meta: output.NewMeta("Fix"), Coverage: coverage, Groups: []fixGroup{}, Edits: []fixEdit{},
		Proof: fixProof{
			Blocked: res.Proof.Blocked, Remaining: res.Proof.Remaining, Undecided: res.Proof.Undecided, Opened: flowTexts(res.Proof.Opened),
			NotObserved: proof.NotObserved, Wider: proof.Wider, Breaks: proof.Breaks, Doubts: proof.Doubts,
		},
	}
	for _, g := range res.Groups {
		it := fixGroup{
			Flow: recommend.FlowText(g.Flow), Source: stage.NewPeer(g.Flow.Source), Destination: stage.NewPeer(g.Flow.Destination),
			Connections: g.Flow.Connections, State: string(g.State), Reason: g.Reason, BlockedBy: []hitReport{}, Edits: editsFor(res, g),
		}
		for d, by := range g.Blocked {
			if by != nil {
				it.BlockedBy = append(it.BlockedBy, newHitReport(*by, policy.Direction(d)))
			}
		}
		out.Groups = append(out.Groups, it)
	}
	for _, p := range patches {
		e := fixEdit{
			Kind: string(p.edit.Key.Kind), Namespace: p.edit.Namespace, Name: p.edit.Name, Tier: p.edit.Tier,
			Patch: p.text, Policy: p.object.Object,
		}
		if p.edit.Base != nil {
			b := p.edit.Base
			base := policyReport{Kind: string(b.Kind), Namespace: b.Namespace, Name: b.Name, Tier: b.Tier, StagedAction: string(b.StagedAction)}
			e.Extends = &base
		}
		out.Edits = append(out.Edits, e)
	}
	return out
}
