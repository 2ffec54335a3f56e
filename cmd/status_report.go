package cmd

import (
	"strings"
	"time"

	"github.com/netpol-project/netpol/internal/output"
	"github.com/netpol-project/netpol/pkg/enforce/agentpb"
)

// statusReport is the JSON of status.
type statusReport struct {
	output.Meta
	Healthy bool `json:"healthy"`
	// FlowsServer is a cluster's.
	FlowsServer *serverStatus `json:"flowsServer,omitempty"`
	Nodes       []nodeStatus  `json:"nodes"`
	Problems    []string      `json:"problems"`
	Warnings    []string      `json:"warnings"`
}

type serverStatus struct {
	Version   string `json:"version"`
	Expected  int    `json:"agentsExpected"`
	Connected int    `json:"agentsConnected"`
}

// nodeStatus is one node's agent.
type nodeStatus struct {
	Node      string `json:"node"`
	Connected bool   `json:"connected"`
	Ready     bool   `json:"ready"`
	Enforcing bool   `json:"enforcing"`
	Version   string `json:"version"`
	// Revision is the agent's own count of what it has programmed.
	Revision uint64 `json:"revision"`
	// LagSeconds is how long the last change took to the kernel.
	LagSeconds     float64 `json:"lagSeconds"`
	Policies       int64   `json:"policies"`
	Endpoints      int64   `json:"endpoints"`
	LostEvents     uint64  `json:"lostEvents"`
	LostUnknown    bool    `json:"lostUnknown"`
	Disagreements  uint64  `json:"disagreements"`
	Resyncs        uint64  `json:"resyncs"`
	Repairs        uint64  `json:"repairs"`
	CutConnections uint64  `json:"cutConnections"`
	// CNI is whether the CNI plugin is in force; absent where the node is not to
	// have it.
	CNI      *cniStatus `json:"cni,omitempty"`
	Told     *time.Time `json:"told,omitempty"`
	Problems []string   `json:"problems"`
}

// cniStatus is the CNI plugin on a node.
type cniStatus struct {
	InForce bool   `json:"inForce"`
	File    string `json:"file,omitempty"`   // the configuration that names it
	Reason  string `json:"reason,omitempty"` // why it is not in force
}

func newNodeStatus(n *agentpb.NodeReply) nodeStatus {
	s := n.GetStatus()
	out := nodeStatus{
		Node: n.GetNode(), Connected: n.GetConnected(), Ready: s.GetReady(), Enforcing: s.GetEnforcing(), Version: s.GetVersion(),
		Revision: s.GetRevision(), LagSeconds: s.GetLastProgramSeconds(), Policies: s.GetPolicies(), Endpoints: s.GetEndpoints(),
		LostEvents: s.GetLostEvents(), LostUnknown: s.GetLostUnknown(), Disagreements: s.GetDisagreements(),
		Resyncs: s.GetResyncs(), Repairs: s.GetRepairs(), CutConnections: s.GetCutConnections(), Problems: append([]string{}, s.GetProblems()...),
	}
	if p := s.GetPlugin(); p != nil {
		out.CNI = &cniStatus{p.GetInForce(), p.GetFile(), p.GetReason()}
	}
	if t := n.GetToldNanos(); t != 0 {
		told := time.Unix(0, t).UTC().Truncate(time.Second)
		out.Told = &told
	}
	return out
}

// word is how a node is, and healthy whether that is well.
func (n *nodeStatus) word() (word string, healthy bool) {
	switch {
	case !n.Connected && n.Told == nil:
		return "missing", false
	case !n.Connected:
		return "not connected", false
	case !n.Ready:
		return "not ready", false
	case !n.Enforcing:
		return "not enforcing", false
	case n.Disagreements > 0:
		return "disagrees", false
	}
	return "enforcing", true
}

// judge says what is wrong.
func (doc *statusReport) judge(program string) {
	doc.Healthy = len(doc.Nodes) > 0
	if !doc.Healthy {
		doc.Problems = append(doc.Problems, "no node has an agent, or is to have one")
	}
	versions := map[string]bool{program: true}
	if doc.FlowsServer != nil {
		versions[doc.FlowsServer.Version] = true
	}
	for i := range doc.Nodes {
		n := &doc.Nodes[i]
		if word, healthy := n.word(); !healthy {
			doc.Healthy = false
			doc.Problems = append(doc.Problems, n.Node+": "+word)
		}
		for _, p := range n.Problems {
			text, warning := strings.CutPrefix(p, "warning: ")
			if warning {
				doc.Warnings = append(doc.Warnings, n.Node+": "+text)
			} else {
				doc.Problems = append(doc.Problems, n.Node+": "+text)
			}
		}
		if n.Version != "" {
			versions[n.Version] = true
		}
	}
	if len(versions) > 1 {
		doc.Warnings = append(doc.Warnings, "versions differ: "+strings.Join(sortedKeys(versions), ", "))
	}
}
