package cmd

import (
	"cmp"
	"slices"
	"strings"

	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

// selectKeys are the resources asked for, in the order in which they are to be
// listed.
func (w *world) selectKeys(n noun, opts *GetOptions) ([]policy.Key, error) {
	all := w.listed(n)
	if len(opts.Names) > 0 {
		var out []policy.Key
		for _, name := range opts.Names {
			hits := matching(all, name, opts.Namespace)
			if len(hits) == 0 {
				var known []string
				for _, k := range all {
					known = append(known, k.Name)
				}
				return nil, cli.Unknown(strings.TrimSuffix(n.singular(), "s"), name, known, "netpol get "+n.name)
			}
			out = append(out, hits...)
		}
		return out, nil
	}
	return slices.DeleteFunc(all, func(k policy.Key) bool {
		return opts.Namespace != "" && k.Namespace != "" && k.Namespace != opts.Namespace
	}), nil
}

// singular is the noun for one.
func (n noun) singular() string {
	switch n.name {
	case "staged":
		return "staged policy"
	case "policies":
		return "policy"
	}
	if stem, ok := strings.CutSuffix(n.name, "ies"); ok {
		return stem + "y"
	}
	return strings.TrimSuffix(n.name, "s")
}

// plural is the noun for several.
func (n noun) plural() string {
	if n.name == "staged" {
		return "staged policies"
	}
	return n.name
}

func matching(all []policy.Key, name, namespace string) []policy.Key {
	if ns, rest, ok := strings.Cut(name, "/"); ok {
		namespace, name = ns, rest
	}
	var out []policy.Key
	for _, k := range all {
		if k.Name == name && (namespace == "" || k.Namespace == "" || k.Namespace == namespace) {
			out = append(out, k)
		}
	}
	return out
}

// listed are all resources of a noun: policies in the order in which they are
// judged, tiers in the order in which they are visited, the others by name.
func (w *world) listed(n noun) []policy.Key {
	switch n.name {
	case "tiers":
		return w.tiersInOrder()
	case "pods":
		return keysOf(w.snap.Endpoints, func(e *policy.Endpoint) policy.Key {
			return policy.Key{Kind: policy.KindPod, Namespace: e.Namespace, Name: e.Name}
		})
	case "namespaces":
		return keysOf(w.snap.Namespaces, func(ns *policy.Namespace) policy.Key {
			return policy.Key{Kind: policy.KindNamespace, Name: ns.Name}
		})
	case "services":
		return keysOf(w.snap.Services, func(s *policy.Service) policy.Key {
			return policy.Key{Kind: policy.KindService, Namespace: s.Namespace, Name: s.Name}
		})
	}
	if len(n.kinds) == 1 {
		switch k := n.kinds[0]; k {
		case policy.KindNetworkSet, policy.KindGlobalNetworkSet:
			keys := keysOf(w.snap.NetworkSets, func(s *policy.NetworkSet) policy.Key { return s.Key })
			return slices.DeleteFunc(keys, func(key policy.Key) bool { return key.Kind != k })
		case policy.KindHostEndpoint:
			return keysOf(w.snap.HostEndpoints, func(h *policy.HostEndpoint) policy.Key {
				return policy.Key{Kind: k, Name: h.Name}
			})
		case policy.KindServiceAccount:
			return w.accounts()
		}
	}
	return w.policiesInOrder(n.kinds)
}

// accounts are the service accounts that are written down, and those that pods
// run as.
func (w *world) accounts() []policy.Key {
	keys := keysOf(w.snap.ServiceAccounts, func(a *policy.ServiceAccount) policy.Key {
		return policy.Key{Kind: policy.KindServiceAccount, Namespace: a.Namespace, Name: a.Name}
	})
	for _, e := range w.snap.Endpoints {
		keys = append(keys, accountOf(e))
	}
	slices.SortFunc(keys, func(a, b policy.Key) int {
		return cmp.Or(strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name))
	})
	return slices.Compact(keys)
}

func accountOf(e *policy.Endpoint) policy.Key {
	return policy.Key{Kind: policy.KindServiceAccount, Namespace: e.Namespace, Name: e.Labels[policy.LabelServiceAccount]}
}

func keysOf[T any](list []*T, key func(*T) policy.Key) []policy.Key {
	out := make([]policy.Key, len(list))
	for i, v := range list {
		out[i] = key(v)
	}
	return out
}

// tiersInOrder leaves out built-in tiers other than default that nothing uses:
// they are for kinds of policies that few have.
func (w *world) tiersInOrder() []policy.Key {
	used := map[string]bool{tier.DefaultTier: true}
	for _, t := range w.snap.Tiers {
		used[t.Name] = true
	}
	for _, p := range w.snap.Policies {
		used[p.Tier] = true
	}
	tiers := slices.DeleteFunc(w.snap.AllTiers(), func(t *policy.Tier) bool { return !used[t.Name] })
	slices.SortFunc(tiers, tier.CompareTiers)
	return keysOf(tiers, func(t *policy.Tier) policy.Key { return tierKey(t.Name) })
}

// policiesInOrder are the policies of some kinds as they are judged; those that
// have no form because of faults come last.
func (w *world) policiesInOrder(kinds []policy.Kind) []policy.Key {
	rank := map[string]int{}
	for i, k := range w.tiersInOrder() {
		rank[k.Name] = i + 1
	}
	var known []*policy.Policy
	seen := map[policy.Key]bool{}
	for _, p := range w.snap.Policies {
		if slices.Contains(kinds, p.Kind) {
			known = append(known, p)
			seen[p.Key] = true
		}
	}
	slices.SortStableFunc(known, func(a, b *policy.Policy) int {
		if a.Tier != b.Tier {
			ra, rb := rank[a.Tier], rank[b.Tier]
			if (ra == 0) != (rb == 0) { // a tier that does not exist comes last (S13)
				return rb - ra
			}
			if ra != rb {
				return ra - rb
			}
			return strings.Compare(a.Tier, b.Tier)
		}
		return tier.ComparePolicies(a, b)
	})
	out := keysOf(known, func(p *policy.Policy) policy.Key { return p.Key })
	for _, k := range w.keys {
		if slices.Contains(kinds, k.Kind) && !seen[k] {
			seen[k] = true
			out = append(out, k)
		}
	}
	return out
}
