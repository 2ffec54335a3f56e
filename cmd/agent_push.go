package cmd

import (
	"log/slog"

	"github.com/netpol-project/netpol/internal/cluster/review"
	"github.com/netpol-project/netpol/pkg/enforce/push"
	"github.com/netpol-project/netpol/pkg/enforce/relay"
)

// pushTo is the flows server that an agent tells; nil if it tells none. Without
// a file its certificates are those that the cluster publishes.
func pushTo(opts *AgentOptions, log *slog.Logger) (*push.Options, error) {
	if opts.Push.Server == "" {
		return nil, nil
	}
	out := &push.Options{Node: opts.Node, Target: opts.Push.Server, TokenFile: opts.Push.Token, Log: log}
	if opts.Push.CA != "" {
		out.CA = push.File(opts.Push.CA)
		return out, nil
	}
	conn, err := opts.Factory.Cluster()
	if err != nil {
		return nil, err
	}
	client, err := review.New(conn.Config, relay.Namespace)
	if err != nil {
		return nil, err
	}
	out.CA = client.Authority
	return out, nil
}
