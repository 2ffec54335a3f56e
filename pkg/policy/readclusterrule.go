package policy

import (
	"net/netip"
	"strconv"
	"strings"
)

var clusterActions = map[string]Action{"Accept": Allow, "Deny": Deny, "Pass": Pass}

// rule makes a rule for each protocol and peer, in the order written. A Deny or
// Pass that is not understood denies any peer, on its protocols if those are
// understood whole.
func (r *clusterReader) rule(n *node, dir Direction) []Rule {
	field, peersField := "ingress", "from"
	if dir == Egress {
		field, peersField = "egress", "to"
	}
	start := r.mark()
	r.checkRule(n, r.schema.field("spec", field))
	known := !r.since(start) && n.kind == isMap
	action := r.action(n)
	if name := n.get("name"); name != nil && len(name.text) > maxRuleName {
		r.fault(name, Fault{Code: CodeOutOfBounds, Reason: "the name of a rule has at most " + strconv.Itoa(maxRuleName) + " characters"})
	}
	peers := r.clusterPeers(n, peersField, dir)
	protoStart := r.mark()
	groups := r.clusterProtocols(n.get("protocols"), outside(n.get(peersField)))
	switch faulty := r.since(start); {
	case action == Allow && (r.broken || !known):
		return []Rule{nothing(Allow)}
	case action == Allow:
		// Peers and protocols that are understood are as they were meant.
	case faulty && (!known || r.since(protoStart)):
		return []Rule{{Action: Deny}}
	case faulty:
		action, peers = Deny, []Entity{{}}
	case r.broken:
		action = Deny
	}
	var out []Rule
	for _, pp := range groups {
		for _, e := range peers {
			out = append(out, pp.rule(action, dir, e))
		}
	}
	if len(out) == 0 {
		return []Rule{nothing(action)}
	}
	return out
}

func (r *clusterReader) action(n *node) Action {
	a := n.get("action")
	switch {
	case n.kind != isMap:
	case a.empty():
		r.required(n, "action", didYouMean("", []string{"Accept", "Deny", "Pass"}))
	case a.kind == isString && clusterActions[a.text] == 0:
		fix := didYouMean(a.text, []string{"Accept", "Deny", "Pass"})
		if strings.EqualFold(a.text, "Allow") {
			fix = "write Accept"
		}
		r.fault(a, Fault{Code: CodeUnknownValue, Reason: "there is no such action", Fix: fix})
	case a.kind == isString:
		return clusterActions[a.text]
	}
	return 0
}

// clusterPeers reads from or to; a peer that is wrong, or that can't be
// represented, is left out.
func (r *clusterReader) clusterPeers(n *node, field string, dir Direction) []Entity {
	list := n.get(field)
	if list.empty() && n.kind == isMap {
		r.required(n, field, "write "+field+": [{namespaces: {}}] for all pods")
		return nil
	}
	r.atMost(list, maxClusterItems, "peers in one rule")
	var out []Entity
	fields := []string{"namespaces", "pods"}
	if dir == Egress {
		fields = append(fields, "nodes", "networks", "domainNames")
	}
	for i := range items(list) {
		p := &list.kids[i].node
		start := r.mark()
		if p.kind != isMap || !r.exactlyOne(p, "peer", fields...) {
			continue
		}
		for _, f := range []string{"nodes", "domainNames"} {
			if o := p.get(f); o != nil {
				r.fault(o, Fault{Code: CodeUnsupported, Unsupported: true, Value: showAny(o), Reason: f + " can't be judged by netpol",
					Fix: "use networks"})
			}
		}
		var es []Entity
		if nets := p.get("networks"); nets != nil {
			es = r.networks(nets)
		} else {
			e := r.podsOf(p)
			e.Selector = r.onlyPods(e.Selector, start)
			es = []Entity{e}
		}
		if !r.since(start) {
			out = append(out, es...)
		}
	}
	return out
}

// networks makes an entity for each family (S23).
func (r *clusterReader) networks(list *node) []Entity {
	r.atMost(list, maxClusterItems, "networks in one peer")
	if len(items(list)) == 0 {
		r.fault(list, Fault{Code: CodeRequired, Reason: "networks is empty"})
	}
	var byFamily [2][]netip.Prefix
	for i := range items(list) {
		n := &list.kids[i].node
		p, err := netip.ParsePrefix(textOf(n))
		switch {
		case err != nil || p.Addr().Is4In6():
			r.fault(n, Fault{Code: CodeBadNet, Reason: "a network is written 10.0.0.0/8 or fd00::/8", Fix: netFix(n.text)})
		case p.Addr().Is4():
			byFamily[0] = append(byFamily[0], p.Masked())
		default:
			byFamily[1] = append(byFamily[1], p.Masked())
		}
	}
	var out []Entity
	for _, nets := range byFamily {
		if len(nets) > 0 {
			out = append(out, Entity{Nets: nets})
		}
	}
	return out
}
