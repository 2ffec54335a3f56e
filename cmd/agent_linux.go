package cmd

import (
	"context"
	"log/slog"
	"net/netip"
	"os"

	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/internal/cluster"
	"github.com/netpol-project/netpol/pkg/enforce"
)

// runAgent enforces dir until ctx ends.
func runAgent(ctx context.Context, opts *AgentOptions, dir string, cidrs []netip.Prefix) error {
	store, err := cluster.OpenDir(dir)
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
	log := slog.New(slog.NewTextHandler(opts.Factory.IO.Err, nil))
	told, err := pushTo(opts, log)
	if err != nil {
		return err
	}
	return enforce.Run(ctx, enforce.Options{
		Source: store, Node: opts.Node, InterfacePrefix: opts.Prefix, PodCIDRs: cidrs,
		AllowPodTunnels: opts.Tunnels,
		KeepEstablished: opts.Established == "keep", Socket: opts.Socket, Version: programVersion(),
		Log: log, Push: told,
		LogLines: enforce.LogLines{Out: lines, Prefix: opts.LogPrefix, PerSecond: opts.LogRate, Burst: opts.LogBurst},
	})
}
