package recommend

import (
	"fmt"
	"slices"
	"strings"

	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
)

// Explain is the policy rule by rule, with what each was written for, as text of
// several lines.
func (p *Policy) Explain() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s (tier %s)\n", p.Key, p.Tier)
	fmt.Fprintf(&b, "  for %s, selected by %s\n", workloadsText(p.Workloads), quoted(p.Selector))
	if len(p.Unasked) > 0 {
		fmt.Fprintf(&b, "  of which was not asked for: %s\n", workloadsText(p.Unasked))
	}
	if p.Base != nil {
		fmt.Fprintf(&b, "  extends %s\n", p.Base.Key)
	}
	for d := range p.Rules {
		dir := policy.Direction(d)
		if p.Types[d] && len(p.Rules[d]) == 0 && (p.Base == nil || len(p.Base.Rules[d]) == 0) {
			fmt.Fprintf(&b, "  %s: nothing was seen, so nothing is allowed\n", dir)
		}
		for i := range p.Rules[d] {
			n := i
			if p.Base != nil {
				n += len(p.Base.Rules[d])
			}
			p.Rules[d][i].explain(&b, dir, n)
		}
	}
	return b.String()
}

// shownFlows is how many flows of a rule are told.
const shownFlows = 20

func (r *Rule) explain(b *strings.Builder, dir policy.Direction, number int) {
	fmt.Fprintf(b, "  %s rule %d: %s\n", dir, number, r.text(dir))
	if r.Purpose != "" {
		fmt.Fprintf(b, "    this is %s\n", r.Purpose)
	}
	fmt.Fprintf(b, "    since %s\n", EvidenceOf(r.Evidence))
	for i, o := range r.Evidence {
		if i == shownFlows {
			fmt.Fprintf(b, "      … and %d more\n", len(r.Evidence)-i)
			break
		}
		fmt.Fprintf(b, "      %s%s: %s, last %s\n", FlowText(o), via(o), plural(o.Connections, "connection"), stamp(o.LastSeen))
	}
	if what := r.unseenDNS(); what != "" {
		fmt.Fprintf(b, "    seen over the other protocol of DNS; %s\n", what)
	}
	if len(r.Admits) > 0 {
		fmt.Fprintf(b, "    the labels pick too: %s\n", workloadsText(r.Admits))
	}
}

// unseenDNS says what a rule is for that allows DNS over another protocol than it
// was seen over, with some of its peers (S33); empty for other rules.
func (r *Rule) unseenDNS() string {
	if r.Protocol == 0 || !slices.ContainsFunc(r.Evidence, func(o *flow.Observed) bool { return o.Protocol != r.Protocol }) {
		return ""
	}
	if r.Protocol == policy.UDP {
		return "questions go over UDP first"
	}
	return "long answers come over " + r.Protocol.String()
}

func via(o *flow.Observed) string {
	if s := o.Service(); s != "" {
		return " by Service " + s
	}
	return ""
}

// text is the rule on one line.
func (r *Rule) text(dir policy.Direction) string {
	var peer []string
	if r.NamespaceSelector != nil {
		peer = append(peer, "namespaces "+quoted(r.NamespaceSelector))
	}
	if r.Selector != nil {
		peer = append(peer, quoted(r.Selector))
	}
	if r.Service != nil {
		peer = append(peer, "Service "+r.serviceName())
	}
	for _, n := range r.Nets {
		peer = append(peer, n.String())
	}
	what := "what it serves"
	if r.Protocol != 0 {
		what = r.Protocol.String()
	}
	if r.ICMP != nil {
		what += fmt.Sprintf(" type %d", r.ICMP.Type)
	}
	var ports []string
	for _, p := range r.Ports {
		ports = append(ports, p.String())
	}
	for _, p := range r.NamedPorts {
		ports = append(ports, fmt.Sprintf("%s (%d)", p.Name, p.Port))
	}
	if len(ports) > 0 {
		what += " " + strings.Join(ports, ", ")
	}
	word := " from "
	if dir == policy.Egress {
		word = " to "
	}
	return what + word + strings.Join(peer, " ")
}
