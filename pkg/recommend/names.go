package recommend

import (
	"slices"
	"strconv"
	"strings"

	"github.com/netpol-project/netpol/pkg/flow/replay"
	"github.com/netpol-project/netpol/pkg/policy"
)

// names gives policies names that nobody else has.
type names struct {
	req    *Request
	labels *labeler
	there  map[policy.Key]*policy.Policy // NetworkPolicies, enforced and staged
	used   map[policy.Key]bool
	// staged asks about our staged policies and no others; made when it is needed.
	staged *replay.Replay
}

func newNames(req *Request, labels *labeler) *names {
	n := &names{req: req, labels: labels, there: map[policy.Key]*policy.Policy{}, used: map[policy.Key]bool{}}
	for _, p := range req.there().Policies {
		if p.Kind == policy.KindNetworkPolicy || p.Kind == policy.KindStagedNetworkPolicy {
			n.there[p.Key] = p
		}
	}
	return n
}

// assign names p after its first workload, or its namespace. If somebody else has
// a policy of that name, enforced or staged, or ours of that name selects others
// by now, another one is found; else p extends ours, in its own tier.
func (n *names) assign(p *Policy, t *target) {
	for _, name := range candidates(t) {
		enforced := policy.Key{Kind: policy.KindNetworkPolicy, Namespace: t.namespace, Name: name}
		staged := policy.Key{Kind: policy.KindStagedNetworkPolicy, Namespace: t.namespace, Name: name}
		if n.used[enforced] || n.foreign(enforced, t) || n.foreign(staged, t) {
			continue
		}
		n.used[enforced] = true
		p.Key = enforced
		if n.req.Staged {
			p.Key = staged
		}
		switch {
		case n.req.InPlace && n.there[staged] != nil:
			p.Key = staged
			p.extend(n.there[staged])
		case n.req.InPlace && n.there[enforced] != nil:
			p.Key = enforced
			p.extend(n.there[enforced])
		case n.req.Staged && n.there[staged] != nil:
			p.extend(n.there[staged])
		case n.there[enforced] != nil: // staged, it replaces this (S27)
			p.extend(n.there[enforced])
		}
		if !n.req.Staged && !n.req.InPlace && n.there[staged] != nil {
			p.Drop = staged
			if p.Base == nil {
				n.promote(p, n.there[staged])
			}
		}
		return
	}
}

// foreign says whether a policy of that key exists that p must not extend: we did
// not make it, or it selects other pods than the target.
func (n *names) foreign(k policy.Key, t *target) bool {
	p := n.there[k]
	if p == nil {
		return false
	}
	if n.req.Mine == nil || !n.req.Mine(k) || p.ServiceAccountSelector != nil {
		return true
	}
	for _, ep := range n.labels.byNamespace[t.namespace] {
		_, own := slices.BinarySearchFunc(t.workloads, ep.Workload, compareWorkloads)
		if (p.Selector == nil || p.Selector.Matches(ep.Labels)) != own {
			return true
		}
	}
	return false
}

// extend makes p the addition to a policy that is there.
func (p *Policy) extend(base *policy.Policy) {
	p.Base, p.Tier = base, base.Tier
	for d := range p.Types {
		p.Types[d] = base.Types[d] || len(p.Rules[d]) > 0
	}
}

// candidates are names for a target's policy, the best first. There are more than
// policies that could have them.
func candidates(t *target) func(func(int, string) bool) {
	w := t.workloads[0]
	fixed := []string{w.Name, w.Name + "-recommended", w.Name + "-" + strings.ToLower(string(w.Kind))}
	if t.whole {
		fixed = []string{"namespace", "namespace-recommended"}
	}
	return func(yield func(int, string) bool) {
		for i, name := range fixed {
			if !yield(i, name) {
				return
			}
		}
		for i := 2; ; i++ {
			if !yield(i, fixed[0]+"-recommended-"+strconv.Itoa(i)) {
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
		out.Source = peer
	} else {
		out.Destination = peer
	}
	out.Destination.Ports = r.Ports
	for _, p := range r.NamedPorts {
		out.Destination.NamedPorts = append(out.Destination.NamedPorts, p.Name)
	}
	return out
}
