package lint

import (
	"slices"

	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/policy/selector"
)

// clusterNamespaces are namespaces that a cluster or its network has of
// itself: manifests of applications speak of them without having them.
var clusterNamespaces = []string{"kube-system", "kube-public", "kube-node-lease", "calico-system", "calico-apiserver", "tigera-operator", "openshift-dns"}

// noNamespace says that a selector certainly picks no namespace. One that is
// only spoken of may have labels that are not known, and the cluster's own may
// be elsewhere.
func (r *run) noNamespace(s *selector.Selector) bool {
	if s.Global() || s.All() || len(r.snap.Namespaces) == 0 {
		return false
	}
	byName := true
	for _, l := range s.LabelNames() {
		byName = byName && (l == policy.LabelName || l == policy.LabelMetadataName)
	}
	for _, ns := range r.snap.Namespaces {
		own := slices.Contains(clusterNamespaces, ns.Name) // their names are all that selects them
		if s.Matches(ns.Labels) || !byName && ns.Origin.Line == 0 && !own {
			return false
		}
	}
	return !slices.ContainsFunc(clusterNamespaces, func(name string) bool { return coversNamespace(s, name) })
}

// mayBeElsewhere says that whoever is meant may be in a namespace of which no
// pod was read. A policy's own namespace counts where no other is selected.
func (r *run) mayBeElsewhere(p *policy.Policy, sel, namespaces *selector.Selector) bool {
	switch {
	case namespaces != nil && namespaces.Global():
		return false
	case namespaces != nil:
		return !slices.ContainsFunc(r.snap.Namespaces, func(ns *policy.Namespace) bool {
			return namespaces.Matches(ns.Labels) && len(r.read(ns.Name)) > 0
		})
	case p.Namespace != "":
		return len(r.read(p.Namespace)) == 0
	}
	return slices.ContainsFunc(sel.Equalities(), func(e selector.Equality) bool {
		return e.Label == policy.LabelNamespace && slices.Contains(clusterNamespaces, e.Value)
	})
}

// strayNamespaces finds namespaces that nothing but policies is in, while pods
// are in others.
func (r *run) strayNamespaces() {
	told := map[string]bool{}
	var names []string
	for _, ns := range r.snap.Namespaces {
		if len(r.read(ns.Name)) > 0 {
			names = append(names, ns.Name)
		}
	}
	for _, p := range r.policies {
		if p.Namespace == "" || told[p.Namespace] || slices.Contains(clusterNamespaces, p.Namespace) || len(r.read(p.Namespace)) > 0 {
			continue
		}
		told[p.Namespace] = true
		if ns := r.snap.Namespace(p.Namespace); ns != nil && ns.Origin.Line > 0 || r.hasOthers(p.Namespace) {
			continue
		}
		r.warn(p, policy.Fault{Code: "selects-nothing", Field: "metadata.namespace", Value: p.Namespace,
			Reason: "nothing but policies is in this namespace" + r.lookedAt(), Fix: "correct it if it is misspelt; pods are in " + list(names)})
	}
}

// hasOthers says whether a namespace has Services, service accounts or network
// sets, so that somebody else has spelt its name, too.
func (r *run) hasOthers(namespace string) bool {
	return slices.ContainsFunc(r.snap.Services, func(s *policy.Service) bool { return s.Namespace == namespace }) ||
		slices.ContainsFunc(r.snap.ServiceAccounts, func(a *policy.ServiceAccount) bool { return a.Namespace == namespace }) ||
		slices.ContainsFunc(r.snap.NetworkSets, func(n *policy.NetworkSet) bool { return n.Namespace == namespace })
}
