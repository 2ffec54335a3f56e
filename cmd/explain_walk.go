package cmd

import (
	"fmt"
	"slices"

	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

// explained is a connection with both ends' walks.
type explained struct {
	source, destination string
	protocol            policy.Protocol
	port, sourcePort    uint16
	ends                []endWalk
	allowed             bool
	notes               []string
	pending             *pendingAnswer
}

type endWalk struct {
	at   string
	walk tier.Explanation
	// notReached are the policies that select the end, but that something
	// before them left nothing to decide.
	notReached []policy.Key
}

// decisive is the verdict that settles the connection: the first denial, or
// the last end's.
func (e *explained) decisive() (tier.Verdict, policy.Direction) {
	var v tier.Verdict
	var dir policy.Direction
	for i := range e.ends {
		v, dir = e.ends[i].walk.Verdict, e.ends[i].walk.Direction
		if v.Action == policy.Deny {
			break
		}
	}
	return v, dir
}

// explain walks both ends, of those pairs of peers that the names stand for
// the first one that is denied, or else the first one.
func (q *explainQuestion) explain(m *tier.Model, scope tier.Scope) explained {
	conns := q.conns(m, scope)
	at, allowed := 0, 0
	denied := -1
	for i := range conns {
		if q.always(&conns[i]) || m.Evaluate(scope, conns[i]).Allowed() {
			allowed++
		} else if denied < 0 {
			denied = i
		}
	}
	if denied >= 0 {
		at = denied
	}
	e := q.walk(m, scope, &conns[at])
	e.notes = append(e.notes, q.notes...)
	if allowed > 0 && allowed < len(conns) {
		note := fmt.Sprintf("not all of it is judged alike: %d of %d sorts of pairs are allowed; this is one that is not", allowed, len(conns))
		if v := familyOf(&conns[at]); slices.ContainsFunc(conns, func(c tier.Conn) bool { return familyOf(&c) != v }) {
			note += ", by " + v
		}
		e.notes = append(e.notes, note)
	}
	return e
}

// walk explains one connection.
func (q *explainQuestion) walk(m *tier.Model, scope tier.Scope, c *tier.Conn) explained {
	e := explained{
		source: endName(q.src, c.Source), destination: endName(q.dst, c.Destination),
		protocol: c.Protocol, port: c.Port, sourcePort: c.Source.Port, allowed: true,
	}
	if q.always(c) {
		e.notes = append(e.notes, q.alwaysText(c))
		return e
	}
	for _, dir := range []policy.Direction{policy.Egress, policy.Ingress} {
		local, peer := c.Source, c.Destination
		if dir == policy.Ingress {
			local, peer = peer, local
		}
		if local.Endpoint == nil {
			continue
		}
		w := m.Explain(scope, dir, local, peer, c.Protocol, c.Port)
		end := endWalk{at: local.Endpoint.Workload.String(), walk: w}
		end.notReached = notReached(m.Selecting(scope, dir, local.Endpoint), &w)
		e.ends = append(e.ends, end)
		e.allowed = e.allowed && w.Verdict.Action == policy.Allow
	}
	for i := range e.ends {
		if !e.allowed {
			e.notes = append(e.notes, httpNotes(&e.ends[i].walk)...)
		}
	}
	return e
}

// notReached are the policies that select an end and that its walk does not
// show.
func notReached(selecting []*policy.Policy, w *tier.Explanation) []policy.Key {
	var out []policy.Key
	for _, p := range selecting {
		shown := slices.ContainsFunc(w.Tiers, func(t tier.TierStep) bool {
			return slices.ContainsFunc(t.Policies, func(s tier.PolicyStep) bool { return s.Policy == p })
		})
		if !shown {
			out = append(out, p.Key)
		}
	}
	return out
}

// httpNotes tell of rules that would have to look into HTTP (S24).
func httpNotes(w *tier.Explanation) []string {
	var out []string
	for _, t := range w.Tiers {
		for _, ps := range t.Policies {
			for _, r := range ps.Rules {
				if r.Failed == "http" {
					out = append(out, fmt.Sprintf("%s: %s rule %d allows some of HTTP, which is not judged here and so counts as no match",
						ps.Policy.Key, w.Direction, r.Index))
				}
			}
		}
	}
	return out
}

// pendingAnswer is what staged policies would make of the connection.
type pendingAnswer struct {
	allowed bool
	by      policy.Hit
	dir     policy.Direction
	// alone are the staged policies each of which would do so by itself.
	alone []policy.Key
}

// pending is nil where staged policies would not change who decides.
func (q *explainQuestion) pending(m *tier.Model, now *explained) *pendingAnswer {
	then := q.explain(m, tier.Pending())
	before, _ := now.decisive()
	after, dir := then.decisive()
	if then.allowed == now.allowed && before.By == after.By {
		return nil
	}
	a := &pendingAnswer{allowed: then.allowed, by: after.By, dir: dir}
	for _, p := range m.Snapshot().Policies {
		if p.Kind.Staged() {
			if one := q.explain(m, tier.Only(p.Key)); one.allowed == then.allowed && one.allowed != now.allowed {
				a.alone = append(a.alone, p.Key)
			}
		}
	}
	return a
}
