package flow

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/netpol-project/netpol/pkg/flow/flowpb"
	"github.com/netpol-project/netpol/pkg/policy"
)

// maxMessage bounds one answer, in bytes: enough for half a million flows.
const maxMessage = 256 << 20

// DialUnix opens a connection to the agent's unix socket; nothing is sent yet.
func DialUnix(path string) (*grpc.ClientConn, error) {
	conn, err := grpc.NewClient("unix:"+path, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, fmt.Errorf("connecting to %s: %w", path, err)
	}
	return conn, nil
}

type client struct{ flows flowpb.FlowsClient }

// NewClient reads flows from a server that speaks flowpb: netpol's agent or
// Calico's Goldmane. Closing the connection is up to the caller.
func NewClient(conn grpc.ClientConnInterface) Source {
	return &client{flows: flowpb.NewFlowsClient(conn)}
}

// List implements Source.
func (c *client) List(ctx context.Context, f Filter) ([]Flow, Coverage, error) {
	res, err := c.flows.List(ctx, &flowpb.FlowListRequest{
		StartTimeGte: unix(f.Since), StartTimeLt: unix(f.Until),
		SinceNanos: nanos(f.Since), UntilNanos: nanos(f.Until),
		Filter: filterToWire(f), IncludeProbes: f.IncludeProbes, Namespaces: f.Namespaces,
	}, grpc.MaxCallRecvMsgSize(maxMessage))
	if err != nil {
		return nil, Coverage{}, fmt.Errorf("reading flows: %w", err)
	}
	flows := make([]Flow, 0, len(res.GetFlows()))
	for _, w := range res.GetFlows() {
		if fl := FromWire(w.GetFlow()); f.Match(fl.Key) {
			flows = append(flows, fl)
		}
	}
	slices.SortFunc(flows, func(x, y Flow) int { return Compare(x.Key, y.Key) })
	return flows, coverageFromWire(res.GetCoverage(), f, flows), nil
}

// Follow implements Source.
func (c *client) Follow(ctx context.Context, f Filter, each func(Flow) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := c.flows.Stream(ctx, &flowpb.FlowStreamRequest{
		StartTimeGte: unix(f.Since), SinceNanos: nanos(f.Since),
		Filter: filterToWire(f), IncludeProbes: f.IncludeProbes, Namespaces: f.Namespaces,
	})
	if err != nil {
		return fmt.Errorf("following flows: %w", err)
	}
	for {
		res, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("following flows: %w", err)
		}
		if fl := FromWire(res.GetFlow()); f.Match(fl.Key) {
			if err := each(fl); err != nil {
				return err
			}
		}
	}
}

// filterToWire is what the wire can say of a filter; the rest (either end,
// addresses) is left to Filter.Match at our end.
func filterToWire(f Filter) *flowpb.Filter {
	w := &flowpb.Filter{}
	if f.Protocol != 0 {
		w.Protocols = []*flowpb.StringMatch{{Value: strings.ToLower(f.Protocol.String())}}
	}
	if f.Port != 0 {
		w.DestPorts = []*flowpb.PortMatch{{Port: int64(f.Port)}}
	}
	if f.Action == policy.Allow || f.Action == policy.Deny {
		w.Actions = []flowpb.Action{actionToWire(f.Action)}
	}
	return w
}

// coverageFromWire: a server that does not tell (Goldmane) covers the span
// that was asked for, as far as it has flows of it.
func coverageFromWire(w *flowpb.Coverage, f Filter, flows []Flow) Coverage {
	if w != nil {
		return Coverage{
			From: time.Unix(0, w.GetFromNanos()).UTC(), To: time.Unix(0, w.GetToNanos()).UTC(),
			Lost: w.GetLost(), LostUnknown: w.GetLostUnknown(), Evicted: w.GetEvicted(),
			Restricted: w.GetRestricted(),
		}
	}
	c := Coverage{From: f.Since, To: f.Until}
	for _, fl := range flows {
		if c.From.IsZero() || (f.Since.IsZero() && fl.FirstSeen.Before(c.From)) {
			c.From = fl.FirstSeen
		}
		if f.Until.IsZero() && fl.LastSeen.After(c.To) {
			c.To = fl.LastSeen
		}
	}
	return c
}

func unix(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}
