package crd

import (
	"strconv"

	v3 "github.com/projectcalico/api/pkg/apis/projectcalico/v3"

	"github.com/netpol-project/netpol/pkg/policy"
)

// BuiltinTiers are the tiers that exist without being written down (S1).
func BuiltinTiers() []*policy.Tier {
	var out []*policy.Tier
	for _, name := range []string{"default", "kube-admin", "kube-baseline"} {
		out = append(out, policy.BuiltinTier(name))
	}
	return out
}

func tierSchema() *Schema {
	root := schemaOf[v3.Tier]()
	root.Properties["status"] = conditions()
	action := root.at("spec", "defaultAction")
	action.MaxLength = maxWord
	action.must(oneOf("a tier's default action is Deny or Pass", "Deny", "Pass"))
	for _, t := range BuiltinTiers() {
		other := "self.metadata.name != '" + t.Name + "' || !has(self.spec) || "
		root.must(
			Rule{
				Rule:    other + "!has(self.spec.order) || self.spec.order == " + strconv.FormatFloat(t.Order, 'f', 1, 64),
				Message: "the order of tier " + t.Name + " is fixed", FieldPath: ".spec.order", Reason: forbidden,
			},
			Rule{
				Rule:    other + "!has(self.spec.defaultAction) || self.spec.defaultAction in ['', '" + t.DefaultAction.String() + "']",
				Message: "the default action of tier " + t.Name + " is fixed", FieldPath: ".spec.defaultAction", Reason: forbidden,
			},
		)
	}
	return root
}

// conditions are the status that Calico's controllers write for a tier.
func conditions() *Schema {
	text := func() *Schema { return &Schema{Type: "string"} }
	return &Schema{Type: "object", Properties: map[string]*Schema{
		"conditions": {Type: "array", Items: &Schema{Type: "object", Properties: map[string]*Schema{
			"type": text(), "status": text(), "reason": text(), "message": text(),
			"lastTransitionTime": {Type: "string", Format: "date-time"},
			"observedGeneration": {Type: "integer", Format: "int64"},
		}}},
	}}
}

func networkSetSchema[T any]() *Schema {
	root := schemaOf[T]()
	nets := root.at("spec", "nets")
	nets.MaxItems = maxSetNets
	nets.Items.MaxLength = maxCIDR
	nets.Items.must(Rule{
		Rule:              "isCIDR(self) ? cidr(self) == cidr(self).masked() : isIP(self)",
		Message:           wordNetForm,
		MessageExpression: "isCIDR(self) ? " + quote(wordNetUnmasked) + " : " + quote(wordNetForm),
	})
	return root
}

func hostEndpointSchema() *Schema {
	root := schemaOf[v3.HostEndpoint]()
	spec := root.at("spec")
	root.must(
		Rule{Rule: "has(self.spec) && has(self.spec.node) && self.spec.node != ''", Message: "a host endpoint must say its node", FieldPath: ".spec.node", Reason: required},
		Rule{
			Rule:    "has(self.spec) && (has(self.spec.interfaceName) && self.spec.interfaceName != '' || has(self.spec.expectedIPs) && size(self.spec.expectedIPs) > 0)",
			Message: "a host endpoint must have an interface or expected addresses", FieldPath: ".spec.interfaceName", Reason: required,
		},
	)
	spec.at("node").MaxLength = maxName
	name := spec.at("interfaceName")
	name.MaxLength = maxWord
	name.must(Rule{
		Rule:    "self in ['', '*'] || self.matches('" + formInterface + "')",
		Message: "an interface's name has at most 15 letters, digits, _, . and -; * means all",
	})
	addrs := spec.at("expectedIPs")
	addrs.MaxItems = maxAddresses
	addrs.Items.MaxLength = maxCIDR
	addrs.Items.must(Rule{Rule: "self == '' || isIP(self)", Message: "expected an IP address"})
	hostPorts(spec.at("ports"))
	return root
}

func hostPorts(ports *Schema) {
	ports.MaxItems = maxAddresses
	port := ports.Items
	port.must(Rule{Rule: given("name"), Message: "the port has no name", FieldPath: ".name", Reason: required})
	for _, f := range []string{"protocol", "port"} {
		port.must(Rule{Rule: "has(self." + f + ")", Message: "the port has no " + f, FieldPath: "." + f, Reason: required})
	}
	port.at("name").MaxLength = maxWord
	port.at("name").must(Rule{
		Rule:    "self == '' || self.matches('" + formPortName + "') && self.matches('[a-zA-Z]')",
		Message: "the name of a port is made of letters, digits, _, . and -, with a letter among them",
	})
	port.at("protocol").protocol()
	port.at("port").must(Rule{Rule: "self >= 1 && self <= 65535", Message: wordPortNumber})
}

// stagedKubernetesSchema is that of a Kubernetes NetworkPolicy with a staged
// action. Kubernetes bounds none of its lists, so what is in them is checked by
// package admission.
func stagedKubernetesSchema() *Schema {
	root := schemaOf[v3.StagedKubernetesNetworkPolicy]()
	spec := root.at("spec")
	stagedRules(spec)
	types := spec.at("policyTypes")
	types.MaxItems = maxTypes
	types.Items.MaxLength = maxWord
	types.Items.must(Rule{Rule: "self in ['Ingress', 'Egress']", Message: wordNoType})
	return root
}
