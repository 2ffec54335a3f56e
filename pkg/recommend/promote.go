package recommend

import (
	"fmt"
	"slices"

	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/flow/replay"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

// promote makes p what our staged policy of its name says, with the rules that are
// missing, if somebody wrote something of his own there, or it was staged by other
// flags.
func (n *names) promote(p *Policy, staged *policy.Policy) {
	own := p.Model()
	edited := staged.Order != policy.Unordered || staged.Tier != p.Tier
	for d := range own.Rules {
		theirs := map[string]bool{}
		for i := range staged.Rules[d] {
			text := ruleText(&staged.Rules[d][i])
			theirs[text] = true
			edited = edited || !slices.ContainsFunc(own.Rules[d], func(r policy.Rule) bool { return ruleText(&r) == text })
		}
		for i := range own.Rules[d] {
			p.Rules[d][i].there = theirs[ruleText(&own.Rules[d][i])]
		}
	}
	if !edited {
		return
	}
	for d := range p.Rules {
		dir := policy.Direction(d)
		p.Rules[d] = slices.DeleteFunc(p.Rules[d], func(r Rule) bool { return r.there || n.allows(staged, dir, &r) })
	}
	p.extend(staged)
}

// allows says whether our staged policy allows by other rules all that a rule is
// written for.
func (n *names) allows(staged *policy.Policy, d policy.Direction, r *Rule) bool {
	if !staged.Types[d] {
		return false
	}
	if n.staged == nil {
		s := *n.req.there()
		s.Policies = slices.DeleteFunc(slices.Clone(s.Policies), func(p *policy.Policy) bool {
			return p.Kind != policy.KindStagedNetworkPolicy || n.req.Mine == nil || !n.req.Mine(p.Key)
		})
		n.staged = replay.New(tier.New(&s, n.req.Model))
	}
	return !slices.ContainsFunc(r.Evidence, func(o *flow.Observed) bool {
		return slices.ContainsFunc(n.staged.Pairs(o), func(c tier.Conn) bool {
			return n.staged.Judge(tier.Only(staged.Key), o, c).Denied[d] != nil
		})
	})
}

// ruleText tells rules of policies apart: equal ones have equal text.
func ruleText(r *policy.Rule) string {
	text := fmt.Sprint(r.Action, r.IPVersion, r.Protocol, r.NotProtocol, r.Faulty)
	for _, m := range []*policy.ICMPMatch{r.ICMP, r.NotICMP} {
		if m != nil {
			text += fmt.Sprint(*m)
		}
		text += ";"
	}
	if r.HTTP != nil {
		text += fmt.Sprint(*r.HTTP)
	}
	for _, e := range []*policy.Entity{&r.Source, &r.Destination} {
		text += fmt.Sprint(";", e.Nets, e.NotNets, e.Selector, e.NotSelector, e.NamespaceSelector, e.Ports, e.NotPorts, e.NamedPorts, e.NotNamedPorts,
			e.Selector == nil, e.NotSelector == nil, e.NamespaceSelector == nil) // none is not all()
		if e.ServiceAccounts != nil {
			text += fmt.Sprint(e.ServiceAccounts.Names, e.ServiceAccounts.Selector)
		}
		if e.Service != nil {
			text += fmt.Sprint(*e.Service)
		}
	}
	return text
}
