package lint

import (
	"fmt"
	"strings"

	"github.com/netpol-project/netpol/pkg/policy"
)

// form is how a kind of policy that is not v3's own is written. Findings name
// fields of what was made of it; people want to know where it is written.
type form struct {
	// plain are fields outside of rules; what is missing is called the same.
	plain map[string]string
	// peer are the fields of a peer by those of v3's entities.
	peer map[string]string
	// protocols and entities count what one rule, or one peer, was made into:
	// a rule becomes one for each protocol and entity, in that order (S4).
	protocols func(l *policy.Locator, at policy.Origin, rule string) int
	entities  func(l *policy.Locator, at policy.Origin, peer string) int
	ports     string // the field of a rule's ports
}

// formOf is the form of a kind, nil for v3's own.
func formOf(k policy.Kind) *form {
	switch k.Enforced() {
	case policy.KindKubernetesNetworkPolicy:
		return &form{
			plain: map[string]string{"spec.selector": "spec.podSelector", "spec.types": "spec.policyTypes", "spec.order": ""},
			peer: map[string]string{"selector": ".podSelector", "namespaceSelector": ".namespaceSelector",
				"nets": ".ipBlock.cidr", "notNets": ".ipBlock.except"},
			protocols: kubernetesProtocols,
			entities:  func(*policy.Locator, policy.Origin, string) int { return 1 },
			ports:     ".ports",
		}
	case policy.KindClusterNetworkPolicy:
		return &form{
			plain:     map[string]string{"spec.selector": "spec.subject", "spec.namespaceSelector": "spec.subject", "spec.order": "spec.priority"},
			peer:      map[string]string{"selector": ".pods.podSelector", "namespaceSelector": ".namespaces", "nets": ".networks"},
			protocols: clusterProtocols, entities: clusterEntities, ports: ".protocols",
		}
	}
	return nil
}

// field is the field that one of v3's form stands for.
func (f *form) field(l *policy.Locator, at policy.Origin, field string) string {
	if other, ok := f.plain[field]; ok {
		return other
	}
	for _, d := range []struct{ rules, peers, far string }{{"spec.ingress", "from", "source"}, {"spec.egress", "to", "destination"}} {
		rest, ok := strings.CutPrefix(field, d.rules+"[")
		if !ok {
			continue
		}
		var index int
		if _, err := fmt.Sscanf(rest, "%d]", &index); err != nil {
			return d.rules
		}
		_, inner, _ := strings.Cut(rest, "]")
		rule, peer := f.find(l, at, d.rules, d.peers, index)
		side, what, _ := strings.Cut(strings.TrimPrefix(inner, "."), ".")
		switch {
		case side == "destination" && strings.HasPrefix(what, "ports"):
			return rule + f.ports
		case peer == "":
			return rule
		case side != d.far:
			return peer
		}
		return f.peerField(l, at, peer, what)
	}
	return field
}

// find is the rule and the peer that a rule of v3's form was made from.
func (f *form) find(l *policy.Locator, at policy.Origin, rules, peers string, index int) (rule, peer string) {
	for i := range l.Len(at, rules) {
		rule := fmt.Sprintf("%s[%d]", rules, i)
		var made []string // the peer of each entity
		for j := range l.Len(at, rule+"."+peers) {
			peer := fmt.Sprintf("%s.%s[%d]", rule, peers, j)
			for range f.entities(l, at, peer) {
				made = append(made, peer)
			}
		}
		if len(made) == 0 {
			made = []string{""}
		}
		n := len(made) * f.protocols(l, at, rule)
		if index < n {
			return rule, made[index%len(made)]
		}
		index -= n
	}
	return rules, ""
}

// peerField is a field of a peer. Where a peer has two ways to say a thing, it
// is the one that is written.
func (f *form) peerField(l *policy.Locator, at policy.Origin, peer, what string) string {
	field, ok := f.peer[what]
	if !ok {
		return peer
	}
	if pods := peer + ".pods"; what == "namespaceSelector" && l.Len(at, pods) > 0 {
		return pods + ".namespaceSelector"
	}
	return peer + field
}

// kubernetesProtocols counts the protocols of a rule's ports.
func kubernetesProtocols(l *policy.Locator, at policy.Origin, rule string) int {
	seen := map[string]bool{}
	for i := range l.Len(at, rule+".ports") {
		_, proto, _ := l.Find(at, fmt.Sprintf("%s.ports[%d].protocol", rule, i))
		if proto == "" {
			proto = "TCP"
		}
		seen[proto] = true
	}
	return max(len(seen), 1)
}

// clusterProtocols does so for a ClusterNetworkPolicy; a port's name may be of
// any of the three.
func clusterProtocols(l *policy.Locator, at policy.Origin, rule string) int {
	seen := map[string]bool{}
	for i := range l.Len(at, rule+".protocols") {
		p := fmt.Sprintf("%s.protocols[%d].", rule, i)
		if _, _, named := l.Find(at, p+"destinationNamedPort"); named {
			return 3
		}
		for _, proto := range []string{"tcp", "udp", "sctp"} {
			if _, _, ok := l.Find(at, p+proto); ok {
				seen[proto] = true
			}
		}
	}
	return max(len(seen), 1)
}

// clusterEntities counts the families of a peer's networks (S23).
func clusterEntities(l *policy.Locator, at policy.Origin, peer string) int {
	seen := map[bool]bool{}
	for i := range l.Len(at, peer+".networks") {
		_, net, _ := l.Find(at, fmt.Sprintf("%s.networks[%d]", peer, i))
		seen[strings.Contains(net, ":")] = true
	}
	return max(len(seen), 1)
}
