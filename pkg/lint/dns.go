package lint

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

// Ports on which DNS servers answer clients: OpenShift's pods have another one
// than their Service.
const (
	dnsPort          = 53
	openShiftDNSPort = 5353
)

// dnsForgotten finds pods that may connect to others by egress rules, but to no
// DNS server that there is or could be, so that they can't find those others by
// their names. It is told of the policy with the rule.
func (r *run) dnsForgotten() {
	if !r.hasPods() {
		return
	}
	servers := r.dnsServers()
	found := map[*policy.Policy][]*policy.Endpoint{}
	known := map[string]bool{} // of those that are judged alike
	for _, pr := range r.profiles {
		if pr.dir != policy.Egress {
			continue
		}
		p := r.allowsByName(pr)
		if p == nil || slices.ContainsFunc(pr.policies, mindsDNS) {
			continue
		}
		for _, ep := range pr.endpoints {
			if ep == r.stranger || slices.ContainsFunc(servers, func(s dnsServer) bool { return s.endpoint == ep }) {
				continue
			}
			key := r.model.Profile(pr.scope, policy.Egress, ep)
			none, ok := known[key]
			if !ok {
				none = r.noDNS(pr.scope, ep, servers)
				known[key] = none
			}
			if none {
				found[p] = append(found[p], ep)
			}
		}
	}
	for _, p := range r.policies {
		if list := found[p]; len(list) > 0 {
			r.warn(p, policy.Fault{Code: "dns-forgotten", Field: "spec.egress",
				Reason: workloads(list) + " may connect to others but can reach no DNS server, so names don't resolve",
				Fix:    "allow UDP and TCP 53 to the cluster's DNS"})
		}
	}
}

// allowsByName is the first policy of a profile with a rule that allows
// connections to whom one finds by name: nets alone are found without.
func (r *run) allowsByName(pr *profile) *policy.Policy {
	for _, p := range pr.policies {
		if r.selected[p] == nil || scopeOf(p) != pr.scope {
			continue
		}
		for i := range p.Rules[policy.Egress] {
			rule := &p.Rules[policy.Egress][i]
			to := &rule.Destination
			if rule.Action == policy.Allow && rule.HTTP == nil && !rule.Protocol.HasTypes() && (hasWho(to) || !hasNets(to)) {
				return p
			}
		}
	}
	return nil
}

// mindsDNS says whether a policy has a rule that allows DNS to somebody: then
// it is not forgotten, even if that somebody is not among what was read.
func mindsDNS(p *policy.Policy) bool {
	return slices.ContainsFunc(p.Rules[policy.Egress], func(rule policy.Rule) bool {
		to := &rule.Destination
		return rule.Action == policy.Allow && (rule.Protocol == policy.UDP || rule.Protocol == policy.TCP) &&
			(slices.ContainsFunc(to.Ports, func(r policy.PortRange) bool { return r.Contains(dnsPort) || r.Contains(openShiftDNSPort) }) ||
				slices.ContainsFunc(to.NamedPorts, func(name string) bool { return strings.HasPrefix(name, "dns") }))
	})
}

// dnsServer is a pod with the port on which it serves DNS.
type dnsServer struct {
	endpoint *policy.Endpoint
	proto    policy.Protocol
	port     uint16
}

// dnsServers are the pods that serve port 53, by themselves or by a Service.
func (r *run) dnsServers() []dnsServer {
	var out []dnsServer
	for _, ep := range r.snap.Endpoints {
		for _, c := range ep.Ports {
			if c.Port == dnsPort {
				out = append(out, dnsServer{ep, c.Protocol, dnsPort})
			}
		}
	}
	for _, svc := range r.snap.Services {
		for i := range svc.Ports {
			if p := &svc.Ports[i]; p.Port == dnsPort {
				for _, ep := range r.snap.ServiceEndpoints(svc) {
					out = append(out, dnsServer{ep, p.Protocol, p.TargetPortOf(ep)})
				}
			}
		}
	}
	return out
}

// mostNets bounds how many networks are looked into for DNS.
const mostNets = 4096

// noDNS says that the model denies an endpoint every way to DNS: to pods that
// serve it, to any address that rules or network sets name (servers may be
// there), and to addresses that nobody names. A deny by a rule that says whom
// or what it is for is meant.
func (r *run) noDNS(scope tier.Scope, ep *policy.Endpoint, servers []dnsServer) bool {
	local := tier.Peer{Endpoint: ep}
	denied := func(peer tier.Peer, proto policy.Protocol, port uint16) bool {
		v := r.model.Judge(scope, policy.Egress, local, peer, proto, port)
		return v.Action == policy.Deny && r.byDefault(v.By)
	}
	for _, s := range servers {
		if !denied(tier.Peer{Endpoint: s.endpoint}, s.proto, s.port) {
			return false
		}
	}
	addrs := []netip.Addr{netip.MustParseAddr("192.0.2.53"), netip.MustParseAddr("2001:db8::53")}
	nets := r.model.Nets(scope, policy.Egress, ep)
	if len(nets) > mostNets {
		return false // it takes long to tell
	}
	for _, n := range nets {
		addrs = append(addrs, n.Addr())
	}
	for _, a := range addrs {
		for _, proto := range []policy.Protocol{policy.UDP, policy.TCP} {
			if !denied(tier.Peer{Addr: a}, proto, dnsPort) {
				return false
			}
		}
	}
	return true
}

// byDefault says that the end of a tier decided, or a rule for all that is
// left.
func (r *run) byDefault(h policy.Hit) bool {
	if h.Rule == policy.EndOfTier {
		return true
	}
	p := r.snap.Policy(h.Policy)
	return p != nil && h.Rule >= 0 && h.Rule < len(p.Rules[policy.Egress]) && unconditional(&p.Rules[policy.Egress][h.Rule])
}
