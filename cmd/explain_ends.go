package cmd

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/pkg/connectivity"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

// explainQuestion is what a user asks explain: two names and a port.
type explainQuestion struct {
	src, dst   *connectivity.End
	sourcePort uint16
	// doors are the destinations with the port at each.
	doors []door
	notes []string
}

type door struct {
	peer     tier.Peer
	protocol policy.Protocol
	port     uint16
}

func newExplainQuestion(m *tier.Model, opts *ExplainOptions, target connectivity.Target) (*explainQuestion, error) {
	namespaces := opts.Factory.Namespaces()
	source := strings.TrimSuffix(strings.TrimPrefix(opts.Source, "["), "]")
	src, err := connectivity.Lookup(m, source, namespaces)
	if err != nil {
		return nil, endError(source, err, opts.World.Given())
	}
	dst, target, err := connectivity.LookupTarget(m, target, namespaces)
	if err != nil {
		return nil, endError(target.Name, err, opts.World.Given())
	}
	if src.Kind == connectivity.EndService {
		return nil, cli.Usage("netpol explain NAMESPACE/WORKLOAD "+opts.Destination, "%s: a Service starts no connections, the pods behind it do", src.Name)
	}
	if len(src.Peers) == 0 {
		return nil, cli.Usage("", "%s has no addresses", src.Name)
	}
	if opts.SourcePort != 0 && target.Protocol != 0 && !target.Protocol.HasPorts() && target.Protocol != policy.UDPLite {
		return nil, cli.Usage("", "--source-port: %s has no ports", connectivity.ProtocolText(target.Protocol))
	}
	q := &explainQuestion{src: src, dst: dst, sourcePort: opts.SourcePort}
	if src.Kind == connectivity.EndHost && !src.Peers[0].Addr.IsValid() {
		q.notes = append(q.notes, "the node's addresses are not known, as there is no Node or HostEndpoint that names them: no rule with nets matches it")
	}
	return q, q.open(m.Snapshot(), target)
}

// endError is the error for a name, with what to type instead.
func endError(name string, err error, recorded bool) error {
	var unknown *connectivity.UnknownName
	var ambiguous *connectivity.AmbiguousName
	switch {
	case errors.As(err, &unknown):
		try := listPods(recorded)
		switch unknown.What {
		case "network set":
			try = "netpol get globalnetworksets"
			if strings.Contains(unknown.Name, "/") {
				try = "netpol get networksets -A"
			}
		case "service":
			try = "netpol get services -A"
		}
		e := cli.Unknown(unknown.What, unknown.Name, unknown.Known, try)
		var typed *cli.Error
		if unknown.Hint != "" && errors.As(e, &typed) {
			typed.Where = append(typed.Where, "type "+unknown.Hint)
		}
		return e
	case errors.As(err, &ambiguous):
		return &cli.Error{Err: err, What: fmt.Sprintf("%q is not one name but %d", name, len(ambiguous.Of)), Where: ambiguous.Of, Try: "the whole name, or -n NAMESPACE"}
	}
	return err
}

// conns are the connections that are meant, one for each sort of pair and each
// family that may be judged unlike the other, and none of a pod with itself
// unless there is no other.
func (q *explainQuestion) conns(m *tier.Model, scope tier.Scope) []tier.Conn {
	var out, self []tier.Conn
	for _, src := range q.src.Peers {
		src.Port = q.sourcePort
		for _, d := range q.doors {
			c := tier.Conn{Source: src, Destination: d.peer, Protocol: d.protocol, Port: d.port}
			switch {
			case src.Endpoint != nil && src.Endpoint == d.peer.Endpoint:
				self = append(self, c)
			case src.Addr.IsValid() && d.peer.Addr.IsValid() && src.Addr.Is4() != d.peer.Addr.Is4():
			default:
				out = append(out, byFamily(m, scope, c)...)
			}
		}
	}
	if len(out) == 0 {
		out = self
	}
	if meets := slices.DeleteFunc(slices.Clone(out), func(c tier.Conn) bool { return !meet(c) }); len(meets) > 0 {
		return meets
	}
	if len(out) == 0 { // an IPv4 and an IPv6 address: no such packet, but an answer
		src := q.src.Peers[0]
		src.Port = q.sourcePort
		d := q.doors[0]
		out = append(out, tier.Conn{Source: src, Destination: d.peer, Protocol: d.protocol, Port: d.port})
	}
	return out
}

// meet says whether an address has a pod's address of its family across.
func meet(c tier.Conn) bool {
	one := func(a, b tier.Peer) bool {
		return !a.Addr.IsValid() || b.Endpoint == nil || len(b.Endpoint.Addrs) == 0 ||
			slices.ContainsFunc(b.Endpoint.Addrs, func(x netip.Addr) bool { return x.Is4() == a.Addr.Is4() })
	}
	return one(c.Source, c.Destination) && one(c.Destination, c.Source)
}

// always says that no policy is asked: a pod and itself (S32), a node and its
// own pod (S12).
func (q *explainQuestion) always(c *tier.Conn) bool {
	return c.Source.Endpoint != nil && c.Destination.Endpoint != nil && c.Source.Endpoint.SamePod(c.Destination.Endpoint) ||
		c.Destination.Endpoint != nil && q.src.Kind == connectivity.EndHost && c.Destination.Endpoint.Node == q.src.Node
}

func (q *explainQuestion) alwaysText(c *tier.Conn) string {
	if ep := c.Source.Endpoint; ep != nil {
		if ep.Workload.Kind != policy.KindPod && q.src.Kind == connectivity.EndWorkload {
			return "a pod always reaches itself; of another pod of " + ep.Workload.String() + " this says nothing"
		}
		return "a pod always reaches itself"
	}
	return "a node always reaches its own pods: kubelet's probes come from there"
}

// endName is how an end is called: a pod that was asked for by another name,
// with that name.
func endName(e *connectivity.End, p tier.Peer) string {
	switch {
	case p.Endpoint != nil && e.Kind == connectivity.EndAddress:
		return p.Endpoint.Workload.String() + " (" + e.Name + ")"
	case p.Endpoint != nil:
		return p.Endpoint.Workload.String()
	case p.Addr.IsValid() && e.Name != p.Addr.String():
		return e.Name + " (" + p.Addr.String() + ")"
	}
	return e.Name
}
