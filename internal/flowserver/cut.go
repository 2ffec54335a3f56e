package flowserver

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/netpol-project/netpol/pkg/enforce/agentpb"
	"github.com/netpol-project/netpol/pkg/enforce/relay"
	"github.com/netpol-project/netpol/pkg/enforce/relaypb"
	"github.com/netpol-project/netpol/pkg/flow"
)

const (
	// cutWithin is how long a node's agent has to judge its open connections.
	cutWithin = 10 * time.Second
	// cutRate and cutBurst bound these questions by user, a second and at once:
	// each is work for every agent.
	cutRate, cutBurst = 1, 10
	// maxCutNamespaces bounds what a question names.
	maxCutNamespaces = 1000
)

// WouldCut implements agentpb.AgentServer: it asks all nodes. Who may list flows
// may see open connections, of the same namespaces: who names none has to be
// allowed all, since numbers tell of all.
func (s *agentServer) WouldCut(ctx context.Context, r *agentpb.WouldCutRequest) (*agentpb.WouldCutReply, error) {
	c, err := s.users.caller(ctx)
	if err != nil {
		return nil, err
	}
	if len(r.GetNamespaces()) > maxCutNamespaces || max(len(r.GetKind()), len(r.GetNamespace()), len(r.GetName())) > maxName {
		return nil, status.Error(codes.InvalidArgument, "no policy has such a name, or there are too many namespaces")
	}
	if !s.cuts.of(c.Name).Allow() {
		return nil, status.Errorf(codes.ResourceExhausted, "%s asks about open connections too often: %d a second at most", c.Name, cutRate)
	}
	v, err := (&views{users: s.users, hub: s.hub}).View(ctx, r.GetNamespaces())
	if err != nil {
		return nil, err
	}
	if len(r.GetNamespaces()) == 0 {
		if may, err := s.users.may(ctx, c, listFlows("")); err != nil {
			return nil, err
		} else if !may {
			return nil, s.users.denied(c, "list flows.netpol.dev in all namespaces")
		}
	}
	nodes, err := s.hub.list()
	if err != nil {
		return nil, err
	}
	return s.gatherCuts(ctx, r, nodes, v)
}

// gatherCuts puts the answers of all nodes together.
func (s *agentServer) gatherCuts(ctx context.Context, r *agentpb.WouldCutRequest, nodes []*agentpb.NodeReply, v flow.View) (*agentpb.WouldCutReply, error) {
	ctx, cancel := context.WithTimeout(ctx, cutWithin)
	defer cancel()
	replies := make([]*agentpb.WouldCutReply, len(nodes))
	var all sync.WaitGroup
	for i, n := range nodes {
		all.Go(func() {
			if l, _ := s.hub.lineOf(n.GetNode()); l != nil {
				reply, err := l.ask(ctx, &relaypb.Command{Is: &relaypb.Command_WouldCut{WouldCut: r}})
				if err == nil {
					replies[i] = reply.GetWouldCut()
				}
			}
		})
	}
	all.Wait()
	out := &agentpb.WouldCutReply{}
	for i, reply := range replies {
		if reply == nil {
			out.Unanswered = append(out.Unanswered, nodes[i].GetNode())
			continue
		}
		out.Open += max(reply.GetOpen(), 0)
		out.More += max(reply.GetMore(), 0)
		for _, w := range reply.GetConnections()[:min(len(reply.GetConnections()), relay.MaxOpen)] {
			o, err := relay.OpenFromWire(w)
			if err != nil {
				continue // an agent says nothing such
			}
			if sees, err := v.Sees(flow.Key{Source: o.Source, Destination: o.Destination}); err != nil {
				return nil, err
			} else if sees {
				out.Connections = append(out.Connections, w)
			}
		}
	}
	slices.Sort(out.Unanswered)
	out.Connections = once(out.Connections)
	if limit := relay.Limit(r); len(out.Connections) > limit {
		out.More += int64(len(out.Connections) - limit)
		out.Connections = out.Connections[:limit]
	}
	return out, nil
}

// once leaves one of what the agents of both ends tell of: what knows when it
// began, or else knows it for longer. The oldest come first.
func once(list []*agentpb.OpenConnection) []*agentpb.OpenConnection {
	type ends struct {
		protocol, source, destination string
		sourcePort                    uint32
		port                          int64
	}
	slices.SortStableFunc(list, func(a, b *agentpb.OpenConnection) int {
		return cmp.Or(cmp.Compare(number(a.GetAtLeast()), number(b.GetAtLeast())), cmp.Compare(a.GetSinceNanos(), b.GetSinceNanos()))
	})
	seen := map[ends]bool{}
	list = slices.DeleteFunc(list, func(w *agentpb.OpenConnection) bool {
		k := ends{w.GetKey().GetProto(), w.GetSourceAddress(), w.GetDestinationAddress(), w.GetSourcePort(), w.GetKey().GetDestPort()}
		again := seen[k]
		seen[k] = true
		return again
	})
	slices.SortStableFunc(list, func(a, b *agentpb.OpenConnection) int { return cmp.Compare(a.GetSinceNanos(), b.GetSinceNanos()) })
	return list
}

func number(b bool) int {
	if b {
		return 1
	}
	return 0
}
