//go:build linux

package enforce

import (
	"cmp"
	"context"
	"net/netip"
	"slices"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/netpol-project/netpol/pkg/enforce/agentpb"
	"github.com/netpol-project/netpol/pkg/enforce/collect"
	"github.com/netpol-project/netpol/pkg/enforce/relay"
	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/stage"
	"github.com/netpol-project/netpol/pkg/tier"
)

// moment is when a connection began, to the second: there may be millions. Its
// lowest bit says that it was open before anybody looked, so that it is older;
// the others are seconds since 2020, and reach to 2088.
type moment uint32

// epoch is 2020-01-01 in Unix seconds.
const epoch = 1577836800

func momentOf(t time.Time, atLeast bool) moment {
	m := moment(min(max(t.Unix()-epoch, 0), 1<<31-1)) << 1 //nolint:gosec // bounded
	if atLeast {
		m |= 1
	}
	return m
}

// beganAt is when an event's connection began. The kernel tells that of old ones
// only where it keeps times.
func beganAt(e *collect.Event) moment {
	if e.Start.IsZero() {
		return momentOf(e.At, e.Old || e.Unheard)
	}
	return momentOf(e.Start, false)
}

func (m moment) time() time.Time { return time.Unix(epoch+int64(m>>1), 0).UTC() }
func (m moment) atLeast() bool   { return m&1 != 0 }

// entry names an entry of conntrack among those that live.
type entry struct {
	id      uint32
	zone    uint16
	srcPort uint16
}

// inUse are the connections that somebody would miss: many entries outlive what
// they are of.
func (a *Agent) inUse(ctx context.Context) (map[entry]bool, error) {
	table := a.table.Load()
	if table == nil {
		return nil, status.Error(codes.Unavailable, "the agent does not listen to connections yet")
	}
	out := map[entry]bool{}
	err := table.Dump(ctx, func(c *collect.Connection) {
		if c.InUse() {
			out[entry{c.ID, c.Zone, c.Forward().SrcPort}] = true
		}
	})
	if err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}
	return out, nil
}

// opened is an open connection for judging, apart from what changes with it.
type opened struct {
	entry
	shape *tuple
	began moment
	key   *flow.Key // of an end that reports it
}

// opened is a copy of what is open.
func (l *live) opened() []opened {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([]opened, 0, len(l.open))
	for _, c := range l.open {
		out = append(out, opened{entry{c.id, c.zone, c.srcPort}, c.shape, c.began, c.said.reports[0].Key()})
	}
	return out
}

func (o *opened) open() stage.Open {
	return stage.Open{
		Source: o.key.Source, Destination: o.key.Destination, Protocol: o.shape.protocol,
		From: netip.AddrPortFrom(o.shape.src, o.srcPort), To: netip.AddrPortFrom(o.shape.dst, o.shape.dstPort),
		Since: o.began.time(), AtLeast: o.began.atLeast(),
	}
}

// in says whether one of its ends is in one of some namespaces.
func (o *opened) in(namespaces []string) bool {
	return len(namespaces) == 0 || slices.ContainsFunc([]flow.Peer{o.key.Source, o.key.Destination}, func(p flow.Peer) bool {
		return p.Kind == flow.PeerWorkload && slices.Contains(namespaces, p.Workload.Namespace)
	})
}

// WouldCut implements agentpb.AgentServer.
func (s *server) WouldCut(ctx context.Context, r *agentpb.WouldCutRequest) (*agentpb.WouldCutReply, error) {
	latest, ok := s.a.history.latest()
	if !ok {
		return nil, status.Error(codes.Unavailable, "the agent does not know the policies yet")
	}
	scope := tier.Pending()
	if key, one := relay.StagedOf(r); one {
		scope = tier.Only(key)
	}
	used, err := s.a.inUse(ctx)
	if err != nil {
		return nil, err
	}
	out := &agentpb.WouldCutReply{}
	var cut []opened
	for i, o := range s.a.live.opened() {
		if i%1024 == 0 && ctx.Err() != nil {
			return nil, status.FromContextError(ctx.Err()).Err()
		}
		if o.key.Probe || !used[o.entry] || !o.in(r.GetNamespaces()) {
			continue
		}
		out.Open++
		conn := o.open()
		if hits := stage.Cutting(latest.model, &conn, scope); hits[0] != nil || hits[1] != nil {
			cut = append(cut, o)
		}
	}
	slices.SortFunc(cut, func(a, b opened) int {
		return cmp.Or(cmp.Compare(a.began>>1, b.began>>1), cmp.Compare(a.srcPort, b.srcPort), a.shape.src.Compare(b.shape.src))
	})
	for i := range cut {
		conn := cut[i].open()
		switch {
		case i < relay.Limit(r):
			out.Connections = append(out.Connections, relay.OpenToWire(&conn))
		case s.a.tells(latest.model, &conn):
			out.More++
		}
	}
	return out, nil
}

// tells says whether it is this node that counts a connection: that of the
// client, if it is a pod, so that no two do.
func (a *Agent) tells(m *tier.Model, o *stage.Open) bool {
	src := m.Peer(o.From.Addr()).Endpoint
	return src == nil || src.Node == a.opts.Node
}
