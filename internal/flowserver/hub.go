package flowserver

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/netpol-project/netpol/pkg/enforce/agentpb"
	"github.com/netpol-project/netpol/pkg/enforce/relay"
	"github.com/netpol-project/netpol/pkg/enforce/relaypb"
	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/flow/keep"
)

// Expected tells which nodes an agent should run on; ok is false while that is
// not known.
type Expected interface {
	Nodes() (names []string, ok bool)
}

// hub joins the agents' lines: what they count goes into one Aggregator, and
// commands go to the node that they are for.
type hub struct {
	store    *keep.Store
	flows    *flow.Aggregator // the store's
	expected Expected
	now      func() time.Time
	metrics  *metrics

	mu      sync.Mutex
	nodes   map[string]*node
	gone    []string      // of these nothing is kept any more
	changed chan struct{} // closed when a line comes or goes
}

// node is what is known of a node's agent.
type node struct {
	name string
	counted
	process  int64 // since when the agent has run, Unix nanoseconds
	reporter *flow.Reporter
	// forgot: what is open on the node is not known any more.
	forgot bool
	dirty  bool  // counted or left is to be kept
	line   *line // nil while there is none
	status *agentpb.StatusReply
	told   time.Time // when it said so
	left   time.Time // when its last line ended
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

func newHub(store *keep.Store, expected Expected, now func() time.Time, m *metrics) *hub {
	h := &hub{
		store: store, flows: store.Flows(), expected: expected, now: now, metrics: m,
		nodes: map[string]*node{}, changed: make(chan struct{}),
	}
	h.recall()
	store.With(h)
	return h
}

// attach gives a node its line and says what is known of the session.
func (h *hub) attach(name string, hello *relaypb.Hello, l *line) (*relaypb.Welcome, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.now()
	started := min(hello.GetStartedNanos(), now.UnixNano())
	process := min(cmp.Or(hello.GetProcessNanos(), started), now.UnixNano())
	n := h.nodes[name]
	if n == nil {
		if h.forget(now); len(h.nodes) >= maxNodes {
			return nil, status.Errorf(codes.ResourceExhausted, "%d nodes are known, there is no room for another", len(h.nodes))
		}
		h.flows.Began(time.Unix(0, started), len(h.nodes) == 0)
		n = &node{name: name}
		h.nodes[name] = n
	}
	if n.Session != hello.GetSession() && n.process > process {
		return nil, status.Error(codes.FailedPrecondition, "a newer agent of this node has been here")
	}
	if n.line != nil {
		close(n.line.superseded)
	}
	h.flows.Covered(name, time.Unix(0, started), relay.GapsFromWire(hello.GetGaps()), now)
	known := h.resume(n, hello.GetSession())
	n.process, n.dirty = process, true
	if known && hello.GetLiveAnew() {
		n.reporter.End()
		n.forgot = false
	}
	w := &relaypb.Welcome{Known: known, Acknowledged: n.Sequence, LiveForgotten: known && n.forgot}
	if before := h.store.Before(); known && !before.IsZero() {
		w.KeptUntilNanos = before.UnixNano()
	}
	n.forgot = false
	n.line = l
	h.signal()
	return w, nil
}

// resume goes on with a session of a node, or begins it if it is not known.
func (h *hub) resume(n *node, session string) (known bool) {
	if n.Session == session {
		if n.reporter == nil { // of the process before
			n.reporter = h.flows.ReporterOf(n.name)
		}
		return true
	}
	before := n.Session != ""
	if before {
		n.Former = append(n.Former, formerSession{n.Session, n.Sequence})
		n.Former = n.Former[max(len(n.Former)-maxFormer, 0):]
	}
	if n.reporter != nil {
		n.reporter.End()
	}
	n.reporter = h.flows.ReporterOf(n.name)
	n.Session, n.Sequence, n.forgot = session, 0, false
	if i := slices.IndexFunc(n.Former, func(f formerSession) bool { return f.Session == session }); i >= 0 {
		n.Sequence, known = n.Former[i].Sequence, true
		n.Former = slices.Delete(n.Former, i, i+1)
		n.forgot = true
	}
	if before {
		// Nobody has counted between the two, nor told what was not told yet.
		now := h.now()
		n.reporter.Add(nil, []flow.Missing{{Hour: now.Truncate(time.Hour).UnixNano(), Unknown: true}}, now)
	}
	return known
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
	n.line, n.left, n.dirty = nil, h.now(), true
	n.reporter.Heard(n.left)
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
	case b.GetSequence() <= n.Sequence: // counted, and the answer was lost
		return n.Sequence, nil
	case b.GetSequence() != n.Sequence+1:
		return 0, status.Errorf(codes.InvalidArgument, "batch %d comes after %d", b.GetSequence(), n.Sequence)
	}
	n.Sequence, n.dirty = b.GetSequence(), true
	if len(faults) > 0 {
		h.metrics.refused.Add(uint64(len(faults)))
		hour := h.now().UnixNano()
		missing = append(missing, flow.Missing{Hour: hour - hour%int64(time.Hour), Unknown: true})
	}
	h.metrics.gains.Add(uint64(len(gains)))
	n.reporter.Add(gains, missing, h.now())
	n.reporter.Heard(h.now())
	return n.Sequence, nil
}
