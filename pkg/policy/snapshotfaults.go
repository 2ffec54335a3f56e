package policy

import (
	"slices"
	"strings"
)

// faults are those of the resources together.
func (st *snapshotState) faults() Faults {
	var out Faults
	add := func(k Key, counts, other Origin) {
		out = append(out, Fault{Code: CodeDuplicate, Key: k, Origin: other,
			Reason: "the same resource is also at " + place(counts) + ", and that one counts", Fix: "remove or rename one"})
	}
	for _, t := range st.tiers.twice {
		add(Key{Kind: KindTier, Name: t[1].Name}, t[0].Origin, t[1].Origin)
	}
	for _, t := range st.policies.twice {
		add(t[1].Key, t[0].Origin, t[1].Origin)
	}
	for _, t := range st.namespaces.twice {
		add(Key{Kind: KindNamespace, Name: t[1].Name}, t[0].Origin, t[1].Origin)
	}
	for _, t := range st.pods.twice {
		add(Key{KindPod, t[1].Namespace, t[1].Name}, t[0].Origin, t[1].Origin)
	}
	for _, t := range st.services.twice {
		add(Key{KindService, t[1].Namespace, t[1].Name}, t[0].Origin, t[1].Origin)
	}
	for _, t := range st.sets.twice {
		add(t[1].Key, t[0].Origin, t[1].Origin)
	}
	for _, t := range st.hosts.twice {
		add(Key{Kind: KindHostEndpoint, Name: t[1].Name}, t[0].Origin, t[1].Origin)
	}
	for _, t := range st.nodes.twice {
		add(Key{Kind: KindNode, Name: t[1].Name}, t[0].Origin, t[1].Origin)
	}
	for _, t := range st.accounts.twice {
		add(Key{KindServiceAccount, t[1].Namespace, t[1].Name}, t[0].Origin, t[1].Origin)
	}
	for _, t := range st.slices.twice {
		add(t[1].Key, t[0].Origin, t[1].Origin)
	}
	for _, t := range st.templates.twice {
		add(Key(t[1].Workload), t[0].Origin, t[1].Origin)
	}
	out = append(out, st.missingTiers()...)
	slices.SortStableFunc(out, func(a, b Fault) int { return compareOrigins(a.Origin, b.Origin) })
	return out
}

func place(o Origin) string {
	if s := o.String(); s != "" {
		return s
	}
	return "another place"
}

// missingTiers finds policies in tiers that there are not (S13).
func (st *snapshotState) missingTiers() Faults {
	var out Faults
	known, last := true, ""
	for _, p := range st.policies.unique {
		if p.Tier != last {
			last, known = p.Tier, st.hasTier(p.Tier)
		}
		if known {
			continue
		}
		f := Fault{Code: CodeMissingTier, Key: p.Key, Origin: p.Origin, Field: "spec.tier", Value: p.Tier,
			Reason: "there is no such tier; the policy applies after all others and denies what it does not decide",
			Fix:    "create it: netpol tier create " + p.Tier}
		names := []string{"default", "kube-admin", "kube-baseline"}
		for _, t := range st.tiers.unique {
			names = append(names, t.Name)
		}
		if n := nearest(p.Tier, names); n != "" {
			f.Fix = "did you mean " + n + "?"
		}
		out = append(out, f)
	}
	return out
}

func (st *snapshotState) hasTier(name string) bool {
	if BuiltinTier(name) != nil {
		return true
	}
	_, ok := slices.BinarySearchFunc(st.tiers.unique, name, func(t *Tier, name string) int { return strings.Compare(t.Name, name) })
	return ok
}
