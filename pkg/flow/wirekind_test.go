package flow

import (
	"testing"

	"github.com/netpol-project/netpol/pkg/policy"
)

// Every kind of policy comes back from the wire as what it was.
func TestKindsOnTheWire(t *testing.T) {
	for _, k := range []policy.Kind{
		policy.KindNetworkPolicy, policy.KindGlobalNetworkPolicy, policy.KindKubernetesNetworkPolicy, policy.KindClusterNetworkPolicy,
		policy.KindStagedNetworkPolicy, policy.KindStagedGlobalNetworkPolicy, policy.KindStagedKubernetesNetworkPolicy,
	} {
		for _, tier := range []string{"kube-admin", "kube-baseline"} {
			if w := kindToWire(k, tier); w == 0 || kindFromWire(w) != k {
				t.Errorf("%s in %s: %s, read as %q", k, tier, w, kindFromWire(w))
			}
		}
	}
}
