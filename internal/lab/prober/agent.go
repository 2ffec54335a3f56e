package prober

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

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
	where Where
}

// Where tells on which node and of which namespace the pod is that has an
// address; both are "" where none has.
type Where func(netip.Addr) (node, namespace string)

// NewClient asks agent. where, if not nil, is for a cluster's flows server, which
// must know whom to ask, and whose pods a user probes from.
func NewClient(agent agentpb.AgentClient, where Where) *Client {
	return &Client{agent: agent, where: where}
}

// namespace is that of the source's pod.
func (c *Client) namespace(a Attempt) string {
	if c.where == nil {
		return ""
	}
	_, namespace := c.where(a.Source.Addr())
	return namespace
}

// both are the nodes of an attempt's ends.
func (c *Client) both(a Attempt) []string {
	if c.where == nil {
		return nil
	}
	var out []string
	for _, addr := range []netip.Addr{a.Source.Addr(), a.Destination.Addr()} {
		if node, _ := c.where(addr); node != "" && !slices.Contains(out, node) {
			out = append(out, node)
		}
	}
	return out
}

// roomAgain is how long to wait before an agent is asked again that had no room
// for another registration; others end meanwhile.
const roomAgain = 100 * time.Millisecond

// Register implements Agent. It waits, as long as ctx lets it, where too much is
// registered at present.
func (c *Client) Register(ctx context.Context, a Attempt) error {
	r := &agentpb.RegisterProbeRequest{
		Protocol: number(a.Protocol), SourceAddress: a.Source.Addr().String(),
		SourcePort: uint32(a.Source.Port()), ValidMilliseconds: validity,
		Nodes: c.both(a), Namespace: c.namespace(a),
	}
	for {
		_, err := c.agent.RegisterProbe(ctx, r)
		if status.Code(err) != codes.ResourceExhausted {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(roomAgain):
		}
	}
}

// Denied implements Agent.
func (c *Client) Denied(ctx context.Context, a Attempt) (*Denial, error) {
	r, err := c.agent.Denied(ctx, &agentpb.Tuple{
		Protocol:      number(a.Protocol),
		SourceAddress: a.Source.Addr().String(), SourcePort: uint32(a.Source.Port()),
		DestinationAddress: a.Destination.Addr().String(), DestinationPort: uint32(a.Destination.Port()),
		Nodes: c.both(a), Namespace: c.namespace(a),
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
