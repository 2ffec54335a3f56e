package flowserver

import (
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/netpol-project/netpol/pkg/enforce/agentpb"
)

// heard keeps what an agent says of itself.
func (h *hub) heard(name string, l *line, s *agentpb.StatusReply) {
	s = proto.CloneOf(s)
	s.Node = name
	s.Problems = s.Problems[:min(len(s.Problems), maxProblems)]
	for i, p := range s.Problems {
		s.Problems[i] = cut(p)
	}
	s.Version = cut(s.Version)
	h.mu.Lock()
	defer h.mu.Unlock()
	if n := h.nodes[name]; n != nil && n.line == l {
		n.status, n.told = s, h.now()
		n.reporter.Heard(n.told)
	}
}

// cut keeps maxProblem bytes of a text. Half a character at its end would be no
// UTF-8, and no message that has it could be sent.
func cut(text string) string {
	if len(text) <= maxProblem {
		return text
	}
	return strings.ToValidUTF8(text[:maxProblem], "")
}

// forget drops nodes that were not heard of for long.
func (h *hub) forget(now time.Time) {
	for name, n := range h.nodes {
		if n.line == nil && now.Sub(n.left) > remembered {
			delete(h.nodes, name)
			h.gone = append(h.gone, name)
			h.flows.Forget(name)
		}
	}
}

// signal wakes who waits for lines; it needs the lock.
func (h *hub) signal() {
	close(h.changed)
	h.changed = make(chan struct{})
}

// lineOf is the node's line, nil if it has none; changed is closed when that
// may be otherwise.
func (h *hub) lineOf(name string) (l *line, changed <-chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if n := h.nodes[name]; n != nil {
		l = n.line
	}
	return l, h.changed
}

// list tells of all nodes that are expected or connected, sorted by name. The
// replies are the caller's; their status is not to be changed.
func (h *hub) list() ([]*agentpb.NodeReply, error) {
	names, ok := h.expected.Nodes()
	if !ok {
		return nil, status.Error(codes.Unavailable, "the flows server does not know yet which nodes an agent should run on")
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	names = slices.Clone(names)
	for name, n := range h.nodes {
		if n.line != nil {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	var out []*agentpb.NodeReply
	for _, name := range slices.Compact(names) {
		r := &agentpb.NodeReply{Node: name}
		if n := h.nodes[name]; n != nil {
			r.Connected, r.Status = n.line != nil, n.status
			if !n.told.IsZero() {
				r.ToldNanos = n.told.UnixNano()
			}
		}
		out = append(out, r)
	}
	return out, nil
}

// incomplete says whether some node's flows are not here.
func (h *hub) incomplete() bool {
	nodes, err := h.list()
	return err != nil || slices.ContainsFunc(nodes, func(n *agentpb.NodeReply) bool { return !n.GetConnected() })
}

// connected is how many nodes have a line.
func (h *hub) connected() (n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, node := range h.nodes {
		if node.line != nil {
			n++
		}
	}
	return n
}
