package cmd

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/internal/cluster/kube"
	"github.com/netpol-project/netpol/internal/cluster/review"
	"github.com/netpol-project/netpol/internal/flowserver"
	"github.com/netpol-project/netpol/pkg/enforce/relay"
	"github.com/netpol-project/netpol/pkg/flow"
)

// FlowsServerOptions are what flows-server needs.
type FlowsServerOptions struct {
	Factory  *cli.Factory
	Listen   string
	HTTP     string
	MaxFlows int
	Keep     time.Duration
	Data     string
}

// NewCmdFlowsServer is "netpol flows-server".
func NewCmdFlowsServer(f *cli.Factory, runF func(*FlowsServerOptions) error) *cobra.Command {
	opts := &FlowsServerOptions{Factory: f}
	usual := flow.DefaultLimits()
	cmd := &cobra.Command{
		Use:   "flows-server",
		Short: "Serve the flows of a cluster's agents to its users",
		Long: `Serve what the agents of a cluster see to its users, by their own rights. netpol
install runs it as Deployment netpol-flows in namespace netpol-system.

Agents enroll with their ServiceAccount's token and push over mutual TLS. Users
reach it by a port forwarded through the API server and send a token, which is
checked by TokenReview; they see a flow if they may "list flows.netpol.dev" in
the namespace of its source or destination (SubjectAccessReview).

It also holds tiers that policies are in: by a finalizer, a tier that is deleted
stays until the last of them is gone.

It keeps flows in --data, or without it in memory: agents send what they have to
a server that begins anew. Its certificate authority is in Secret
netpol-flows-ca, made at the first start, and is replaced by itself a year
before it ends; what to trust is published in the ConfigMap of the same name.`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if runF != nil {
				return runF(opts)
			}
			return flowsServerRun(cmd.Context(), opts)
		},
	}
	fs := cmd.Flags()
	fs.StringVar(&opts.Listen, "listen", ":7443", "address for agents and users (gRPC over TLS 1.3)")
	fs.StringVar(&opts.HTTP, "http", ":9470", "address for /healthz, /readyz and /metrics")
	fs.IntVar(&opts.MaxFlows, "max-flows", 30_000, "how many different flows are kept, of 1 to 45 KiB each, the longer seen the more")
	cli.SpanVar(fs, &opts.Keep, "keep", usual.Keep, "how long flows are kept (12h, 30d)")
	fs.StringVar(&opts.Data, "data", "", "directory to keep flows in, so that they outlast this process (default: memory alone)")
	return cmd
}

func flowsServerRun(ctx context.Context, opts *FlowsServerOptions) error {
	const try = "netpol flows-server --help"
	if opts.MaxFlows < 1 || opts.Keep < time.Hour {
		return cli.Usage(try, "--max-flows %d, --keep %s: at least 1 flow and 1h", opts.MaxFlows, opts.Keep)
	}
	namespace, err := opts.Factory.Namespace()
	if err != nil {
		return err
	}
	if namespace == "" {
		namespace = relay.Namespace
	}
	conn, err := opts.Factory.Cluster()
	if err != nil {
		return err
	}
	client, err := review.New(conn.Config, namespace)
	if err != nil {
		return err
	}
	listen, err := net.Listen("tcp", opts.Listen)
	if err != nil {
		return &cli.Error{What: "--listen: " + err.Error(), Try: try, Err: err}
	}
	web, err := net.Listen("tcp", opts.HTTP)
	if err != nil {
		_ = listen.Close()
		return &cli.Error{What: "--http: " + err.Error(), Try: try, Err: err}
	}
	log := slog.New(slog.NewTextHandler(opts.Factory.IO.Err, nil))
	agents := review.NewAgents(client, log)
	tiers, err := kube.NewTierKeeper(conn, func(line string) { log.Info(line) })
	if err != nil {
		return errors.Join(err, listen.Close(), web.Close())
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { agents.Run(ctx); return nil })
	g.Go(func() error { tiers.Run(ctx); return nil })
	g.Go(func() error {
		return flowserver.Run(ctx, flowserver.Options{
			Listen: listen, HTTP: web, Namespace: namespace, Agents: relay.Agents,
			Vault: client, Reviewer: client, Expected: agents, Pods: agents,
			Limits: flow.Limits{Keys: opts.MaxFlows, Keep: opts.Keep}, Version: programVersion(), Log: log, Data: opts.Data,
		})
	})
	return g.Wait()
}
