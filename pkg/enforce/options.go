//go:build linux

package enforce

import (
	"context"
	"log/slog"
	"net/netip"
	"time"

	"github.com/netpol-project/netpol/internal/cluster"
	"github.com/netpol-project/netpol/pkg/enforce/push"
)

// The nflog groups: refusals apart from Log rules, so that a flood of one
// can't starve the other.
const (
	DenyGroup = 4711
	LogGroup  = 4712
)

// Source is where the agent reads resources from.
type Source interface {
	// Watch sends the state at once and after every change.
	Watch(ctx context.Context) (<-chan cluster.State, error)
	// Reload returns what Watch sends once it has all that was written before
	// the call, with the Versions that Await asks for.
	Reload(ctx context.Context) (cluster.State, error)
}

// Waiter is a Source that may be out of reach.
type Waiter interface {
	// Waiting are the resources that can't be read at present, and why.
	Waiting() []string
}

// Options say what an agent enforces and where.
type Options struct {
	Source Source
	// Node is the name of the node; the pods on it are the agent's.
	Node string
	// InterfacePrefix is how the host's ends of pod interfaces begin. Empty:
	// they are found by routing, and by what they are.
	InterfacePrefix string
	// PodCIDRs are the addresses of this node's pods, known and unknown ones;
	// none: those that the Node object names, as it changes.
	PodCIDRs []netip.Prefix
	// AllowPodTunnels lets pods make VXLAN, Geneve and IPIP tunnels to nodes
	// (S31), which carry what no policy sees.
	AllowPodTunnels bool
	// KeepEstablished leaves live connections alone that a change forbids, as
	// Calico's agent does; otherwise they are cut (S11).
	KeepEstablished bool
	// ExpectPlugin: this node is to have the CNI plugin, and the status says
	// whether it has.
	ExpectPlugin bool
	// Data is the directory that flows are kept in; empty: in memory alone.
	Data string
	// Socket is the unix socket that the agent answers on.
	Socket string
	// HTTP is the address for health and metrics; empty: none.
	HTTP string
	// Version of the program, for status.
	Version string
	Log     *slog.Logger
	// LogLines are what Log rules write (S7).
	LogLines LogLines
	// Push is the flows server that the agent tells; nil: none.
	Push *push.Options
	Now  func() time.Time

	// Tests shorten these; Run sets what is zero.
	cutFor, looseFor time.Duration
	// since and wall are the clocks for trials; nil: the kernel's since its
	// start, and Now.
	since func() time.Duration
	wall  func() time.Time
}
