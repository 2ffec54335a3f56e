package flowserver

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/flow/keep"
)

// counted is what a server has counted of a node, by its sessions. It is kept
// with the flows themselves, so that a server that begins anew passes over what
// it has.
type counted struct {
	Session  string
	Sequence uint64 // of the last batch
	// Former are sessions from before, the last one last: an agent may come back
	// to the file that it had.
	Former []formerSession `json:",omitempty"`
}

type formerSession struct {
	Session  string
	Sequence uint64
}

// maxFormer is how many former sessions of a node are remembered.
const maxFormer = 8

// nodeRecord is what is kept of a node.
type nodeRecord struct {
	counted
	Process int64 // since when its agent has run, Unix nanoseconds
	Left    int64 // when it was heard of last, Unix nanoseconds
}

// recordNode begins the names of nodes' records.
const recordNode = "node/"

// recall reads what was kept of nodes. What is open there is not.
func (h *hub) recall() {
	for name, value := range h.store.Records() {
		name, ok := strings.CutPrefix(name, recordNode)
		var r nodeRecord
		if !ok || json.Unmarshal(value, &r) != nil {
			continue
		}
		h.nodes[name] = &node{name: name, counted: r.counted, process: r.Process, left: time.Unix(0, r.Left), forgot: true}
	}
}

// Anew implements keep.Companion. The records of nodes that are in the file and not
// known here are of no use without the flows that they tell of.
func (h *hub) Anew(have map[string][]byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, n := range h.nodes {
		n.dirty = true
	}
	for name := range have {
		if node, ok := strings.CutPrefix(name, recordNode); ok && h.nodes[node] == nil {
			h.gone = append(h.gone, node)
		}
	}
}

// Keep implements keep.Companion.
func (h *hub) Keep(gather func()) (out []keep.Record) {
	h.mu.Lock()
	defer h.mu.Unlock()
	gather()
	for _, name := range h.gone {
		out = append(out, keep.Record{Name: recordNode + name})
	}
	h.gone = nil
	for name, n := range h.nodes {
		if !n.dirty {
			continue
		}
		left := n.left
		if n.line != nil {
			left = h.now()
		}
		data, err := json.Marshal(nodeRecord{n.counted, n.process, left.UnixNano()})
		if err == nil {
			out = append(out, keep.Record{Name: recordNode + name, Value: data})
			n.dirty = false
		}
	}
	return out
}

// staged notes since when an agent has seen policies staged.
func (h *hub) staged(list []flow.StagedSpec) { h.flows.HeardStaged(list, h.now()) }

// cover completes what all flows are evidence of: of nodes that should have an
// agent and never had one they are not.
func (h *hub) cover(c *flow.Coverage) {
	if names, ok := h.expected.Nodes(); ok {
		c.Windowless(names)
	}
}
