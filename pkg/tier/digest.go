package tier

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"math"

	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/policy/selector"
)

// digest is a hash of everything in p that a verdict or its attribution
// depends on.
func digest(p *policy.Policy) [16]byte {
	h := sha256.New()
	fmt.Fprintf(h, "%s|%s|%x|%v|%s|%v%v|", p.Key, p.Tier, math.Float64bits(p.Order), p.Types, p.StagedAction, p.DoNotTrack, p.PreDNAT)
	for _, s := range []*selector.Selector{p.Selector, p.NamespaceSelector, p.ServiceAccountSelector} {
		digestSelector(h, s)
	}
	for dir := range p.Rules {
		for i := range p.Rules[dir] {
			digestRule(h, dir, &p.Rules[dir][i])
		}
	}
	return [16]byte(h.Sum(nil)[:16])
}

func digestRule(h hash.Hash, dir int, r *policy.Rule) {
	fmt.Fprintf(h, "\n%d|%d|%d|%d|%d|", dir, r.Action, r.IPVersion, r.Protocol, r.NotProtocol)
	for _, m := range []*policy.ICMPMatch{r.ICMP, r.NotICMP} {
		if m != nil {
			fmt.Fprintf(h, "icmp %d %d", m.Type, m.Code)
		}
		h.Write([]byte{'|'})
	}
	if r.HTTP != nil {
		fmt.Fprintf(h, "%q|%q", r.HTTP.Methods, r.HTTP.Paths)
	}
	digestEntity(h, &r.Source)
	digestEntity(h, &r.Destination)
}

func digestEntity(h hash.Hash, e *policy.Entity) {
	fmt.Fprintf(h, "%v|%v|%v|%v|%q|%q|", e.Nets, e.NotNets, e.Ports, e.NotPorts, e.NamedPorts, e.NotNamedPorts)
	for _, s := range []*selector.Selector{e.Selector, e.NotSelector, e.NamespaceSelector} {
		digestSelector(h, s)
	}
	if a := e.ServiceAccounts; a != nil {
		fmt.Fprintf(h, "%q", a.Names)
		digestSelector(h, a.Selector)
	}
	if e.Service != nil {
		fmt.Fprintf(h, "%q", *e.Service)
	}
}

// digestSelector tells none from one that matches all.
func digestSelector(h hash.Hash, s *selector.Selector) {
	if s != nil {
		fmt.Fprintf(h, "%q", s.String())
	}
	h.Write([]byte{'|'})
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
