package tier

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/policy/selector"
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
	peer        int32 // entity, or noEntity
	local       int32
	ports       []policy.PortRange
	notPorts    []policy.PortRange
	// nets is nil where neither side gives any, the common case.
	nets *netCriteria
}

// netCriteria are the address criteria of both sides.
type netCriteria struct {
	version                        uint8 // the family, 4 or 6; validation refuses a mix
	peer, notPeer, local, notLocal []netip.Prefix
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
		peer: number(peer), local: number(local),
		ports: r.Destination.Ports, notPorts: r.Destination.NotPorts,
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

// digest is a hash of everything in p that a verdict or its attribution
// depends on.
func digest(p *policy.Policy) [16]byte {
	var b strings.Builder
	fmt.Fprintf(&b, "%s|%s|%x|%v|", p.Key, p.Tier, math.Float64bits(p.Order), p.Types)
	b.WriteString(string(p.StagedAction))
	text := func(s *selector.Selector) {
		if s != nil {
			b.WriteString(s.String())
		}
		b.WriteByte('|')
	}
	text(p.Selector)
	text(p.NamespaceSelector)
	entity := func(e *policy.Entity) {
		for _, nets := range [][]netip.Prefix{e.Nets, e.NotNets} {
			for _, n := range nets {
				b.WriteString(n.String())
				b.WriteByte(',')
			}
			b.WriteByte('|')
		}
		text(e.Selector)
		text(e.NotSelector)
		text(e.NamespaceSelector)
		for _, ports := range [][]policy.PortRange{e.Ports, e.NotPorts} {
			for _, r := range ports {
				b.WriteString(r.String())
				b.WriteByte(',')
			}
			b.WriteByte('|')
		}
	}
	for dir := range p.Rules {
		for i := range p.Rules[dir] {
			r := &p.Rules[dir][i]
			b.WriteByte('\n')
			for _, n := range []uint8{uint8(dir), uint8(r.Action), r.IPVersion, uint8(r.Protocol), uint8(r.NotProtocol)} {
				b.WriteString(strconv.Itoa(int(n)))
				b.WriteByte('|')
			}
			entity(&r.Source)
			entity(&r.Destination)
		}
	}
	sum := sha256.Sum256([]byte(b.String()))
	return [16]byte(sum[:16])
}

// digestOf hashes a sequence of policies with the tiers they stand in.
func digestOf(groups []group) string {
	h := sha256.New()
	for i := range groups {
		g := &groups[i]
		h.Write([]byte(g.tier.Name))
		h.Write(binary.AppendUvarint(nil, uint64(g.tier.DefaultAction)))
		for _, c := range g.policies {
			h.Write(c.digest[:])
		}
	}
	return string(h.Sum(nil)[:16])
}
