// Package rights says which rights of Kubernetes' RBAC an action on policies
// takes, and writes the roles that grant them. It asks nobody.
//
// Policies of v3 have rights twice: on the resource itself, as everything has,
// and on the virtual resource tier.RESOURCE for the name TIER.* or TIER.POLICY,
// with get on the tier. The second are Calico's; on a cluster without Calico the
// admission policies of netpol install ask for them.
package rights

import (
	"fmt"

	"github.com/netpol-project/netpol/pkg/policy"
)

// Right is one right, as RBAC has it. An empty Namespace is the whole cluster,
// an empty Name every object.
type Right struct {
	Verb      string `json:"verb"`
	Group     string `json:"group"`
	Resource  string `json:"resource"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name,omitempty"`
}

// String is the right in a line: create tier.networkpolicies "platform.*" in
// namespace vote.
func (r Right) String() string {
	s := r.Verb + " " + r.Resource
	if r.Group != groupCalico && r.Group != "" {
		s += "." + r.Group
	}
	if r.Name != "" {
		s += fmt.Sprintf(" %q", r.Name)
	}
	if r.Namespace != "" {
		s += " in namespace " + r.Namespace
	}
	return s
}

// Need is fulfilled by any one of its rights. The first is the narrowest, the
// one to ask for.
type Need []Right

// Action is what somebody wants to do.
type Action struct {
	Verb      string // one of Verbs
	Kind      policy.Kind
	Namespace string // empty: all of them, or the kind has none
	Name      string // empty: any
	Tier      string // that the policy is in, or, of a move, comes to; empty: default
	From      string // that a moved policy comes from; empty: default
	// Anew: the API has the tier in the policy's name (Calico to 3.31), so a move
	// makes the policy in the one tier and deletes it in the other.
	Anew bool
	// Stored is the name that the API has for a policy of that kind, name and
	// tier; nil: the name as it is.
	Stored func(policy.Kind, string, string) string
}

// Verbs are those that Action knows.
func Verbs() []string {
	return []string{"get", "list", "watch", "create", "update", "delete", "stage", "enforce", "unenforce", "unstage", "rollback", "move"}
}

// API groups.
const (
	groupCalico     = "projectcalico.org"
	groupNetworking = "networking.k8s.io"
	groupPolicy     = "policy.networking.k8s.io"
)

// resource is where the API has a kind.
type resource struct {
	group, name string
	namespaced  bool
	tiered      bool
}

func resourceOf(k policy.Kind) (resource, bool) {
	switch k {
	case policy.KindNetworkPolicy:
		return resource{groupCalico, "networkpolicies", true, true}, true
	case policy.KindGlobalNetworkPolicy:
		return resource{groupCalico, "globalnetworkpolicies", false, true}, true
	case policy.KindStagedNetworkPolicy:
		return resource{groupCalico, "stagednetworkpolicies", true, true}, true
	case policy.KindStagedGlobalNetworkPolicy:
		return resource{groupCalico, "stagedglobalnetworkpolicies", false, true}, true
	case policy.KindStagedKubernetesNetworkPolicy:
		return resource{groupCalico, "stagedkubernetesnetworkpolicies", true, false}, true
	case policy.KindKubernetesNetworkPolicy:
		return resource{groupNetworking, "networkpolicies", true, false}, true
	case policy.KindClusterNetworkPolicy:
		return resource{groupPolicy, "clusternetworkpolicies", false, false}, true
	case policy.KindTier:
		return resource{groupCalico, "tiers", false, false}, true
	case policy.KindNetworkSet:
		return resource{groupCalico, "networksets", true, false}, true
	case policy.KindGlobalNetworkSet:
		return resource{groupCalico, "globalnetworksets", false, false}, true
	case policy.KindHostEndpoint:
		return resource{groupCalico, "hostendpoints", false, false}, true
	}
	return resource{}, false
}

// Resource is the plural name of a kind; empty if no rights are told of it.
func Resource(k policy.Kind) string {
	r, _ := resourceOf(k)
	return r.name
}

// Namespaced says whether a kind is in namespaces.
func Namespaced(k policy.Kind) bool {
	r, _ := resourceOf(k)
	return r.namespaced
}

// Tiered says whether a kind has rights by tier.
func Tiered(k policy.Kind) bool {
	r, _ := resourceOf(k)
	return r.tiered
}
