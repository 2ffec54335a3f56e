package lint

import (
	"fmt"
	"slices"
	"strings"

	"github.com/netpol-project/netpol/pkg/policy"
)

// eachRule calls f for every rule that acts, with its field path.
func (r *run) eachRule(f func(p *policy.Policy, d policy.Direction, rule *policy.Rule, field string)) {
	for _, p := range r.policies {
		for _, d := range acts(p) {
			for i := range p.Rules[d] {
				f(p, d, &p.Rules[d][i], fmt.Sprintf("%s[%d]", rulesField(d), i))
			}
		}
	}
}

// sides are the two entities of a rule with their field paths.
func sides(rule *policy.Rule, field string) [2]side {
	return [2]side{{&rule.Source, field + ".source"}, {&rule.Destination, field + ".destination"}}
}

type side struct {
	*policy.Entity
	field string
}

// rulesIgnored finds rules for a direction that types leave out (S3).
func (r *run) rulesIgnored() {
	for _, p := range r.policies {
		for d := range p.Rules {
			dir := policy.Direction(d)
			if p.Types[d] || len(p.Rules[d]) == 0 {
				continue
			}
			r.warn(p, policy.Fault{Code: "rules-ignored", Field: rulesField(dir),
				Reason: fmt.Sprintf("types leave out %s, so %s never match", dir, count(len(p.Rules[d]), "its rule")),
				Fix:    "add " + dir.String() + " to types, or remove the rules"})
		}
	}
}

// count is a number with its noun; the plural has an s.
func count(n int, noun string) string {
	if n == 1 {
		return noun
	}
	if first, rest, ok := strings.Cut(noun, " "); ok && first == "its" {
		return fmt.Sprintf("its %d %ss", n, rest)
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// logOnly finds policies that arm the end of their tier and decide nothing
// themselves, where nothing else of the tier does.
func (r *run) logOnly() {
	for _, p := range r.policies {
		for _, d := range acts(p) {
			if !logsOnly(p, d) || r.tierOf(p).DefaultAction == policy.Pass || r.othersDecide(p, d) {
				continue
			}
			r.warn(p, policy.Fault{Code: "log-only", Field: rulesField(d),
				Reason: fmt.Sprintf("the rules only log, so all %s goes on to the end of tier %s, which denies it", strings.ToLower(d.String()), p.Tier),
				Fix:    "end with a rule that decides, such as action: Pass"})
		}
	}
}

func logsOnly(p *policy.Policy, d policy.Direction) bool {
	return len(p.Rules[d]) > 0 && !slices.ContainsFunc(p.Rules[d], func(rule policy.Rule) bool { return rule.Action != policy.Log })
}

// othersDecide says whether every endpoint that p selects is selected by a
// policy of the same tier, too, that does more than log: then p changes nothing.
func (r *run) othersDecide(p *policy.Policy, d policy.Direction) bool {
	found := false
	for _, pr := range r.profiles {
		if pr.dir != d || pr.scope != scopeOf(p) || !slices.Contains(pr.policies, p) {
			continue
		}
		found = true
		if !slices.ContainsFunc(pr.policies, func(o *policy.Policy) bool { return o.Tier == p.Tier && !logsOnly(o, d) }) {
			return false
		}
	}
	return found
}

// allowAll finds Allow rules without any criterion in policies whose name does
// not say that this is meant.
func (r *run) allowAll() {
	r.eachRule(func(p *policy.Policy, d policy.Direction, rule *policy.Rule, field string) {
		if rule.Action != policy.Allow || !unconditional(rule) {
			return
		}
		for _, said := range []string{"allow-all", "allow-any", "allow-" + strings.ToLower(d.String()), "external", "public", "internet", "open"} {
			if strings.Contains(p.Name, said) {
				return
			}
		}
		what := "from anywhere"
		if d == policy.Egress {
			what = "to anywhere"
		}
		r.warn(p, policy.Fault{Code: "allow-all", Field: field,
			Reason: "the rule has no criterion, so it allows everything " + what,
			Fix:    "say who and what is allowed, or allow-all in the policy's name"})
	})
}

// unconditional says whether a rule matches every connection.
func unconditional(rule *policy.Rule) bool {
	return rule.IPVersion == 0 && rule.Protocol == 0 && rule.NotProtocol == 0 && rule.ICMP == nil &&
		rule.NotICMP == nil && rule.HTTP == nil && empty(&rule.Source) && empty(&rule.Destination)
}

func empty(e *policy.Entity) bool { return !hasWho(e) && !hasNets(e) && !hasPorts(e) }

func hasWho(e *policy.Entity) bool {
	return e.Selector != nil || e.NotSelector != nil || e.NamespaceSelector != nil || e.ServiceAccounts != nil || e.Service != nil
}

func hasNets(e *policy.Entity) bool { return len(e.Nets)+len(e.NotNets) > 0 }

func hasPorts(e *policy.Entity) bool {
	return len(e.Ports)+len(e.NotPorts)+len(e.NamedPorts)+len(e.NotNamedPorts) > 0
}

// neverMatches finds rules of which one criterion excludes what another asks.
func (r *run) neverMatches() {
	r.eachRule(func(p *policy.Policy, _ policy.Direction, rule *policy.Rule, field string) {
		f := policy.Fault{Code: "never-matches", Fix: "remove one of them"}
		switch {
		case rule.Protocol != 0 && rule.Protocol == rule.NotProtocol:
			f.Field, f.Reason = field+".notProtocol", "the rule asks for protocol "+rule.Protocol.String()+" and excludes it"
			r.warn(p, f)
		case rule.ICMP != nil && rule.NotICMP != nil && within(rule.ICMP.Ports(), []policy.PortRange{rule.NotICMP.Ports()}):
			f.Field, f.Reason = field+".notICMP", "the rule excludes the ICMP messages that it asks for"
			r.warn(p, f)
		}
		for _, s := range sides(rule, field) {
			switch {
			case len(s.Nets) > 0 && allNets(s.Nets, s.NotNets):
				f.Field, f.Reason = s.field+".notNets", "notNets exclude all of nets"
			case s.Selector != nil && s.NotSelector != nil && s.Selector.String() == s.NotSelector.String():
				f.Field, f.Reason = s.field+".notSelector", "notSelector excludes what selector asks for"
			case len(s.Ports) > 0 && len(s.NamedPorts) == 0 && allPorts(s.Ports, s.NotPorts):
				f.Field, f.Reason = s.field+".notPorts", "notPorts exclude all of ports"
			default:
				continue
			}
			r.warn(p, f)
		}
	})
}

// deleteNothing finds staged deletions of what does not exist.
func (r *run) deleteNothing() {
	for _, p := range r.sound {
		if p.StagedAction != policy.StagedDelete {
			continue
		}
		twin := p.Key
		twin.Kind = p.Kind.Enforced()
		if r.snap.Policy(twin) == nil {
			r.warn(p, policy.Fault{Code: "delete-nothing", Field: "spec.stagedAction", Value: string(p.StagedAction),
				Reason: "there is no " + twin.String() + " that it could delete", Fix: "remove it, or correct its name"})
		}
	}
}
