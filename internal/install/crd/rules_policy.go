package crd

import (
	"slices"
	"strings"
)

// policySchema is the schema of a policy of v3.
func policySchema[T any]() *Schema {
	root := schemaOf[T]()
	spec := root.at("spec")
	global := spec.at("namespaceSelector") != nil
	spec.at("tier").name(maxName, formSubdomain, wordName)
	for _, f := range []string{"selector", "namespaceSelector", "serviceAccountSelector"} {
		if s := spec.at(f); s != nil {
			s.selector(true)
		}
	}
	types := spec.at("types")
	types.MaxItems = maxTypes
	types.Items.MaxLength = maxWord
	types.Items.must(Rule{Rule: "self in ['Ingress', 'Egress']", Message: wordNoType})
	types.must(Rule{Rule: "self.all(t, self.exists_one(u, u == t))", Message: "the type is given twice"})
	spec.at("performanceHints").MaxItems = maxTypes
	spec.at("performanceHints").Items.MaxLength = maxWord
	if global {
		hostRules(spec)
	}
	if spec.at("stagedAction") != nil {
		stagedRules(spec)
	}
	for _, dir := range []string{"ingress", "egress"} {
		rules := spec.at(dir)
		rules.MaxItems = maxRules
		ruleRules(rules.Items, dir, global)
	}
	return root
}

// hostRules are about the fields that are for host endpoints (S30).
func hostRules(spec *Schema) {
	const dnat = "!has(self.preDNAT) || !self.preDNAT || "
	spec.must(
		Rule{Rule: dnat + "!has(self.doNotTrack) || !self.doNotTrack", Message: "a policy has preDNAT or doNotTrack, not both", FieldPath: ".preDNAT", Reason: forbidden},
		Rule{Rule: dnat + "has(self.applyOnForward) && self.applyOnForward", Message: "preDNAT needs applyOnForward", FieldPath: ".preDNAT"},
		Rule{Rule: "!has(self.doNotTrack) || !self.doNotTrack || has(self.applyOnForward) && self.applyOnForward",
			Message: "doNotTrack needs applyOnForward", FieldPath: ".doNotTrack"},
		Rule{Rule: dnat + "!has(self.egress) || size(self.egress) == 0", Message: "a policy with preDNAT has ingress rules only", FieldPath: ".egress", Reason: forbidden},
		Rule{Rule: dnat + "!has(self.types) || !('Egress' in self.types)", Message: "a policy with preDNAT is for ingress only", FieldPath: ".types", Reason: forbidden},
	)
}

// stagedRules are about stagedAction: Delete takes the policy away, so that the
// rest of the spec contradicts it.
func stagedRules(spec *Schema) {
	action := spec.at("stagedAction")
	action.MaxLength = maxWord
	action.must(oneOf("there is no such staged action", "Delete", "Ignore", "Learn", "Set"))
	var fields []string
	for name := range spec.Properties {
		if name != "stagedAction" && name != "tier" {
			fields = append(fields, name)
		}
	}
	slices.Sort(fields)
	for _, f := range fields {
		empty := "!has(self." + f + ")"
		switch part := spec.at(f); {
		case part.Type == "string", part.Type == "array":
			empty += " || size(self." + f + ") == 0"
		case part.Type == "object": // podSelector
			empty += " || !has(self." + f + ".matchLabels) && !has(self." + f + ".matchExpressions)"
		}
		spec.must(Rule{
			Rule:    "!has(self.stagedAction) || self.stagedAction != 'Delete' || " + empty,
			Message: "stagedAction Delete goes with an empty spec", FieldPath: "." + f, Reason: forbidden,
		})
	}
}

// protocolIs says in CEL that a rule's protocol is one of a few, by name in any
// case or by number.
func protocolIs(names ...string) string {
	return "has(self.protocol) && string(self.protocol).lowerAscii() in ['" + strings.Join(names, "', '") + "']"
}

// butThisHas ends a message with the protocol that the rule has.
func butThisHas(message string) string {
	const names = "{'icmp': 'ICMP', '1': 'ICMP', 'tcp': 'TCP', '6': 'TCP', 'udp': 'UDP', '17': 'UDP', 'icmpv6': 'ICMPv6', " +
		"'58': 'ICMPv6', 'sctp': 'SCTP', '132': 'SCTP', 'udplite': 'UDPLite', '136': 'UDPLite'}"
	return quote(message) + " + (!has(self.protocol) || string(self.protocol) == '' ? '' : ', this one has ' + " +
		"(string(self.protocol).lowerAscii() in " + names + " ? " + names + "[string(self.protocol).lowerAscii()] : string(self.protocol)))"
}

// ruleRules are about a rule of one direction.
func ruleRules(rule *Schema, dir string, global bool) {
	action := rule.at("action")
	action.MaxLength = maxWord
	action.must(oneOf("there is no such action", "Allow", "Deny", "Pass", "Log"))
	rule.must(Rule{Rule: given("action"), Message: "a rule must say its action", FieldPath: ".action", Reason: required})
	rule.at("ipVersion").must(Rule{Rule: "self == 4 || self == 6", Message: "an IP version is 4 or 6"})
	for _, f := range []string{"protocol", "notProtocol"} {
		p := rule.at(f)
		p.protocol()
	}
	icmpRules(rule)
	for _, side := range []string{"source", "destination"} {
		for _, f := range []string{"ports", "notPorts"} {
			path := side + "." + f
			message := "ports need a rule with protocol TCP, UDP or SCTP"
			rule.must(Rule{
				Rule: "!has(self." + side + ") || !has(self." + path + ") || size(self." + path + ") == 0 || " +
					protocolIs("tcp", "udp", "sctp", "6", "17", "132"),
				Message: message, MessageExpression: butThisHas(message), FieldPath: "." + path,
			})
		}
		entityRules(rule.at(side), dir, side == "destination", global)
	}
	httpRules(rule, dir)
}

func icmpRules(rule *Schema) {
	for _, f := range []string{"icmp", "notICMP"} {
		message := f + " needs a rule with protocol ICMP or ICMPv6"
		rule.must(Rule{
			Rule:    "!has(self." + f + ") || " + protocolIs("icmp", "icmpv6", "1", "58"),
			Message: message, MessageExpression: butThisHas(message), FieldPath: "." + f,
		})
		match := rule.at(f)
		match.at("type").must(Rule{Rule: "self >= 0 && self <= 254", Message: "expected a number from 0 to 254"})
		match.at("code").must(Rule{Rule: "self >= 0 && self <= 255", Message: "expected a number from 0 to 255"})
		match.must(Rule{Rule: "has(self.type) || !has(self.code)", Message: "a code needs a type, since its meaning depends on it", FieldPath: ".code"})
	}
	rule.at("notICMP").must(Rule{Rule: "has(self.type) || has(self.code)", Message: "notICMP must have a type", Reason: required})
}

// httpRules are about where http may be; what it says is checked by package
// admission.
func httpRules(rule *Schema, dir string) {
	if dir != "ingress" {
		rule.must(Rule{Rule: "!has(self.http)", Message: "http is for ingress rules", FieldPath: ".http", Reason: forbidden})
		return
	}
	rule.must(
		Rule{
			Rule:    "!has(self.http) || !has(self.action) || !(self.action in ['Deny', 'Pass', 'Log'])",
			Message: "http is for rules with action Allow", MessageExpression: "'http is for rules with action Allow, this one has ' + self.action",
			FieldPath: ".http", Reason: forbidden,
		},
		Rule{
			Rule: "!has(self.http) || (!has(self.protocol) || string(self.protocol).lowerAscii() in ['', 'tcp', '6']) && " +
				"!(has(self.notProtocol) && string(self.notProtocol).lowerAscii() in ['tcp', '6'])",
			Message: "http needs protocol TCP", FieldPath: ".http",
		},
	)
}

// entityRules are about one side of a rule.
func entityRules(e *Schema, dir string, dest, global bool) {
	for _, f := range []string{"selector", "notSelector", "namespaceSelector"} {
		e.at(f).selector(false)
	}
	e.at("serviceAccounts", "selector").selector(false)
	for _, f := range []string{"nets", "notNets"} {
		e.at(f).MaxItems = maxNets
	}
	for _, f := range []string{"ports", "notPorts"} {
		e.at(f).MaxItems = maxPorts
	}
	e.at("serviceAccounts").must(Rule{
		Rule:    given("selector") + " || " + given("names"),
		Message: "serviceAccounts must have names or a selector", Reason: required,
	})
	services := e.at("services")
	if wrong := map[bool]string{true: "ingress", false: "egress"}[dest]; dir == wrong {
		message := map[bool]string{true: "destination.services is for egress rules", false: "source.services is for ingress rules"}[dest]
		services.must(Rule{Rule: "false", Message: message, Reason: forbidden})
		return
	}
	services.must(Rule{Rule: given("name"), Message: "services must have the name of a Service", FieldPath: ".name", Reason: required})
	if global {
		services.must(Rule{Rule: given("namespace"), Message: "in a global policy services must say the Service's namespace", FieldPath: ".namespace", Reason: required})
	}
	services.at("name").name(maxNamespace, formDNSLabel, wordLabelName)
	services.at("namespace").name(maxNamespace, formDNSLabel, wordLabelName)
	others := []string{"selector", "notSelector", "namespaceSelector", "serviceAccounts", "nets", "notNets"}
	if dest {
		others = append(others, "ports", "notPorts")
	}
	for _, f := range others {
		absent := "!has(self." + f + ")"
		if f != "serviceAccounts" {
			absent += " || size(self." + f + ") == 0"
		}
		e.must(Rule{Rule: "!has(self.services) || " + absent, Message: f + " does not go together with services", FieldPath: "." + f, Reason: forbidden})
	}
}
