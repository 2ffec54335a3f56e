package flowserver

import (
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/netpol-project/netpol/pkg/enforce/agentpb"
	"github.com/netpol-project/netpol/pkg/enforce/relay"
	"github.com/netpol-project/netpol/pkg/enforce/relaypb"
	"github.com/netpol-project/netpol/pkg/flow"
)

// Expected tells which nodes an agent should run on; ok is false while that is
// not known.
type Expected interface {
	Nodes() (names []string, ok bool)
}

// hub joins the agents' lines: what they count goes into one Aggregator, and
// commands go to the node that they are for.
type hub struct {
	flows    *flow.Aggregator
	expected Expected
	now      func() time.Time
	metrics  *metrics

	mu      sync.Mutex
	nodes   map[string]*node
	changed chan struct{} // closed when a line comes or goes
}

// node is what is known of a node's agent.
type node struct {
	name     string
	session  string
	started  int64 // Unix nanoseconds
	sequence uint64
	reporter *flow.Reporter
	line     *line // nil while there is none
	status   *agentpb.StatusReply
	told     time.Time // when it said so
	left     time.Time // when its last line ended
}

const (
	// maxNodes bounds the nodes that are remembered.
	maxNodes = 20_000
	// remembered is how long a node is that has no line and is not expected:
	// as long as its counts are kept, so that they are not counted again.
	remembered = 16 * 24 * time.Hour
	// maxProblems and maxProblem bound what an agent may say of itself,
	// the latter in bytes.
	maxProblems, maxProblem = 100, 1000
)

func newHub(flows *flow.Aggregator, expected Expected, now func() time.Time, m *metrics) *hub {
	return &hub{flows: flows, expected: expected, now: now, metrics: m, nodes: map[string]*node{}, changed: make(chan struct{})}
}

// attach gives a node its line and says what is known of the session.
func (h *hub) attach(name string, hello *relaypb.Hello, l *line) (*relaypb.Welcome, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.now()
	started := min(hello.GetStartedNanos(), now.UnixNano())
	n := h.nodes[name]
	if n == nil {
		if h.forget(now); len(h.nodes) >= maxNodes {
			return nil, status.Errorf(codes.ResourceExhausted, "%d nodes are known, there is no room for another", len(h.nodes))
		}
		h.flows.Began(time.Unix(0, started), len(h.nodes) == 0)
		n = &node{name: name}
		h.nodes[name] = n
	}
	if n.session != hello.GetSession() && n.started > started {
		return nil, status.Error(codes.FailedPrecondition, "a newer agent of this node has been here")
	}
	if n.line != nil {
		close(n.line.superseded)
	}
	known := n.session == hello.GetSession()
	if !known {
		h.begin(n, hello.GetSession(), started)
	}
	n.line = l
	h.signal()
	return &relaypb.Welcome{Known: known, Acknowledged: n.sequence}, nil
}

// begin starts to count another session of a node.
func (h *hub) begin(n *node, session string, started int64) {
	if n.reporter != nil {
		n.reporter.End()
	}
	before := n.session != ""
	n.session, n.started, n.sequence = session, started, 0
	n.reporter = h.flows.Reporter()
	if before {
		// Nobody has counted between the two, nor told what was not told yet.
		hour := started - started%int64(time.Hour)
		n.reporter.Add(nil, []flow.Missing{{Hour: hour, Unknown: true}}, h.now())
	}
}

// detach takes the line away, if it is still the node's. ended says that the
// agent has told everything.
func (h *hub) detach(name string, l *line, ended bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := h.nodes[name]
	if n == nil || n.line != l {
		return
	}
	n.line, n.left = nil, h.now()
	if ended {
		n.reporter.End()
	}
	h.signal()
}

// count takes a batch and returns what to acknowledge.
func (h *hub) count(name string, l *line, b *relaypb.Batch) (uint64, error) {
	gains, missing, faults := relay.BatchFromWire(b)
	h.mu.Lock()
	defer h.mu.Unlock()
	n := h.nodes[name]
	switch {
	case n == nil || n.line != l:
		return 0, errSuperseded
	case b.GetSequence() <= n.sequence: // counted, and the answer was lost
		return n.sequence, nil
	case b.GetSequence() != n.sequence+1:
		return 0, status.Errorf(codes.InvalidArgument, "batch %d comes after %d", b.GetSequence(), n.sequence)
	}
	n.sequence = b.GetSequence()
	if len(faults) > 0 {
		h.metrics.refused.Add(uint64(len(faults)))
		hour := h.now().UnixNano()
		missing = append(missing, flow.Missing{Hour: hour - hour%int64(time.Hour), Unknown: true})
	}
	h.metrics.gains.Add(uint64(len(gains)))
	n.reporter.Add(gains, missing, h.now())
	return n.sequence, nil
}

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
