// Package recording keeps flows in a file, with what is needed to judge them
// later: the endpoints and their labels, namespaces, Services and network sets.
//
// A recording is JSON lines, usually in zstd (docs/RECORDINGS.md). The first line
// is the header; then come objects, flows and, where it was not cut off, an end.
package recording

import (
	"time"

	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
)

// APIVersion and Kind are what the first line of a recording says.
const (
	APIVersion = "netpol.dev/v1"
	Kind       = "FlowRecording"
)

// Header is the first line.
type Header struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	// Created is when recording began.
	Created time.Time `json:"created"`
	// Program wrote it: a name and a version.
	Program string `json:"program,omitempty"`
	// Coverage is what was known when recording began; the end's counts, if
	// there is one.
	Coverage *coverage `json:"coverage,omitempty"`
}

// coverage is a flow.Coverage in JSON.
type coverage struct {
	From        time.Time     `json:"from"`
	To          time.Time     `json:"to"`
	Lost        int64         `json:"lost,omitempty"`
	LostUnknown bool          `json:"lostUnknown,omitempty"`
	Evicted     int64         `json:"evicted,omitempty"`
	Restricted  bool          `json:"restricted,omitempty"`
	Namespaces  []string      `json:"namespaces,omitempty"`
	Nodes       []node        `json:"nodes,omitempty"`
	Policies    []policySince `json:"policies,omitempty"`
}

type node struct {
	Node        string    `json:"node"`
	From        time.Time `json:"from"`
	To          time.Time `json:"to"`
	Gaps        []gap     `json:"gaps,omitempty"`
	Lost        int64     `json:"lost,omitempty"`
	LostUnknown bool      `json:"lostUnknown,omitempty"`
}

type gap struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
}

type policySince struct {
	Kind      policy.Kind `json:"kind"`
	Namespace string      `json:"namespace,omitempty"`
	Name      string      `json:"name"`
	Since     time.Time   `json:"since"`
}

func newCoverage(c flow.Coverage) *coverage {
	out := &coverage{
		From: c.From.UTC(), To: c.To.UTC(), Lost: c.Lost, LostUnknown: c.LostUnknown,
		Evicted: c.Evicted, Restricted: c.Restricted, Namespaces: c.Namespaces,
	}
	for _, n := range c.Nodes {
		w := node{Node: n.Node, From: n.From.UTC(), To: n.To.UTC(), Lost: n.Lost, LostUnknown: n.LostUnknown}
		for _, g := range n.Gaps {
			w.Gaps = append(w.Gaps, gap{g.From.UTC(), g.To.UTC()})
		}
		out.Nodes = append(out.Nodes, w)
	}
	for _, p := range c.Policies {
		out.Policies = append(out.Policies, policySince{p.Key.Kind, p.Key.Namespace, p.Key.Name, p.Since.UTC()})
	}
	return out
}

func (c *coverage) flow() flow.Coverage {
	if c == nil {
		return flow.Coverage{}
	}
	out := flow.Coverage{
		From: c.From, To: c.To, Lost: c.Lost, LostUnknown: c.LostUnknown,
		Evicted: c.Evicted, Restricted: c.Restricted, Namespaces: c.Namespaces,
	}
	for _, n := range c.Nodes {
		w := flow.NodeCoverage{Node: n.Node, From: n.From, To: n.To, Lost: n.Lost, LostUnknown: n.LostUnknown}
		for _, g := range n.Gaps {
			w.Gaps = append(w.Gaps, flow.Gap(g))
		}
		out.Nodes = append(out.Nodes, w)
	}
	for _, p := range c.Policies {
		out.Policies = append(out.Policies, flow.PolicySince{
			Key: policy.Key{Kind: p.Kind, Namespace: p.Namespace, Name: p.Name}, Since: p.Since,
		})
	}
	return out
}
