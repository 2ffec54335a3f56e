package crd

import (
	"strconv"
	"strings"
)

// Bounds. Those of rules, nets, ports, selectors and names are the API's (see
// docs/SEMANTICS.md); the others are there because the cost of a rule in CEL is
// reckoned from them.
const (
	maxRules     = 1024
	maxNets      = 256
	maxPorts     = 50
	maxSelector  = 1024
	maxName      = 253
	maxNamespace = 63
	maxPortName  = 128
	maxWord      = 1024   // of what should be a short word: more than any that is right, so that rules tell what is wrong
	maxTypes     = 16     // of directions; more than two are refused as given twice
	maxSetNets   = 100000 // of a network set: more than fit into one object
	maxAddresses = 1024   // of a host endpoint
	maxCIDR      = 49     // characters
)

// The words of netpol validate. A test with an API server holds both to the
// same ones.
const (
	wordNetForm     = "a net is written 10.0.0.0/24 or 2001:db8::/64"
	wordNetUnmasked = "the net has bits set beyond its length"
	wordGlobal      = "global() is allowed in a rule's namespaceSelector only"
	wordName        = "a name is made of lower-case letters, digits, - and ., beginning and ending with a letter or digit"
	wordLabelName   = "a name is made of lower-case letters, digits and -, beginning and ending with a letter or digit"
	wordNoType      = "there is no such policy type"
	wordPortNumber  = "a port is a number from 1 to 65535"
	wordProtocol    = "a protocol is one of TCP, UDP, ICMP, ICMPv6, SCTP, UDPLite or a number from 1 to 255"
)

// Forms of names, as pkg/policy has them.
const (
	formSubdomain = `^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`
	formDNSLabel  = `^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	formPortName  = `^[a-zA-Z0-9_.-]{1,128}$`
	formInterface = `^[a-zA-Z0-9_.-]{1,15}$`
	// formProtocol is a protocol in lower case, by name or number, or none.
	formProtocol = `^(|tcp|udp|icmp|icmpv6|sctp|udplite|[1-9]|[1-9][0-9]|1[0-9][0-9]|2[0-4][0-9]|25[0-5])$`
	// FormGlobal finds global() outside of quotes.
	FormGlobal = `^([^'\"]|'[^']*'|\"[^\"]*\")*global[ \\t]*\\(`
)

// Reasons that the API knows.
const (
	required  = "FieldValueRequired"
	forbidden = "FieldValueForbidden"
)

// oneOf is a rule for a string that takes one of a few words, or nothing.
func oneOf(message string, words ...string) Rule {
	quoted := []string{"''"}
	for _, w := range words {
		quoted = append(quoted, "'"+w+"'")
	}
	return Rule{Rule: "self in [" + strings.Join(quoted, ", ") + "]", Message: message}
}

// name bounds a name and says its form.
func (s *Schema) name(longest int, form, words string) {
	s.MaxLength = maxWord
	s.must(
		Rule{
			Rule:              "size(self) <= " + strconv.Itoa(longest),
			MessageExpression: "'%d characters are more than the " + strconv.Itoa(longest) + " that a name may have'.format([size(self)])",
			Message:           "the name is too long",
		},
		Rule{Rule: "self == '' || size(self) > " + strconv.Itoa(longest) + " || self.matches('" + form + "')", Message: words},
	)
}

// selector bounds a selector. Where cheap is set there is room to look for
// global(); in rules it is looked for by package admission.
func (s *Schema) selector(cheap bool) {
	s.MaxLength = maxSelector
	if cheap {
		s.must(Rule{Rule: `!self.matches("` + FormGlobal + `")`, Message: wordGlobal})
	}
}

// given says in CEL that a field of self is there and holds something.
func given(field string) string {
	return "has(self." + field + ") && size(self." + field + ") > 0"
}

func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `\'`) + "'" }

// protocol takes a name in any case, as Calico does, or a number.
func (s *Schema) protocol() {
	s.MaxLength = 64
	s.must(Rule{
		Rule:    "type(self) == int ? self >= 1 && self <= 255 : string(self).lowerAscii().matches('" + formProtocol + "')",
		Message: wordProtocol,
	})
}
