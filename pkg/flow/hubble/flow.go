package hubble

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/flow/jsonlines"
	"github.com/netpol-project/netpol/pkg/policy"
)

// denials are the reasons for which Cilium's policies drop; others are faults
// of the network, which say nothing about policies.
var denials = []string{"POLICY_DENIED", "POLICY_DENY", "AUTH_REQUIRED"}

// action is what was decided; 0 where nothing was, or not by a policy. What is
// only audited goes through.
func (p *packet) action() policy.Action {
	switch p.Verdict {
	case "FORWARDED", "REDIRECTED", "AUDIT":
		return policy.Allow
	case "DROPPED":
		if p.DropReason == "" || slices.Contains(denials, p.DropReason) {
			return policy.Deny
		}
	}
	return 0
}

// connects says whether the packet may be the first that is seen of a
// connection that a policy decided about. Replies are not, nor requests within a
// connection, nor what was seen before it is known whose it is.
func (p *packet) connects() bool {
	switch {
	case p.Type != "" && p.Type != "L3_L4", len(p.L7) > 0, p.Reply, p.IsReply != nil && *p.IsReply:
		return false
	case p.action() == 0, p.Direction != "INGRESS" && p.Direction != "EGRESS":
		return false
	case p.IsReply != nil:
		return !p.L4.aside()
	case strings.HasPrefix(p.Point, "FROM_"):
		return false
	}
	return !p.L4.aside() && (p.L4.TCP == nil || p.opens())
}

// opens says whether it is a packet that opens a connection.
func (p *packet) opens() bool {
	t := p.L4.TCP
	return t == nil || t.Flags == nil || t.Flags.SYN && !t.Flags.ACK
}

// aside says whether it is a message of ICMP that asks for nothing: an answer,
// an error, or how neighbours find each other.
func (l *l4) aside() bool {
	switch {
	case l.ICMPv4 != nil:
		return slices.Contains([]uint8{0, 3, 4, 5, 11, 12, 14, 16, 18}, l.ICMPv4.Type)
	case l.ICMPv6 != nil:
		t := l.ICMPv6.Type
		return t < 128 || t == 129 || t >= 130 && t <= 143
	}
	return false
}

// to is the protocol and where it goes; from is the port it comes from.
func (l *l4) to() (p policy.Protocol, port, from uint16, ok bool) {
	switch {
	case l.TCP != nil:
		return policy.TCP, l.TCP.Destination, l.TCP.Source, true
	case l.UDP != nil:
		return policy.UDP, l.UDP.Destination, l.UDP.Source, true
	case l.SCTP != nil:
		return policy.SCTP, l.SCTP.Destination, l.SCTP.Source, true
	case l.ICMPv4 != nil:
		return policy.ICMP, policy.ICMPPort(l.ICMPv4.Type, l.ICMPv4.Code), 0, true
	case l.ICMPv6 != nil:
		return policy.ICMPv6, policy.ICMPPort(l.ICMPv6.Type, l.ICMPv6.Code), 0, true
	}
	return 0, 0, 0, false
}

// flow is the packet as a flow of one connection, and which connection it is of.
// An end that can't be told has no kind, and neither end has where the protocol
// can't be told.
func (p *packet) flow() (flow.Flow, conn, error) {
	f := flow.Flow{
		FirstSeen: p.Time.UTC(), LastSeen: p.Time.UTC(), Connections: 1,
		SourceLabels: p.Source.labels(), DestinationLabels: p.Destination.labels(),
	}
	if p.Time.IsZero() {
		return f, conn{}, errors.New("time is missing")
	}
	if !jsonlines.Plausible(p.Time) {
		return f, conn{}, fmt.Errorf("time %s, which no event can be of", p.Time.Format(time.RFC3339))
	}
	f.ServiceNamespace, f.ServiceName = p.Service.Namespace, p.Service.Name
	var from uint16
	var known bool
	f.Protocol, f.Port, from, known = p.L4.to()
	f.Direction = policy.Egress
	if p.Direction == "INGRESS" {
		f.Direction = policy.Ingress
	}
	f.Enforced = policy.Hit{Rule: policy.NoPolicy, Action: p.action()}
	f.Pending = f.Enforced
	source, err := address("source", p.IP.Source)
	if err != nil {
		return f, conn{}, err
	}
	destination, err := address("destination", p.IP.Destination)
	if err != nil {
		return f, conn{}, err
	}
	if known { // of another protocol (IGMP, VRRP, …) Hubble does not tell which
		f.Source, f.Destination = p.Source.peer(source, p.Node), p.Destination.peer(destination, p.Node)
	}
	if f.Destination.Kind == flow.PeerNetwork {
		f.Domains = flow.Domains(p.Domains)
	}
	c := conn{
		source: netip.AddrPortFrom(source, from), destination: netip.AddrPortFrom(destination, f.Port),
		protocol: f.Protocol, direction: f.Direction, denied: f.Enforced.Action == policy.Deny,
	}
	if !source.IsValid() || !destination.IsValid() {
		c.pods = [2]string{p.Source.id(), p.Destination.id()}
	}
	return f, c, nil
}

func address(end, text string) (netip.Addr, error) {
	if text == "" {
		return netip.Addr{}, nil
	}
	addr, err := netip.ParseAddr(text)
	if err != nil {
		return addr, fmt.Errorf("IP.%s %q is no address", end, text)
	}
	return addr.Unmap().WithZone(""), nil
}

// id tells pods apart.
func (e *endpoint) id() string { return e.Namespace + "/" + e.Pod + strings.Join(e.Labels, ",") }

// peer is the end of a flow; node is where it was seen. A pod goes by its
// workload, whose kind is what the policies' world says. It has no kind of peer
// where Hubble names neither workload nor address.
func (e *endpoint) peer(addr netip.Addr, node string) flow.Peer {
	is := func(label string) bool { return slices.Contains(e.Labels, "reserved:"+label) }
	name := e.Pod
	if len(e.Workloads) > 0 && e.Workloads[0].Name != "" {
		name = e.Workloads[0].Name
	}
	node = node[strings.LastIndexByte(node, '/')+1:] // the cluster's name is in front
	switch {
	case e.Namespace != "" && name != "":
		return flow.Peer{Kind: flow.PeerWorkload, Workload: policy.Workload{Namespace: e.Namespace, Name: name}}
	case e.Namespace != "": // a pod, but not which
		return flow.Peer{}
	case is("host") && node != "":
		return flow.Peer{Kind: flow.PeerHost, Workload: policy.Workload{Name: node}}
	case (is("host") || is("remote-node")) && addr.IsValid():
		return flow.Peer{Kind: flow.PeerHost, Addr: addr}
	case addr.IsValid():
		return flow.Peer{Kind: flow.PeerNetwork, Addr: addr}
	}
	return flow.Peer{}
}

// labels are the labels of the pod itself; Hubble has those that Cilium makes
// among them.
func (e *endpoint) labels() map[string]string {
	if e.own != nil {
		return e.own
	}
	var out map[string]string
	for _, l := range e.Labels {
		l, ok := strings.CutPrefix(l, "k8s:")
		if !ok || strings.HasPrefix(l, "io.cilium.k8s.") || strings.HasPrefix(l, "io.kubernetes.pod.namespace=") {
			continue
		}
		if out == nil {
			out = map[string]string{}
		}
		k, v, _ := strings.Cut(l, "=")
		out[k] = v
	}
	return out
}
