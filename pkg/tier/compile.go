package tier

import (
	"net/netip"
	"slices"

	"github.com/netpol-project/netpol/pkg/policy"
)

// compiled is a policy whose selectors have become entity numbers.
type compiled struct {
	*policy.Policy
	subject int32
	rules   [2][]rule
	// digest tells policies of different content apart, also from one process
	// to the next.
	digest [16]byte
}

// rule is a policy.Rule seen from the endpoint that is judged: peer is the far
// side, local the endpoint's own.
type rule struct {
	index       int32 // in the policy's list of the direction
	action      policy.Action
	ipVersion   uint8
	protocol    policy.Protocol
	notProtocol policy.Protocol
	// types says that ports and notPorts are policy.ICMPPorts.
	types bool
	// never: it has a criterion that is not judged here and must not widen
	// the rule (S24).
	never    bool
	peer     int32 // entity, or noEntity
	local    int32
	ports    []policy.PortRange
	notPorts []policy.PortRange
	// nets is nil where neither side gives any, the common case.
	nets *netCriteria
	// by holds criteria on ports that need more than the number of the
	// destination port; nil where there are none, the common case.
	by *portCriteria
}

// netCriteria are the address criteria of both sides.
type netCriteria struct {
	version                        uint8 // the family, 4 or 6; validation refuses a mix
	peer, notPeer, local, notLocal []netip.Prefix
}

// portCriteria are criteria on ports that depend on who the ends are, or are
// about the source (S20, S21).
type portCriteria struct {
	source, notSource           []policy.PortRange
	sourceNamed, notSourceNamed []string
	named, notNamed             []string // of the destination
	// service: the destination's port must be one on which the backend serves
	// it; the entity of the destination's side tells which Service.
	service bool
}

// compile turns p's selectors into numbers given by intern.
func compile(p *policy.Policy, intern func(entity) int32) *compiled {
	c := &compiled{Policy: p, subject: intern(subjectOf(p)), digest: digest(p)}
	for _, dir := range []policy.Direction{policy.Ingress, policy.Egress} {
		if !p.Types[dir] {
			continue // S3: a policy acts only in the directions of its types
		}
		c.rules[dir] = make([]rule, len(p.Rules[dir]))
		for i := range p.Rules[dir] {
			c.rules[dir][i] = compileRule(p, dir, &p.Rules[dir][i], intern)
			c.rules[dir][i].index = int32(i)
		}
	}
	return c
}

func compileRule(p *policy.Policy, dir policy.Direction, r *policy.Rule, intern func(entity) int32) rule {
	peer, local := &r.Source, &r.Destination
	if dir == policy.Egress {
		peer, local = local, peer
	}
	number := func(e *policy.Entity) int32 {
		if ent, ok := peerOf(p, e); ok {
			return intern(ent)
		}
		return noEntity
	}
	out := rule{
		action: r.Action, ipVersion: r.IPVersion, protocol: r.Protocol, notProtocol: r.NotProtocol,
		never: r.HTTP != nil,
		peer:  number(peer), local: number(local),
		ports: r.Destination.Ports, notPorts: r.Destination.NotPorts,
	}
	if r.ICMP != nil || r.NotICMP != nil {
		out.types, out.ports, out.notPorts = true, nil, nil
		if r.ICMP != nil {
			out.ports = []policy.PortRange{r.ICMP.Ports()}
		}
		if r.NotICMP != nil {
			out.notPorts = []policy.PortRange{r.NotICMP.Ports()}
		}
	}
	out.by = portCriteriaOf(r)
	if by := out.by; by != nil && out.protocol == 0 && !by.serviceOnly() {
		out.close()
	}
	if len(peer.Nets)+len(peer.NotNets)+len(local.Nets)+len(local.NotNets) > 0 {
		n := &netCriteria{version: 4, peer: peer.Nets, notPeer: peer.NotNets, local: local.Nets, notLocal: local.NotNets}
		if slices.Concat(n.peer, n.notPeer, n.local, n.notLocal)[0].Addr().Is6() {
			n.version = 6
		}
		out.nets = n
	}
	return out
}

func portCriteriaOf(r *policy.Rule) *portCriteria {
	by := portCriteria{
		source: r.Source.Ports, notSource: r.Source.NotPorts,
		sourceNamed: r.Source.NamedPorts, notSourceNamed: r.Source.NotNamedPorts,
		named: r.Destination.NamedPorts, notNamed: r.Destination.NotNamedPorts,
		service: r.Destination.Service != nil,
	}
	if !by.service && len(by.source)+len(by.notSource)+len(by.sourceNamed)+len(by.notSourceNamed)+len(by.named)+len(by.notNamed) == 0 {
		return nil
	}
	return &by
}

func (by *portCriteria) serviceOnly() bool {
	return len(by.source)+len(by.notSource)+len(by.sourceNamed)+len(by.notSourceNamed)+len(by.named)+len(by.notNamed) == 0
}

// onSource says whether there are criteria on the source's port.
func (by *portCriteria) onSource() bool {
	return len(by.source)+len(by.notSource)+len(by.sourceNamed)+len(by.notSourceNamed) > 0
}

// close deals with criteria on ports without a protocol, which decoding
// refuses (S22): such a rule denies more or allows nothing.
func (r *rule) close() {
	if r.action == policy.Deny {
		r.by, r.ports, r.notPorts = nil, nil, nil
		return
	}
	r.never = true
}
