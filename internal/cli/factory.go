// Package cli is what every command is built on: streams, configuration, the
// lazy factory for stores and clients, and the one place that turns an error
// into an exit code.
package cli

import (
	"context"
	"io"
	"time"

	"github.com/spf13/viper"

	"github.com/netpol-project/netpol/internal/cluster"
	"github.com/netpol-project/netpol/internal/cluster/calico"
	"github.com/netpol-project/netpol/internal/cluster/kube"
	"github.com/netpol-project/netpol/internal/lab"
	"github.com/netpol-project/netpol/pkg/enforce/agentpb"
	"github.com/netpol-project/netpol/pkg/flow"
)

// Streams are where a command reads and writes.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
	// Terminal says that Out is a terminal; ErrTerminal the same of Err.
	Terminal, ErrTerminal bool
	// Width is the terminal's width in columns; 0 in a pipe: no wrapping.
	Width int
	// Color says whether Out may be coloured (a terminal, and no NO_COLOR).
	Color bool
}

// Factory gives a command what it needs, made when it is first asked for. Its
// fields can be replaced in tests.
type Factory struct {
	IO *Streams
	// Context ends when the command is interrupted; nil: never. It is for what
	// fields do that are given no context of their own.
	Context context.Context
	Now     func() time.Time
	Config  *viper.Viper // flags, NETPOL_* and the configuration file, merged
	// Program is how users call netpol; empty: netpol.
	Program string
	// Ran is the command that runs, for the history of what it changes.
	Ran   string
	where string // --dir, --lab, --context and --kubeconfig as typed
	flows string // --flows and what belongs to it, as typed
	// labAsked says that --lab was given, by flag, environment or file.
	labAsked bool
	as       kube.Impersonate // as typed: not what an environment should say
	// Target says what commands work on.
	Target func() (Target, error)
	// Cluster is the Kubernetes cluster that kubeconfig names. It is for
	// commands that do more there than read and write resources.
	Cluster func() (*kube.Conn, error)
	// Calico is what is known of Calico on the cluster.
	Calico func(ctx context.Context) (*calico.Info, error)
	// Store is the target's resources: --dir, the lab's directory of manifests
	// or the cluster.
	Store func() (cluster.Store, error)
	// Flows is where flows come from: the lab's agent, or the cluster's flows
	// server.
	Flows func(ctx context.Context) (flow.Source, error)
	// Agent is the lab's agent, or the cluster's flows server, which passes on
	// what is asked about probes.
	Agent func(ctx context.Context) (agentpb.AgentClient, error)
	// Nodes is the cluster's flows server, for all of its agents.
	Nodes func(ctx context.Context) (agentpb.NodesClient, error)
	// Lab is the running lab (--lab NAME, default "default").
	Lab func() (*lab.Client, error)
}
