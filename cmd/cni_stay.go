package cmd

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/netpol-project/netpol/internal/cli"
	site "github.com/netpol-project/netpol/internal/cluster/install"
	"github.com/netpol-project/netpol/internal/cni"
	"github.com/netpol-project/netpol/internal/cni/chain"
)

// cniStay is "netpol cni install --stay".
func cniStay(ctx context.Context, opts *CNIOptions, p chain.Plugin) error {
	level, err := logLevel(opts.LogLevel)
	if err != nil {
		return cli.Usage("netpol cni install --help", "--log-level %q: expected debug, info, warn or error", opts.LogLevel)
	}
	if opts.Node == "" {
		if opts.Node, err = os.Hostname(); err != nil {
			return err
		}
	}
	log := slog.New(slog.NewTextHandler(opts.Factory.IO.Err, &slog.HandlerOptions{Level: level}))
	conn, err := opts.Factory.Cluster()
	if err != nil {
		return err
	}
	client, err := site.New(conn, func(string) {})
	if err != nil {
		return err
	}
	p.Tell = func(ctx context.Context, name string, why error) {
		if err := cni.TellAgent(ctx, opts.Socket, name, why); err != nil && ctx.Err() == nil {
			log.Debug("the node's agent is not told of the CNI plugin", "reason", err)
		}
	}
	if err := cni.AwaitAgent(ctx, opts.Socket, log); err == nil {
		if err := p.Keep(ctx, log); err != nil && ctx.Err() == nil {
			return cniError("the CNI plugin can't be kept on this node", err)
		}
	}
	return cniLeave(opts, client, p, log)
}

// leaveTime is how long the API server may take to say what comes after a pod
// that ends.
const leaveTime = 2 * time.Second

// cniLeave takes the plugin off the node, unless somebody comes who keeps it.
func cniLeave(opts *CNIOptions, client *site.Client, p chain.Plugin, log *slog.Logger) error {
	ctx, cancel := context.WithTimeout(context.Background(), leaveTime)
	defer cancel()
	why, err := client.Leaves(ctx, opts.Node, "--bin-dir="+opts.BinDir, "--conf-dir="+opts.ConfDir)
	switch {
	case err != nil:
		log.Warn("the CNI plugin stays: the API server does not say whether another agent comes", "reason", err)
		return nil
	case why == "":
		log.Info("the CNI plugin stays for the next agent")
		return nil
	}
	names, err := p.Take()
	if err != nil {
		return cniError("the CNI plugin can't be taken off this node", err)
	}
	log.Info("took the CNI plugin off the node", "reason", why, "files", fmt.Sprint(names))
	return nil
}
