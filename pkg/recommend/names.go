package recommend

import (
	"slices"
	"strconv"
	"strings"

	"github.com/netpol-project/netpol/pkg/policy"
)

// names gives policies names that nobody else has.
type names struct {
	req   *Request
	there map[policy.Key]*policy.Policy // NetworkPolicies, enforced and staged
	used  map[policy.Key]bool
}

func newNames(req *Request) *names {
	n := &names{req: req, there: map[policy.Key]*policy.Policy{}, used: map[policy.Key]bool{}}
	for _, p := range req.Model.Snapshot().Policies {
		if p.Kind == policy.KindNetworkPolicy || p.Kind == policy.KindStagedNetworkPolicy {
			n.there[p.Key] = p
		}
	}
	return n
}

// assign names p after its first workload. If somebody else has a policy of
// that name, enforced or staged, another one is found; if we made it, p extends
// it, in its own tier.
func (n *names) assign(p *Policy) {
	w := p.Workloads[0]
	for _, name := range candidates(w) {
		enforced := policy.Key{Kind: policy.KindNetworkPolicy, Namespace: w.Namespace, Name: name}
		staged := policy.Key{Kind: policy.KindStagedNetworkPolicy, Namespace: w.Namespace, Name: name}
		if n.used[enforced] || n.foreign(enforced) || n.foreign(staged) {
			continue
		}
		n.used[enforced] = true
		p.Key = enforced
		if n.req.Staged {
			p.Key = staged
			if n.there[staged] != nil {
				p.extend(n.there[staged])
			} else if n.there[enforced] != nil {
				p.extend(n.there[enforced]) // staged, it replaces this (S27)
			}
			return
		}
		if n.there[enforced] != nil {
			p.extend(n.there[enforced])
		}
		if n.there[staged] != nil {
			p.Drop = staged
		}
		return
	}
}

// foreign says whether a policy of that key exists that we did not make.
func (n *names) foreign(k policy.Key) bool {
	return n.there[k] != nil && (n.req.Mine == nil || !n.req.Mine(k))
}

// extend makes p the addition to a policy that is there.
func (p *Policy) extend(base *policy.Policy) {
	p.Base, p.Tier = base, base.Tier
	for d := range p.Types {
		p.Types[d] = base.Types[d] || len(p.Rules[d]) > 0
	}
}

// candidates are names for w's policy, the best first. There are more than
// policies that could have them.
func candidates(w policy.Workload) func(func(int, string) bool) {
	fixed := []string{w.Name, w.Name + "-recommended", w.Name + "-" + strings.ToLower(string(w.Kind))}
	return func(yield func(int, string) bool) {
		for i, name := range fixed {
			if !yield(i, name) {
				return
			}
		}
		for i := 2; ; i++ {
			if !yield(i, w.Name+"-recommended-"+strconv.Itoa(i)) {
				return
			}
		}
	}
}

// Model is the policy as the evaluator reads it, with what it extends.
func (p *Policy) Model() *policy.Policy {
	out := &policy.Policy{Order: policy.Unordered, Selector: p.Selector}
	if p.Base != nil {
		*out = *p.Base
		for d := range out.Rules {
			out.Rules[d] = slices.Clone(p.Base.Rules[d])
		}
	}
	out.Key, out.Tier, out.Types, out.StagedAction = p.Key, p.Tier, p.Types, ""
	if p.Kind.Staged() {
		out.StagedAction = policy.StagedSet
	}
	for d, rules := range p.Rules {
		for _, r := range rules {
			out.Rules[d] = append(out.Rules[d], r.model(policy.Direction(d)))
		}
	}
	return out
}

func (r Rule) model(dir policy.Direction) policy.Rule {
	peer := policy.Entity{Nets: r.Nets, Selector: r.Selector, NamespaceSelector: r.NamespaceSelector, Service: r.Service}
	out := policy.Rule{Action: policy.Allow, Protocol: r.Protocol, ICMP: r.ICMP}
	if dir == policy.Ingress {
		out.Source, out.Destination.Ports = peer, r.Ports
		return out
	}
	out.Destination = peer
	out.Destination.Ports = r.Ports
	return out
}
