package calico

import (
	"testing"

	"github.com/netpol-project/netpol/pkg/policy"
)

// What a user calls a policy is its name where names are free, and stands behind
// its tier's where Calico wants that; only policies of v3 have tiers in names.
func TestNameInTheAPI(t *testing.T) {
	for _, c := range []struct {
		naming           Naming
		kind             policy.Kind
		name, tier, want string
	}{
		{Free, policy.KindNetworkPolicy, "db", "platform", "db"},
		{Free, policy.KindNetworkPolicy, "platform.db", "platform", "platform.db"},
		{NoTiers, policy.KindNetworkPolicy, "default.db", "default", "default.db"},
		{Prefixed, policy.KindNetworkPolicy, "db", "platform", "platform.db"},
		{Prefixed, policy.KindStagedGlobalNetworkPolicy, "platform.db", "platform", "platform.db"},
		{Prefixed, policy.KindNetworkPolicy, "db", "default", "db"},
		{PrefixedAll, policy.KindNetworkPolicy, "db", "default", "default.db"},
		{Prefixed, policy.KindStagedKubernetesNetworkPolicy, "db", "default", "db"},
		{PrefixedAll, policy.KindKubernetesNetworkPolicy, "db", "default", "db"},
	} {
		if got := c.naming.Name(c.kind, c.name, c.tier); got != c.want {
			t.Errorf("%s %s in tier %s, naming %v: got %s, want %s", c.kind, c.name, c.tier, c.naming, got, c.want)
		}
	}
}
