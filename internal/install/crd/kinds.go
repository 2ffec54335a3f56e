package crd

import (
	"strings"

	v3 "github.com/projectcalico/api/pkg/apis/projectcalico/v3"
)

// kind is what is particular to a kind. Names, short names, scope, columns and
// subresources are those of Calico's own v3 definitions, so that a cluster can
// change from one to the other.
type kind struct {
	name, plural, singular string
	short                  []string
	namespaced             bool
	tiered                 bool // has spec.tier
	status                 bool // status is a subresource
	columns                []column
	schema                 func() *Schema
}

func kinds() []kind {
	tier := []column{{"Tier", "string", ".spec.tier"}, {"Order", "number", ".spec.order"}}
	age := column{"Age", "date", ".metadata.creationTimestamp"}
	list := []kind{
		{name: "NetworkPolicy", short: []string{"cnp", "caliconetworkpolicy"}, namespaced: true, tiered: true, columns: tier, schema: policySchema[v3.NetworkPolicy]},
		{name: "GlobalNetworkPolicy", short: []string{"gnp", "cgnp"}, tiered: true, columns: append(tier[:2:2], age), schema: policySchema[v3.GlobalNetworkPolicy]},
		{name: "StagedNetworkPolicy", short: []string{"scnp", "snp"}, namespaced: true, tiered: true, columns: tier, schema: policySchema[v3.StagedNetworkPolicy]},
		{name: "StagedGlobalNetworkPolicy", short: []string{"sgnp"}, tiered: true, columns: tier, schema: policySchema[v3.StagedGlobalNetworkPolicy]},
		{name: "StagedKubernetesNetworkPolicy", short: []string{"sknp"}, namespaced: true, columns: []column{age}, schema: stagedKubernetesSchema},
		{name: "Tier", status: true, columns: []column{
			{"Order", "number", ".spec.order"}, {"DefaultAction", "string", ".spec.defaultAction"},
		}, schema: tierSchema},
		{name: "NetworkSet", namespaced: true, schema: networkSetSchema[v3.NetworkSet]},
		{name: "GlobalNetworkSet", short: []string{"gns"}, columns: []column{age}, schema: networkSetSchema[v3.GlobalNetworkSet]},
		{name: "HostEndpoint", short: []string{"hep", "heps"}, columns: []column{
			{"Node", "string", ".spec.node"}, {"Interface", "string", ".spec.interfaceName"},
		}, schema: hostEndpointSchema},
	}
	for i := range list {
		k := &list[i]
		k.singular = strings.ToLower(k.name)
		k.plural = k.singular + "s"
		if root, ok := strings.CutSuffix(k.singular, "y"); ok {
			k.plural = root + "ies"
		}
	}
	return list
}
