package cmd

import (
	"context"
	"log/slog"
	"net/netip"
	"os"

	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/internal/cluster"
	"github.com/netpol-project/netpol/internal/cluster/kube"
	"github.com/netpol-project/netpol/pkg/enforce"
)

// runAgent enforces dir, or without one the cluster, until ctx ends.
func runAgent(ctx context.Context, opts *AgentOptions, dir string, cidrs []netip.Prefix) error {
	level, err := logLevel(opts.LogLevel)
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(opts.Factory.IO.Err, &slog.HandlerOptions{Level: level}))
	source, err := agentSource(ctx, opts, dir, log)
	if err != nil {
		return err
	}
	lines := opts.Factory.IO.Err
	if opts.LogFile != "" {
		f, err := os.OpenFile(opts.LogFile, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
		if err != nil {
			return &cli.Error{What: "--log-file: " + err.Error(), Try: "netpol agent --help", Err: err}
		}
		defer f.Close()
		lines = f
	}
	told, err := pushTo(opts, log)
	if err != nil {
		return err
	}
	return enforce.Run(ctx, enforce.Options{
		Source: source, Node: opts.Node, InterfacePrefix: opts.Prefix, PodCIDRs: cidrs,
		AllowPodTunnels: opts.Tunnels, ExpectPlugin: opts.ExpectCNI,
		KeepEstablished: opts.Established == "keep", Socket: opts.Socket, Version: programVersion(),
		HTTP: opts.HTTP, Log: log, Push: told, Data: opts.Data,
		LogLines: enforce.LogLines{Out: lines, Prefix: opts.LogPrefix, PerSecond: opts.LogRate, Burst: opts.LogBurst},
	})
}

// agentSource is where the agent reads resources from. An API server that does
// not answer is waited for.
func agentSource(ctx context.Context, opts *AgentOptions, dir string, log *slog.Logger) (enforce.Source, error) {
	if dir != "" {
		return cluster.OpenDir(dir)
	}
	conn, err := opts.Factory.Cluster()
	if err != nil {
		return nil, err
	}
	return kube.OpenStore(ctx, conn, kube.Options{
		Log: log, Warn: func(text string) { log.Warn("the API server says", "warning", text) },
	})
}
