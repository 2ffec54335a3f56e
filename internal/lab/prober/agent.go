package prober

import (
	"context"
	"net/netip"
	"slices"

	"github.com/netpol-project/netpol/pkg/connectivity"
	"github.com/netpol-project/netpol/pkg/enforce/agentpb"
)

// validity is how long the agent keeps a registration, milliseconds.
const validity = 5000

// Client is an Agent over gRPC.
type Client struct {
	agent agentpb.AgentClient
	// nodes are those of an address's pod, for a flows server; nil where one
	// agent answers for all.
	nodes func(netip.Addr) string
}

// NewClient asks agent. nodes, if not nil, tells which node has an address,
// "" for none: a cluster's flows server must know whom to ask.
func NewClient(agent agentpb.AgentClient, nodes func(netip.Addr) string) *Client {
	return &Client{agent: agent, nodes: nodes}
}

// both are the nodes of an attempt's ends.
func (c *Client) both(a Attempt) []string {
	if c.nodes == nil {
		return nil
	}
	var out []string
	for _, addr := range []netip.Addr{a.Source.Addr(), a.Destination.Addr()} {
		if node := c.nodes(addr); node != "" && !slices.Contains(out, node) {
			out = append(out, node)
		}
	}
	return out
}

// Register implements Agent.
func (c *Client) Register(ctx context.Context, a Attempt) error {
	_, err := c.agent.RegisterProbe(ctx, &agentpb.RegisterProbeRequest{
		Protocol: number(a.Protocol), SourceAddress: a.Source.Addr().String(),
		SourcePort: uint32(a.Source.Port()), ValidMilliseconds: validity, Nodes: c.both(a),
	})
	return err
}

// Denied implements Agent.
func (c *Client) Denied(ctx context.Context, a Attempt) (*Denial, error) {
	r, err := c.agent.Denied(ctx, &agentpb.Tuple{
		Protocol:      number(a.Protocol),
		SourceAddress: a.Source.Addr().String(), SourcePort: uint32(a.Source.Port()),
		DestinationAddress: a.Destination.Addr().String(), DestinationPort: uint32(a.Destination.Port()),
		Nodes: c.both(a),
	})
	if err != nil || !r.GetDenied() {
		return nil, err
	}
	return &Denial{
		Direction: r.GetDirection(), Tier: r.GetTier(), Kind: r.GetKind(),
		Namespace: r.GetNamespace(), Name: r.GetName(), Rule: int(r.GetRule()),
	}, nil
}

// number is a protocol's; 0, which the agent refuses, for one that there is not.
func number(protocol string) uint32 {
	p, err := connectivity.ParseProtocol(protocol)
	if err != nil {
		return 0
	}
	return uint32(p)
}
