// Package push is the agent's line to its cluster's flows server: it enrolls,
// sends status and flows, and carries out what the server passes on from users.
//
// Nothing of enforcement depends on it. It knows no Kubernetes client: token and
// CA are files, and where the server is somebody else finds out.
package push

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"time"

	"github.com/netpol-project/netpol/pkg/enforce/agentpb"
	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/flow/keep"
	"github.com/netpol-project/netpol/pkg/policy"
)

// Local is the agent that a line is of.
type Local struct {
	// Agent answers for this node.
	Agent agentpb.AgentServer
	// Flows are what it counts.
	Flows *flow.Aggregator
	// Store is where that is kept; nil if it is not.
	Store *keep.Store
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
	// CA are the certificates of the authority that is trusted (PEM). It is
	// asked for each line, and now and then.
	CA func(context.Context) ([]byte, error)
	// TokenFile is a ServiceAccount's token, read for each enrolment.
	TokenFile string
	Log       *slog.Logger

	// Pace is how often what is done; zero is as usual.
	Pace Pace
	Now  func() time.Time
}

// Pace is how often an agent tells something, and how long it waits before it
// tries again.
type Pace struct {
	Flush               time.Duration // flows, and status when it has changed
	Status              time.Duration // status when it has not
	Trust               time.Duration // a look at the CA
	LeastWait, MostWait time.Duration // after the first failure, and at most
}

func (o *Options) setDefaults() {
	o.Pace.Flush = cmp.Or(o.Pace.Flush, time.Second)
	o.Pace.Status = cmp.Or(o.Pace.Status, 5*time.Second)
	o.Pace.Trust = cmp.Or(o.Pace.Trust, 5*time.Minute)
	o.Pace.LeastWait = cmp.Or(o.Pace.LeastWait, 500*time.Millisecond)
	o.Pace.MostWait = cmp.Or(o.Pace.MostWait, 30*time.Second)
	if o.Now == nil {
		o.Now = time.Now
	}
}

// File is a CA that a file has.
func File(path string) func(context.Context) ([]byte, error) {
	return func(context.Context) ([]byte, error) { return readSmall(path, maxFile) }
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
