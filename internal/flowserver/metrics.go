package flowserver

import (
	"fmt"
	"io"
	"sync/atomic"

	"github.com/netpol-project/netpol/pkg/flow/keep"
)

// metrics are what the server counts of itself.
type metrics struct {
	gains, refused              atomic.Uint64 // of agents' flows
	enrolled, notEnrolled       atomic.Uint64
	reviews, reviewErrors       atomic.Uint64 // asked of the API server
	unauthenticated, notAllowed atomic.Uint64 // users' calls
}

// writeMetrics writes them as Prometheus reads them.
func (s *Server) writeMetrics(w io.Writer) {
	m := s.metrics
	expected, _ := s.opts.Expected.Nodes()
	for _, line := range []struct {
		name, kind, help string
		value            uint64
	}{
		{"agents_expected", "gauge", "Nodes that an agent should run on.", uint64(len(expected))},
		{"agents_connected", "gauge", "Agents that have a line to the server.", uint64(s.hub.connected())},                 //nolint:gosec // not negative
		{"flows", "gauge", "Different flows that are kept.", uint64(s.hub.flows.Len())},                                    //nolint:gosec // not negative
		{"store_bytes", "gauge", "Size of the file that flows are kept in; 0: there is none.", uint64(s.hub.store.Size())}, //nolint:gosec // not negative
		{"store_failing", "gauge", "1 while flows are counted in memory alone because they can't be written.", failing(s.hub.store)},
		{"gains_total", "counter", "Increments of flows that were taken from agents.", m.gains.Load()},
		{"gains_refused_total", "counter", "Increments that were not as they should be.", m.refused.Load()},
		{"enrolled_total", "counter", "Certificates given to agents.", m.enrolled.Load()},
		{"enrollments_refused_total", "counter", "Agents that got none.", m.notEnrolled.Load()},
		{"reviews_total", "counter", "Questions to the API server about tokens and rights.", m.reviews.Load()},
		{"review_errors_total", "counter", "Questions that it did not answer.", m.reviewErrors.Load()},
		{"unauthenticated_total", "counter", "Calls of users without a good token.", m.unauthenticated.Load()},
		{"denied_total", "counter", "Calls of users without the right.", m.notAllowed.Load()},
	} {
		fmt.Fprintf(w, "# HELP netpol_flows_server_%s %s\n# TYPE netpol_flows_server_%s %s\nnetpol_flows_server_%s %d\n",
			line.name, line.help, line.name, line.kind, line.name, line.value)
	}
}

func failing(s *keep.Store) uint64 {
	if s.Problem() != "" {
		return 1
	}
	return 0
}
