// Package dns is a lab's cluster DNS: a small server that answers for the
// Services of a Plan, and the look-ups of the actors. Both speak real DNS, so
// that name resolution is traffic that policies can break.
package dns

import (
	"net/netip"
	"strings"

	"github.com/miekg/dns"

	"github.com/netpol-project/netpol/internal/lab/plan"
)

// ttl of every answer, in seconds, as a cluster's DNS has it for Services.
const ttl = 5

// Zone maps lower-case names with a final dot to addresses. It is JSON.
type Zone map[string][]netip.Addr

// NewZone has name.namespace.svc.cluster.local for every Service: its
// addresses, or its pods' for a headless one.
func NewZone(services []plan.Service) Zone {
	z := Zone{}
	for _, s := range services {
		addrs := s.Addrs
		if len(addrs) == 0 {
			addrs = s.Pods
		}
		z[strings.ToLower(s.Name+"."+s.Namespace+".svc."+plan.ClusterDomain+".")] = addrs
	}
	return z
}

// Answer is the reply to a query: addresses, an empty answer for a name that
// has none of the family asked for, NXDOMAIN for what does not exist in the
// cluster's domain, and REFUSED outside it (a lab has no upstream).
func (z Zone) Answer(query *dns.Msg) *dns.Msg {
	reply := new(dns.Msg).SetReply(query)
	reply.Authoritative = true
	if len(query.Question) != 1 || query.Opcode != dns.OpcodeQuery {
		reply.Rcode = dns.RcodeNotImplemented
		return reply
	}
	q := query.Question[0]
	name := strings.ToLower(q.Name)
	if !dns.IsSubDomain(plan.ClusterDomain+".", name) {
		reply.Rcode = dns.RcodeRefused
		return reply
	}
	addrs, ok := z[name]
	if !ok {
		reply.Rcode = dns.RcodeNameError
		return reply
	}
	for _, a := range addrs {
		header := dns.RR_Header{Name: q.Name, Rrtype: q.Qtype, Class: dns.ClassINET, Ttl: ttl}
		switch {
		case q.Qtype == dns.TypeA && a.Is4():
			reply.Answer = append(reply.Answer, &dns.A{Hdr: header, A: a.AsSlice()})
		case q.Qtype == dns.TypeAAAA && a.Is6():
			reply.Answer = append(reply.Answer, &dns.AAAA{Hdr: header, AAAA: a.AsSlice()})
		}
	}
	return reply
}
