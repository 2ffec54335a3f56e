// Package push is the agent's line to its cluster's flows server: it enrolls,
// sends status and flows, and carries out what the server passes on from users.
//
// Nothing of enforcement depends on it. It knows no Kubernetes client: token and
// CA are files, and where the server is somebody else finds out.
package push

import (
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"time"

	"github.com/netpol-project/netpol/pkg/enforce/agentpb"
	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
)

// Local is the agent that a line is of.
type Local struct {
	// Agent answers for this node.
	Agent agentpb.AgentServer
	// Flows are what it counts.
	Flows *flow.Aggregator
	// Snapshot is what is in the kernel; nil before the first.
	Snapshot func() *policy.Snapshot
	// Namespace is that of the pod that has an address; ok is false if none has.
	Namespace func(netip.Addr) (namespace string, ok bool)
}

// Options say whom to tell.
type Options struct {
	// Node is the name of this agent's node.
	Node string
	// Target is the flows server: NAMESPACE/SERVICE or HOST:PORT.
	Target string
	// CAFile has the certificates of the authority that is trusted (PEM),
	// TokenFile a ServiceAccount's token; both are read when they are needed.
	CAFile, TokenFile string
	Log               *slog.Logger

	// Tests shorten these; New sets what is zero.
	flushEvery, statusEvery, leastWait, mostWait time.Duration
	now                                          func() time.Time
}

func (o *Options) setDefaults() {
	for _, d := range []struct {
		into  *time.Duration
		usual time.Duration
	}{
		{&o.flushEvery, time.Second}, {&o.statusEvery, 5 * time.Second},
		{&o.leastWait, 500 * time.Millisecond}, {&o.mostWait, 30 * time.Second},
	} {
		if *d.into == 0 {
			*d.into = d.usual
		}
	}
	if o.now == nil {
		o.now = time.Now
	}
}

// readSmall reads a file that is no larger than so many bytes.
func readSmall(path string, most int64) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > most {
		return nil, errors.New(path + " is too large")
	}
	return os.ReadFile(path)
}
