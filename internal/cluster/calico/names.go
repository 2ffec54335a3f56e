package calico

import (
	"slices"
	"strings"

	"github.com/netpol-project/netpol/internal/cluster"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

// hasTierName says whether Calico ever puts the tier into names of this kind.
func hasTierName(k policy.Kind) bool {
	e := k.Enforced()
	return e == policy.KindNetworkPolicy || e == policy.KindGlobalNetworkPolicy
}

// isView says whether a policy that the API lists is another view of a policy of
// Kubernetes, which is read from where it is.
func isView(k policy.Key) bool {
	if !hasTierName(k.Kind) {
		return false
	}
	return strings.HasPrefix(k.Name, "knp.default.") || strings.HasPrefix(k.Name, "kcnp.")
}

// makers are what makes policies of some names, by what these begin with, and
// where it is changed.
var makers = []struct{ prefix, what, try string }{
	{"knp.default.", "a NetworkPolicy of Kubernetes", "kubectl edit networkpolicies.networking.k8s.io "},
	{"kcnp.", "a ClusterNetworkPolicy", "kubectl get clusternetworkpolicies.policy.networking.k8s.io"},
	{"kanp.", "an AdminNetworkPolicy", "kubectl get adminnetworkpolicies.policy.networking.k8s.io"},
	{"kbanp.", "a BaselineAdminNetworkPolicy", "kubectl get baselineadminnetworkpolicies.policy.networking.k8s.io"},
	{"ossg.", "a security group of OpenStack", "openstack security group list"},
}

// foreign is the error of writing to a policy that something else makes: it is
// read, and never written. nil for any other policy.
func foreign(k policy.Key) error {
	if !hasTierName(k.Kind) {
		return nil
	}
	for _, m := range makers {
		name, ok := strings.CutPrefix(k.Name, m.prefix)
		if !ok {
			continue
		}
		if strings.HasSuffix(m.try, " ") {
			m.try += name + flag(k.Namespace)
		}
		return &cluster.Failure{What: k.String() + " is Calico's view of " + m.what + ", and is changed there", Try: m.try, Err: ErrForeign}
	}
	return nil
}

// short is the name without its tier's in front.
func short(name, tierName string) string {
	if s := strings.TrimPrefix(name, tierName+"."); s != "" {
		return s
	}
	return name
}

// apiName is the name in the API of a new policy of a tier.
func (n Naming) apiName(shortName, tierName string) string {
	switch {
	case n == Free, n == NoTiers:
		return shortName
	case n == Prefixed && tierName == tier.DefaultTier && !strings.Contains(shortName, "."):
		return shortName
	}
	return tierName + "." + shortName
}

// Name is the name in the API of what a user calls name, with its tier's in
// front or without. Where names are free it is what the user says.
func (n Naming) Name(kind policy.Kind, name, tierName string) string {
	if n == Free || n == NoTiers || !hasTierName(kind) {
		return name
	}
	return n.apiName(short(name, tierName), tierName)
}

// member is a policy of the API.
type member struct {
	key  policy.Key // as the API has it
	tier string
}

// table is what users call the policies of the API. A name is shown without its
// tier's, unless another tier has a policy of that name; then all of these are
// shown as the API has them. A staged policy and the enforced one that it is to
// replace have one name.
type table struct {
	shown map[policy.Key]policy.Key // by the API's key
	api   map[policy.Key]member     // by the shown key
}

func newTable(members []member) *table {
	// Staged and enforced policies are looked at together.
	plain := func(k policy.Key, name string) policy.Key {
		return policy.Key{Kind: k.Kind.Enforced(), Namespace: k.Namespace, Name: name}
	}
	inAPI := map[policy.Key][]string{} // the tiers of what has a name
	names := map[policy.Key]member{}   // one of each short name
	ambiguous := map[policy.Key]bool{}
	for _, m := range members {
		full := plain(m.key, m.key.Name)
		inAPI[full] = append(inAPI[full], m.tier)
		s := plain(m.key, short(m.key.Name, m.tier))
		other, ok := names[s]
		ambiguous[s] = ambiguous[s] || ok && (other.tier != m.tier || other.key.Kind == m.key.Kind)
		names[s] = m
	}
	t := &table{shown: map[policy.Key]policy.Key{}, api: map[policy.Key]member{}}
	for _, m := range members {
		key := m.key
		s := plain(key, short(key.Name, m.tier))
		anothers := slices.ContainsFunc(inAPI[s], func(t string) bool { return t != m.tier })
		if !ambiguous[s] && !anothers {
			key.Name = s.Name
		}
		t.shown[m.key], t.api[key] = key, m
	}
	return t
}

// Shown is what users call a policy of the API.
func (t *table) Shown(key policy.Key) policy.Key {
	if s, ok := t.shown[key]; ok {
		return s
	}
	return key
}

// find is the policy of the API that users call by key: as it is shown, as the
// API has it, or with its tier's name in front. tierName is the tier that it is
// said to be in, if that is known.
func (t *table) find(key policy.Key, tierName string) (member, bool) {
	if m, ok := t.api[key]; ok {
		return m, true
	}
	if s, ok := t.shown[key]; ok {
		return t.api[s], true
	}
	if tierName != "" {
		key.Name = short(key.Name, tierName)
		if m, ok := t.api[key]; ok && m.tier == tierName {
			return m, true
		}
		// Another tier has one of this name, so both are shown as the API has them.
		key.Name = tierName + "." + key.Name
		if m, ok := t.api[key]; ok && m.tier == tierName {
			return m, true
		}
	}
	return member{}, false
}
