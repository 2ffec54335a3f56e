package cmd

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/spf13/cobra"

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
		return nil, endError(source, err)
	}
	dst, target, err := connectivity.LookupTarget(m, target, namespaces)
	if err != nil {
		return nil, endError(target.Name, err)
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
func endError(name string, err error) error {
	var unknown *connectivity.UnknownName
	var ambiguous *connectivity.AmbiguousName
	switch {
	case errors.As(err, &unknown):
		try := "netpol get pods -A"
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

// open finds the doors: the port that is meant at each of the destinations.
func (q *explainQuestion) open(s *policy.Snapshot, t connectivity.Target) error {
	try := fmt.Sprintf("netpol explain %s %s:%s", q.src.Name, q.dst.Name, q.somePort(t))
	svc := q.dst.Service
	if q.dst.Kind == connectivity.EndAddress {
		svc = serviceAt(s, q.dst)
	}
	if svc != nil {
		if err := q.openService(s, svc, t); err != nil {
			return cli.Usage(try, "%s: %s", q.dst.Name, err)
		}
		return nil
	}
	for _, peer := range q.dst.Peers {
		var declared []policy.ContainerPort
		if peer.Endpoint != nil {
			declared = peer.Endpoint.Ports
		}
		proto, port, err := t.Resolve(declared)
		if err != nil {
			return cli.Usage(try, "%s: %s", q.dst.Name, err)
		}
		q.doors = append(q.doors, door{peer, proto, port})
	}
	if len(q.doors) == 0 {
		return cli.Usage("", "%s has no addresses", q.dst.Name)
	}
	return nil
}

// somePort is a port to propose: the first that the destination declares for
// the protocol, if one was typed.
func (q *explainQuestion) somePort(t connectivity.Target) string {
	if svc := q.dst.Service; svc != nil && len(svc.Ports) > 0 {
		return fmt.Sprintf("%d/%s", svc.Ports[0].Port, strings.ToLower(svc.Ports[0].Protocol.String()))
	}
	for _, p := range q.dst.Peers {
		if p.Endpoint == nil {
			continue
		}
		for _, d := range p.Endpoint.Ports {
			if t.Protocol == 0 || t.Protocol == d.Protocol {
				return fmt.Sprintf("%d/%s", d.Port, strings.ToLower(d.Protocol.String()))
			}
		}
	}
	if t.Protocol != 0 {
		return "80/" + strings.ToLower(t.Protocol.String())
	}
	return "80"
}

// serviceAt is the Service that has an address, nil if there is none.
func serviceAt(s *policy.Snapshot, e *connectivity.End) *policy.Service {
	for _, svc := range s.Services {
		if slices.Contains(svc.Addrs, e.Peers[0].Addr) {
			return svc
		}
	}
	return nil
}

// openService translates, as the node does before policies are asked (S22).
func (q *explainQuestion) openService(s *policy.Snapshot, svc *policy.Service, t connectivity.Target) error {
	ports := make([]policy.ContainerPort, len(svc.Ports))
	for i, p := range svc.Ports {
		ports[i] = policy.ContainerPort{Name: p.Name, Protocol: p.Protocol, Port: p.Port}
	}
	proto, number, err := t.Resolve(ports)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(svc.Ports, func(p policy.ServicePort) bool { return p.Protocol == proto && p.Port == number })
	if i < 0 {
		return fmt.Errorf("it has no port %s", connectivity.PortText(proto, number))
	}
	var to []string
	for _, ep := range s.ServiceEndpoints(svc) {
		if port := svc.Ports[i].TargetPortOf(ep); port != 0 {
			q.doors = append(q.doors, door{tier.Peer{Endpoint: ep}, proto, port})
			to = append(to, ep.Workload.String()+" "+connectivity.PortText(proto, port))
		}
	}
	for _, b := range svc.Backends {
		for _, p := range b.Ports {
			if p.Protocol == proto && (p.Name == svc.Ports[i].Name || len(svc.Ports) == 1) {
				q.doors = append(q.doors, door{tier.Peer{Addr: b.Addr}, proto, p.Port})
				to = append(to, b.Addr.String()+" "+connectivity.PortText(proto, p.Port))
			}
		}
	}
	if len(q.doors) == 0 {
		return fmt.Errorf("nothing is behind its port %s", connectivity.PortText(proto, number))
	}
	slices.Sort(to)
	q.notes = append(q.notes, fmt.Sprintf("svc/%s/%s port %s is judged after translation, as %s",
		svc.Namespace, svc.Name, connectivity.PortText(proto, number), strings.Join(slices.Compact(to), ", ")))
	return nil
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
	return c.Source.Endpoint != nil && c.Source.Endpoint == c.Destination.Endpoint ||
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

// completeEnds completes SOURCE and DESTINATION.
func completeEnds(cmd *cobra.Command, f *cli.Factory) {
	source, destination := completer(f, endNames), completer(f, destinationNames)
	cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
		switch len(args) {
		case 0:
			return source(cmd, args, prefix)
		case 1:
			return destination(cmd, args, prefix)
		}
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
}

// endNames lists what connections can come from.
func endNames(w *world) []string { return connectivity.Names(w.snap) }

func destinationNames(w *world) []string {
	return append(connectivity.Names(w.snap), connectivity.ServiceNames(w.snap)...)
}

// allWorkloads lists the workloads, for completion.
func allWorkloads(w *world) []string {
	var out []string
	for _, ep := range w.snap.Endpoints {
		out = append(out, ep.Workload.String())
	}
	return out
}
