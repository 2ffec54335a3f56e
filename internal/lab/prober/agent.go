package prober

import (
	"context"
	"fmt"
	"net/netip"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/netpol-project/netpol/pkg/connectivity"
	"github.com/netpol-project/netpol/pkg/enforce/agentpb"
)

// validity is how long the agent keeps a registration, milliseconds.
const validity = 5000

// Client is an Agent behind its unix socket.
type Client struct {
	conn  *grpc.ClientConn
	agent agentpb.AgentClient
}

// Dial prepares a connection to the agent's socket; it is made when it is
// first needed.
func Dial(socket string) (*Client, error) {
	conn, err := grpc.NewClient("unix:"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, fmt.Errorf("agent at %s: %w", socket, err)
	}
	return &Client{conn: conn, agent: agentpb.NewAgentClient(conn)}, nil
}

// Close ends the connection.
func (c *Client) Close() error { return c.conn.Close() }

// Register implements Agent.
func (c *Client) Register(ctx context.Context, protocol string, source netip.AddrPort) error {
	_, err := c.agent.RegisterProbe(ctx, &agentpb.RegisterProbeRequest{
		Protocol: number(protocol), SourceAddress: source.Addr().String(),
		SourcePort: uint32(source.Port()), ValidMilliseconds: validity,
	})
	return err
}

// Denied implements Agent.
func (c *Client) Denied(ctx context.Context, protocol string, source, destination netip.AddrPort) (*Denial, error) {
	r, err := c.agent.Denied(ctx, &agentpb.Tuple{
		Protocol:      number(protocol),
		SourceAddress: source.Addr().String(), SourcePort: uint32(source.Port()),
		DestinationAddress: destination.Addr().String(), DestinationPort: uint32(destination.Port()),
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
