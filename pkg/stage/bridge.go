package stage

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/policy/selector"
)

// A bridge is a temporary enforced policy that carries connections over the
// moments between the steps of a promotion. There are two kinds.
//
//   - A pass, the last policy of a tier, selects pods that policies of the tier
//     select only before, or only after, and passes: what those that are there
//     for the moment do not decide is decided as if the tier had none (S6, S9),
//     and not by its end (S8).
//   - A copy of an enforced policy that is about to be replaced or deleted has its
//     place (S2), and decides what it decided until all is there.

// LabelBridge is the label of bridges.
const LabelBridge = "netpol.dev/bridge"

// bridgeMark is in the name of every bridge.
const bridgeMark = "netpol-bridge"

// passName puts a pass behind other policies without an order (S2).
const passName = "zzz-" + bridgeMark + "-"

// IsBridge says whether a policy is a bridge, by its name.
func IsBridge(k policy.Key) bool { return !k.Kind.Staged() && strings.Contains(k.Name, bridgeMark) }

// bridges are all that could help promote some policies: as staged ones, so that
// a scope can count them in.
func bridges(snap *policy.Snapshot, staged []policy.Key) []*policy.Policy {
	var out []*policy.Policy
	add := func(p *policy.Policy) {
		if p == nil {
			return
		}
		twin, _ := Twin(p.Key)
		if snap.Policy(p.Key) == nil && snap.Policy(twin) == nil && len(p.Name) <= maxName &&
			!slices.ContainsFunc(out, func(q *policy.Policy) bool { return q.Key == p.Key }) {
			out = append(out, p)
		}
	}
	before, after := beforeAndAfter(snap, staged)
	for _, key := range staged {
		p := snap.Policy(key)
		if p == nil {
			continue
		}
		twin, _ := Twin(key)
		old := snap.Policy(twin)
		if old != nil && copyable(old) {
			add(copyOf(old))
		}
		for _, d := range []policy.Direction{policy.Ingress, policy.Egress} {
			if p.StagedAction != policy.StagedDelete {
				add(passOf(snap, p, d, before))
			}
			if old != nil {
				add(passOf(snap, old, d, after))
			}
		}
	}
	return out
}

// beforeAndAfter are the policies that are enforced before a promotion and after
// it.
func beforeAndAfter(snap *policy.Snapshot, staged []policy.Key) (before, after []*policy.Policy) {
	for _, p := range snap.Policies {
		twin, ok := Twin(p.Key)
		switch {
		case p.Kind.Staged():
			if slices.Contains(staged, p.Key) && p.StagedAction != policy.StagedDelete {
				after = append(after, p)
			}
			continue
		case !ok || !slices.Contains(staged, twin):
			after = append(after, p)
		}
		before = append(before, p)
	}
	return before, after
}

// maxName is how long the name of a policy may be.
const maxName = 253

// copyable says whether an object can say what a policy does.
func copyable(p *policy.Policy) bool {
	for _, rules := range p.Rules {
		if slices.ContainsFunc(rules, func(r policy.Rule) bool { return r.Faulty }) {
			return false
		}
	}
	return !p.DoNotTrack && !p.PreDNAT && p.Kind != policy.KindClusterNetworkPolicy
}

func copyOf(p *policy.Policy) *policy.Policy {
	c := *p
	c.Key = policy.Key{Kind: bridgeKind(p), Namespace: p.Namespace, Name: p.Name + "-" + bridgeMark}
	c.StagedAction, c.Trial, c.Origin = policy.StagedSet, nil, policy.Origin{}
	return &c
}

// bridgeKind is the staged kind of a bridge for p: one of v3, which can say what
// Kubernetes' own says.
func bridgeKind(p *policy.Policy) policy.Kind {
	if p.Namespace == "" {
		return policy.KindStagedGlobalNetworkPolicy
	}
	return policy.KindStagedNetworkPolicy
}

// passOf is the pass for the pods that p selects in a direction, and none of
// others does; nil where none is needed, or where no selector can say which pods
// these are.
func passOf(snap *policy.Snapshot, p *policy.Policy, d policy.Direction, others []*policy.Policy) *policy.Policy {
	if !p.Types[d] || p.DoNotTrack || p.PreDNAT {
		return nil
	}
	pass := &policy.Policy{
		Key: policy.Key{Kind: bridgeKind(p), Namespace: p.Namespace}, Tier: p.Tier, Order: policy.Unordered, StagedAction: policy.StagedSet,
		ServiceAccountSelector: p.ServiceAccountSelector, NamespaceSelector: p.NamespaceSelector,
	}
	if p.Namespace == "" && pass.NamespaceSelector == nil {
		pass.NamespaceSelector, _ = selector.Parse("all()") // pods alone
	}
	pass.Types[d] = true
	pass.Rules[d] = []policy.Rule{{Action: policy.Pass}}
	pods, spaces := []*selector.Selector{p.Selector}, []*selector.Selector{pass.NamespaceSelector}
	for _, old := range others {
		if old.Tier != p.Tier || !old.Types[d] || old.DoNotTrack || old.PreDNAT {
			continue
		}
		notPods, notSpaces, ok := leaveOut(snap, p, old)
		if !ok {
			return nil
		}
		pods, spaces = append(pods, notPods...), append(spaces, notSpaces...)
	}
	pass.Selector = selector.And(pods...)
	if p.Namespace == "" {
		pass.NamespaceSelector = selector.And(spaces...)
	}
	if len(pass.Selector.String()) > selector.MaxLength || pass.NamespaceSelector != nil && len(pass.NamespaceSelector.String()) > selector.MaxLength {
		return nil
	}
	sum := sha256.Sum256([]byte(strings.Join([]string{p.Tier, d.String(), pass.Selector.String(), pass.NamespaceSelector.String(), pass.ServiceAccountSelector.String()}, "\n")))
	pass.Name = passName + hex.EncodeToString(sum[:5])
	return pass
}

// leaveOut are the parts of a selector and a namespaceSelector that leave out
// what old selects: at its pods the tier decides already. ok is false where no
// such parts can say it, or where nothing would be left.
func leaveOut(snap *policy.Snapshot, p, old *policy.Policy) (pods, spaces []*selector.Selector, ok bool) {
	if p.Namespace != "" {
		if old.Namespace != "" && old.Namespace != p.Namespace || old.Namespace == "" && !inNamespace(snap, old.NamespaceSelector, p.Namespace) {
			return nil, nil, true
		}
		if old.ServiceAccountSelector != nil || old.Selector.All() || alike(p, old) {
			return nil, nil, false
		}
		return []*selector.Selector{selector.Not(old.Selector)}, nil, true
	}
	switch {
	case old.ServiceAccountSelector != nil || alike(p, old):
		return nil, nil, false
	case old.Namespace != "":
		there := selector.In("projectcalico.org/namespace", old.Namespace)
		return []*selector.Selector{selector.Not(selector.And(there, old.Selector))}, nil, true
	case old.NamespaceSelector == nil || old.NamespaceSelector.All():
		return []*selector.Selector{selector.Not(old.Selector)}, nil, !old.Selector.All()
	case old.Selector.All():
		return nil, []*selector.Selector{selector.Not(old.NamespaceSelector)}, true
	}
	return nil, nil, false
}

// alike says whether two policies select the same.
func alike(a, b *policy.Policy) bool {
	return a.Namespace == b.Namespace && a.Selector.String() == b.Selector.String() && a.NamespaceSelector.String() == b.NamespaceSelector.String()
}

func inNamespace(snap *policy.Snapshot, s *selector.Selector, name string) bool {
	if s == nil {
		return true
	}
	if ns := snap.Namespace(name); ns != nil {
		return s.Matches(ns.Labels)
	}
	return s.Matches(selector.Labels{nameLabel: name, "projectcalico.org/name": name})
}
