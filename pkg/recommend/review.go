package recommend

import (
	"fmt"
	"slices"
	"time"

	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

// SensitiveMark is the label, and the annotation, of namespaces whose traffic
// with others somebody has to look at; its value is "true".
const SensitiveMark = "netpol.dev/sensitive"

// review says which flows no rule is written for.
type review struct {
	*Request
	labels *labeler
	scans  map[*flow.Observed]string
	http   bool // some policy has criteria on HTTP
}

func newReview(req *Request, labels *labeler, observed []flow.Observed) *review {
	r := &review{Request: req, labels: labels}
	if !req.IncludeSuspicious {
		r.scans = findScans(labels, observed)
	}
	r.http = anyHTTP(req.Model.Snapshot().Policies)
	return r
}

// skip is why no rule is written for a flow, empty if one is.
func (r *review) skip(o *flow.Observed) (SkipKind, string) {
	if r.excluded(o) {
		return SkipExcluded, "excluded"
	}
	if o.Connections < r.MinConnections {
		return SkipExcluded, fmt.Sprintf("seen %s only, fewer than asked for", times(o.Connections))
	}
	if reason := r.unwritable(o); reason != "" {
		return SkipNoRule, reason
	}
	if reason := r.refused(o); reason != "" {
		return SkipRefused, reason
	}
	if reason := r.suspicious(o); reason != "" {
		return SkipSuspicious, reason
	}
	return "", ""
}

func times(n int64) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

func (r *Request) excluded(o *flow.Observed) bool {
	return slices.ContainsFunc(r.Exclude, func(e Exclude) bool { return e.Match(o) })
}

// leftOut says whether a flow is left out because the request says so.
func (r *Request) leftOut(o *flow.Observed) bool {
	return r.excluded(o) || o.Connections < r.MinConnections
}

// unwritable is why no rule can say a flow.
func (r *review) unwritable(o *flow.Observed) string {
	rp := r.labels.rp
	if gone := rp.Gone(o); gone != "" {
		return gone + ", so no selector picks it"
	}
	for _, p := range []flow.Peer{o.Source, o.Destination} {
		outside := p.Kind == flow.PeerNetwork || p.Kind == flow.PeerNetworkSet
		if outside && !p.Addr.IsValid() {
			return "the address is not known; a rule for any address is never recommended"
		}
		if outside && r.labels.cluster.podNet(p.Addr) {
			return p.Addr.String() + " is of the cluster's pods, but no pod has it: whose it was is not known"
		}
	}
	if o.Source.Kind == flow.PeerHost && !rp.FromOwnHost(o) {
		return r.forwarded(o, o.Source.Workload.Name)
	}
	if node := r.labels.cluster.nodeAt(o.Source.Addr); o.Source.Kind != flow.PeerHost && node != "" {
		return r.forwarded(o, node)
	}
	if o.Destination.Kind == flow.PeerHost && !o.Destination.Addr.IsValid() {
		return "the host's address is not known"
	}
	if svc := r.labels.cluster.untranslated(o); svc != "" {
		return "it is the address of Service " + svc + " itself, behind which nothing was"
	}
	return ""
}

// forwarded is why a flow from another node has no rule (S34).
func (r *review) forwarded(o *flow.Observed, node string) string {
	if r.labels.cluster.apiNodes[node] {
		return "it comes from node " + node + ", which runs the API server: a webhook or aggregated API, or what the node forwards for somebody else; who may come that way is for you to say"
	}
	return "node " + node + " forwards it for somebody else (a NodePort or load balancer), so who may come that way is for you to say"
}

// orIncludeDenied is what recommend has for a flow that is refused, and fix has
// not.
const orIncludeDenied = "; --include-denied recommends it all the same"

// refused is why a flow is refused: by the enforced policies now, or whenever it
// was seen.
func (r *review) refused(o *flow.Observed) string {
	if r.IncludeDenied {
		return ""
	}
	rp := r.labels.rp
	pairs := rp.Pairs(o)
	var by *policy.Hit
	var at policy.Direction
	for _, c := range pairs {
		v := rp.Judge(tier.Enforced(), o, c)
		if v.Allowed() {
			by = nil
			break
		}
		if by == nil {
			if at, by = policy.Egress, v.Denied[policy.Egress]; by == nil {
				at, by = policy.Ingress, v.Denied[policy.Ingress]
			}
		}
	}
	switch {
	case by != nil:
		end := o.Source
		if at == policy.Ingress {
			end = o.Destination
		}
		return fmt.Sprintf("the enforced policies refuse it (%s, at %s)", by.Policy, end) + orIncludeDenied
	case o.Connections > 0 && o.Denied == o.Connections:
		return "it was refused whenever it was seen" + orIncludeDenied
	}
	return ""
}

// suspicious is why somebody should look at a flow before it is allowed.
func (r *review) suspicious(o *flow.Observed) string {
	if r.IncludeSuspicious {
		return ""
	}
	if s := r.scans[o]; s != "" {
		return s
	}
	if purpose := r.labels.purpose(o); purpose == purposeDNS || purpose == PurposeAPI {
		return ""
	}
	if a, b := o.Source.Workload.Namespace, o.Destination.Workload.Namespace; o.Source.Kind == flow.PeerWorkload && o.Destination.Kind == flow.PeerWorkload && a != b {
		for _, ns := range []string{a, b} {
			if r.sensitive(ns) {
				return "it crosses into or out of namespace " + ns + ", which is marked sensitive"
			}
		}
	}
	if name := plaintext(o); name != "" {
		return "plaintext (" + name + ") to the internet"
	}
	if r.seenOnce(o) {
		return "seen once, at " + stamp(o.FirstSeen) + ", and not again"
	}
	return r.byHTTP(o)
}

// rare is how long a flow has to stay away to count as seen once.
const rare = time.Hour

// seenOnce says whether a flow was one connection, which ended, and had the time
// to come again.
func (r *review) seenOnce(o *flow.Observed) bool {
	return o.Connections == 1 && o.Live == 0 && !r.Until.IsZero() && r.Until.Sub(o.LastSeen) >= rare
}

func (r *review) sensitive(namespace string) bool {
	ns := r.Model.Snapshot().Namespace(namespace)
	return ns != nil && ns.Labels[SensitiveMark] == "true" || r.Sensitive != nil && r.Sensitive(namespace)
}

// plaintext is the protocol without encryption that a flow to the internet
// speaks by its port, empty if none.
func plaintext(o *flow.Observed) string {
	outside := o.Destination.Kind == flow.PeerNetwork || o.Destination.Kind == flow.PeerNetworkSet
	if addr := o.Destination.Addr.Unmap(); !outside || !addr.IsGlobalUnicast() || addr.IsPrivate() || sharedNet.Contains(addr) {
		return ""
	}
	switch o.Protocol {
	case policy.TCP:
		return map[uint16]string{
			20: "FTP", 21: "FTP", 23: "Telnet", 25: "SMTP", 80: "HTTP", 110: "POP3", 119: "NNTP", 143: "IMAP",
			389: "LDAP", 512: "rexec", 513: "rlogin", 514: "rsh", 1883: "MQTT",
		}[o.Port]
	case policy.UDP:
		return map[uint16]string{69: "TFTP", 161: "SNMP", 514: "syslog"}[o.Port]
	}
	return ""
}
