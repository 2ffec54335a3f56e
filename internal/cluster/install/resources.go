package install

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/netpol-project/netpol/internal/cluster/kube"
	manifest "github.com/netpol-project/netpol/internal/install"
	"github.com/netpol-project/netpol/pkg/policy"
)

// enforced are the resources of policies that are in force, not staged.
var enforced = resourcesOf(policy.KindNetworkPolicy, policy.KindGlobalNetworkPolicy,
	policy.KindKubernetesNetworkPolicy, policy.KindClusterNetworkPolicy)

// owned are the resources whose kinds netpol defines: they go with --purge.
var owned = resourcesOf(policy.KindNetworkPolicy, policy.KindGlobalNetworkPolicy, policy.KindStagedNetworkPolicy,
	policy.KindStagedGlobalNetworkPolicy, policy.KindStagedKubernetesNetworkPolicy, policy.KindNetworkSet,
	policy.KindGlobalNetworkSet, policy.KindHostEndpoint, policy.KindTier)

func resourcesOf(kinds ...policy.Kind) []schema.GroupVersionResource {
	out := make([]schema.GroupVersionResource, len(kinds))
	for i, k := range kinds {
		r, _ := kube.ResourceOf(k)
		out[i] = r.GroupVersionResource
	}
	return out
}

// Policies counts the policies on the cluster that an enforcer would enforce,
// and their namespaces.
func (c *Client) Policies(ctx context.Context) (policies, inNamespaces int, err error) {
	return c.count(ctx, enforced)
}

// count counts objects that are not ours, and their namespaces.
func (c *Client) count(ctx context.Context, resources []schema.GroupVersionResource) (objects, inNamespaces int, err error) {
	seen := map[string]bool{}
	for _, r := range resources {
		err := c.eachMeta(ctx, r, "", metav1.ListOptions{}, func(o *metav1.PartialObjectMetadata) {
			if o.Labels[manifest.LabelPartOf] == manifest.Ours {
				return
			}
			objects++
			if o.Namespace != "" {
				seen[o.Namespace] = true
			}
		})
		if err != nil {
			return 0, 0, err
		}
	}
	return objects, len(seen), nil
}
