package dialect

import (
	"encoding/json"
	"fmt"
	"net/netip"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/netpol-project/netpol/pkg/policy"
)

// The part of a CiliumNetworkPolicy that is written here, as Cilium's API
// reference has it.
type (
	ciliumPolicy struct {
		Metadata struct {
			Namespace string `json:"namespace"`
		} `json:"metadata"`
		Spec struct {
			EndpointSelector ciliumSelector `json:"endpointSelector"`
			Ingress          []ciliumRule   `json:"ingress"`
			Egress           []ciliumRule   `json:"egress"`
		} `json:"spec"`
	}
	ciliumRule struct {
		FromEndpoints []ciliumSelector `json:"fromEndpoints"`
		FromCIDR      []netip.Prefix   `json:"fromCIDR"`
		FromEntities  []string         `json:"fromEntities"`
		ToEndpoints   []ciliumSelector `json:"toEndpoints"`
		ToCIDR        []netip.Prefix   `json:"toCIDR"`
		ToEntities    []string         `json:"toEntities"`
		ToPorts       []struct {
			Ports []ciliumPort `json:"ports"`
		} `json:"toPorts"`
		ICMPs []struct {
			Fields []struct {
				Family string `json:"family"`
				Type   uint8  `json:"type"`
			} `json:"fields"`
		} `json:"icmps"`
	}
	ciliumPort struct {
		Port     string `json:"port"`
		EndPort  uint16 `json:"endPort"`
		Protocol string `json:"protocol"`
	}
	ciliumSelector struct {
		MatchLabels      map[string]string `json:"matchLabels"`
		MatchExpressions []struct {
			Key      string   `json:"key"`
			Operator string   `json:"operator"`
			Values   []string `json:"values"`
		} `json:"matchExpressions"`
	}
)

// ciliumPolicies judge as Cilium does: an endpoint that a policy selects for a
// direction is closed but for what some policy's rule allows; within a rule, peer
// and port must both match; a net matches no pod and no node; the host of a pod
// always reaches it.
type ciliumPolicies struct {
	policies []ciliumPolicy
	snap     *policy.Snapshot
}

// readCilium reads the policies from their text.
func readCilium(objects []*unstructured.Unstructured, snap *policy.Snapshot) (*ciliumPolicies, error) {
	out := &ciliumPolicies{snap: snap}
	for _, u := range objects {
		data, err := json.Marshal(u.Object)
		if err != nil {
			return nil, err
		}
		var p ciliumPolicy
		if err := json.Unmarshal(data, &p); err != nil {
			return nil, fmt.Errorf("%s/%s: %w", u.GetNamespace(), u.GetName(), err)
		}
		out.policies = append(out.policies, p)
	}
	return out, nil
}
