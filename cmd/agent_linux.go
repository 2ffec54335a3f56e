package cmd

import (
	"context"
	"log/slog"
	"net/netip"

	"github.com/netpol-project/netpol/internal/cluster"
	"github.com/netpol-project/netpol/pkg/enforce"
)

// runAgent enforces dir until ctx ends.
func runAgent(ctx context.Context, opts *AgentOptions, dir string, cidrs []netip.Prefix) error {
	store, err := cluster.OpenDir(dir)
	if err != nil {
		return err
	}
	return enforce.Run(ctx, enforce.Options{
		Source: store, Node: opts.Node, InterfacePrefix: opts.Prefix, PodCIDRs: cidrs,
		KeepEstablished: opts.Established == "keep", Socket: opts.Socket, Version: programVersion(),
		Log: slog.New(slog.NewTextHandler(opts.Factory.IO.Err, nil)),
	})
}
