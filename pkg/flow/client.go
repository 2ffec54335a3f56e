package flow

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/netpol-project/netpol/pkg/flow/flowpb"
	"github.com/netpol-project/netpol/pkg/policy"
)

// maxMessage bounds one answer, in bytes: enough for half a million flows.
const maxMessage = 256 << 20

// DialTLS opens a connection to a server that is reached over TLS; nothing is
// sent yet.
func DialTLS(address string, config *tls.Config) (*grpc.ClientConn, error) {
	conn, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(credentials.NewTLS(config)))
	if err != nil {
		return nil, fmt.Errorf("connecting to %s: %w", address, err)
	}
	return conn, nil
}

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
	results, coverage, err := c.pages(ctx, &flowpb.FlowListRequest{
		StartTimeGte: windowOf(f.Since), StartTimeLt: unix(f.Until),
		SinceNanos: nanos(f.Since), UntilNanos: nanos(f.Until),
		Filter: filterToWire(f), IncludeProbes: f.IncludeProbes, Namespaces: f.Namespaces,
	})
	if err != nil {
		return nil, Coverage{}, fmt.Errorf("reading flows: %w", err)
	}
	flows := make([]Flow, 0, len(results))
	for _, w := range results {
		if fl := fromServer(w.GetFlow()); f.Match(fl.Key) {
			flows = append(flows, fl)
		}
	}
	slices.SortFunc(flows, func(x, y Flow) int { return Compare(x.Key, y.Key) })
	return flows, coverageFromWire(coverage, f, flows), nil
}

// pages asks for everything, and for the pages that are missing where a server
// answers with the first of many. Pages of a server that goes on counting may
// shift: a flow that comes again counts once, as it was first told.
func (c *client) pages(ctx context.Context, r *flowpb.FlowListRequest) ([]*flowpb.FlowResult, *flowpb.Coverage, error) {
	var all []*flowpb.FlowResult
	var coverage *flowpb.Coverage
	seen := map[int64]bool{}
	for {
		res, err := c.flows.List(ctx, r, grpc.MaxCallRecvMsgSize(maxMessage))
		if err != nil {
			return nil, nil, err
		}
		if r.GetPage() == 0 {
			coverage = res.GetCoverage()
			r.PageSize = int64(len(res.GetFlows()))
		}
		for _, w := range res.GetFlows() {
			if id := w.GetId(); id == 0 || !seen[id] {
				seen[id] = true
				all = append(all, w)
			}
		}
		if r.Page++; len(res.GetFlows()) == 0 || r.GetPage() >= res.GetMeta().GetTotalPages() {
			return all, coverage, nil
		}
	}
}

// Follow implements Source.
func (c *client) Follow(ctx context.Context, f Filter, each func(Flow) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := c.flows.Stream(ctx, &flowpb.FlowStreamRequest{
		StartTimeGte: windowOf(f.Since), SinceNanos: nanos(f.Since), AggregationInterval: goldmaneWindow,
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
		if fl := fromServer(res.GetFlow()); f.Match(fl.Key) {
			if err := each(fl); err != nil {
				return err
			}
		}
	}
}

// windowOf is the earliest second at which a window of Goldmane's can begin that
// reaches into what is after t: it tells a window only by when it begins.
func windowOf(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix() - goldmaneWindow + 1
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
	if f.FromNamespace != "" {
		w.SourceNamespaces = []*flowpb.StringMatch{{Value: f.FromNamespace}}
	}
	if f.ToNamespace != "" {
		w.DestNamespaces = []*flowpb.StringMatch{{Value: f.ToNamespace}}
	}
	return w
}

// coverageFromWire: a server that does not tell (Goldmane) covers the span
// that was asked for, as far as it has flows of it.
func coverageFromWire(w *flowpb.Coverage, f Filter, flows []Flow) Coverage {
	if w != nil {
		return CoverageFromWire(w)
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
