package admission

import (
	"strings"

	"github.com/netpol-project/netpol/internal/install/crd"
)

// policies of v3, enforced and staged.
func tieredResources() []string {
	return []string{"networkpolicies", "globalnetworkpolicies", "stagednetworkpolicies", "stagedglobalnetworkpolicies"}
}

func quote(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, "'", `\'`).Replace(s) + "'"
}

// orEmpty is a list in CEL that may be absent: r.?source.?nets.orValue([]).
func orEmpty(path ...string) string { return strings.Join(path, ".?") + ".orValue([])" }

// values judges what is in the lists of rules. In the definitions each of these
// rules would be reckoned at 1024 rules × 256 nets × 8 lists, which is more than
// the API server takes; here only what is really there costs anything.
func values() policy {
	p := policy{
		name:       "netpol-values",
		resources:  tieredResources(),
		operations: []string{"CREATE", "UPDATE"},
		conditions: []condition{changed},
		action:     "Deny",
	}
	p.let("ingress", orEmpty("object", "spec", "ingress"))
	p.let("egress", orEmpty("object", "spec", "egress"))
	p.let("rules", "variables.ingress + variables.egress")
	for _, dir := range []string{"ingress", "egress"} {
		for _, side := range []string{"source", "destination"} {
			p.let(dir+"_"+side, "variables."+dir+".filter(r, has(r."+side+")).map(r, r."+side+")")
		}
	}
	p.let("entities", "variables.ingress_source + variables.ingress_destination + variables.egress_source + variables.egress_destination")
	p.selectors()
	p.accounts()
	for _, dir := range []string{"ingress", "egress"} {
		p.nets(dir)
		p.families(dir)
		p.ports(dir)
	}
	p.http()
	return p
}

func (p *policy) let(name, expression string) {
	p.variables = append(p.variables, variable{name, expression})
}

// refuse adds a variable with what is wrong and the validation that it is empty.
// The message names the first of it; first is its CEL, of which $ is the list.
func (p *policy) refuse(name, wrong, first, message string) {
	p.let(name, wrong)
	p.rules = append(p.rules, validation{
		Expression:        "size(variables." + name + ") == 0",
		Message:           message,
		MessageExpression: strings.ReplaceAll(first, "$", "variables."+name) + " + " + quote(": "+message),
		Reason:            invalid,
	})
}

// in is first with the direction in front, for what is looked for by direction.
func in(dir, first string) string { return "'spec." + dir + ": ' + " + first }

// CEL for the first of what is wrong, where that is a list, or a list of lists,
// of strings and numbers.
const (
	firstOf  = "string($[0])"
	firstOf2 = "string($[0][0])"
)

// selectors looks for global() where it has no meaning (S16). The whole
// language is more than CEL can read.
func (p *policy) selectors() {
	uses := `s.matches("` + crd.FormGlobal + `")`
	p.refuse("global_elsewhere",
		"variables.entities.map(e, [e.?selector.orValue(''), e.?notSelector.orValue(''), e.?serviceAccounts.?selector.orValue('')].filter(s, "+uses+")).filter(l, size(l) > 0)",
		firstOf2, "global() is allowed in a rule's namespaceSelector only")
	p.refuse("global_in_part",
		`variables.entities.map(e, e.?namespaceSelector.orValue('')).filter(s, `+uses+` && !s.matches("^[ \\t(]*global[ \\t]*\\([ \\t]*\\)[ \\t)]*$"))`,
		firstOf, "global() can't be part of a longer selector")
}

// accounts judges names of service accounts (S19).
func (p *policy) accounts() {
	names := "variables.entities.map(e, " + orEmpty("e", "serviceAccounts", "names") + ".filter(n, "
	p.let("long_accounts", names+"size(n) > 253)).filter(l, size(l) > 0)")
	p.rules = append(p.rules, validation{
		Expression:        "size(variables.long_accounts) == 0",
		Message:           "the name of a service account is too long",
		MessageExpression: "string(size(variables.long_accounts[0][0])) + ' characters are more than the 253 that a name may have'",
		Reason:            invalid,
	})
	p.refuse("bad_accounts",
		names+"size(n) <= 253 && !n.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$'))).filter(l, size(l) > 0)",
		firstOf2, "a name is made of lower-case letters, digits, - and ., beginning and ending with a letter or digit")
}

// nets judges every net of a direction. Each expression has a budget of its own,
// so the work is cut by direction.
func (p *policy) nets(dir string) {
	all := "(variables." + dir + "_source + variables." + dir + "_destination)"
	p.let(dir+"_nets", all+".map(e, "+orEmpty("e", "nets")+" + "+orEmpty("e", "notNets")+").filter(l, size(l) > 0)")
	list := "variables." + dir + "_nets.map(l, l.filter(n, "
	p.refuse(dir+"_bad_nets", list+"!isCIDR(n) && !isIP(n))).filter(l, size(l) > 0)",
		in(dir, firstOf2), "a net is written 10.0.0.0/24 or 2001:db8::/64")
	p.refuse(dir+"_unmasked", list+"isCIDR(n) && !(cidr(n) == cidr(n).masked()))).filter(l, size(l) > 0)",
		in(dir, firstOf2), "the net has bits set beyond its length")
	p.rules[len(p.rules)-1].MessageExpression += " + '; write ' + string(cidr(variables." + dir + "_unmasked[0][0]).masked())"
	p.refuse(dir+"_catch_all", all+".map(e, "+orEmpty("e", "notNets")+".filter(n, n.endsWith('/0'))).filter(l, size(l) > 0)",
		in(dir, firstOf2), "nothing is outside this net, so the rule would match nothing")
}

// families refuses nets of both families in one rule (S23).
func (p *policy) families(dir string) {
	nets := strings.Join([]string{
		orEmpty("r", "source", "nets"), orEmpty("r", "source", "notNets"),
		orEmpty("r", "destination", "nets"), orEmpty("r", "destination", "notNets"),
	}, " + ")
	for _, f := range []struct{ version, other string }{{"4", "n.contains(':')"}, {"6", "!n.contains(':')"}} {
		p.refuse(dir+"_not_ipv"+f.version,
			"variables."+dir+".filter(r, has(r.ipVersion) && r.ipVersion == "+f.version+").map(r, ("+nets+").filter(n, "+f.other+")).filter(l, size(l) > 0)",
			in(dir, firstOf2), "the net is not of the rule's ipVersion "+f.version)
	}
	p.refuse(dir+"_mixed",
		"variables."+dir+".filter(r, !has(r.ipVersion)).map(r, "+nets+").filter(l, l.exists(n, n.contains(':')) && l.exists(n, !n.contains(':')))",
		in(dir, firstOf2), "a rule's nets must be all IPv4 or all IPv6")
}

// Forms of ports: a name has a letter, a number or a range has none.
const (
	isPortName = "p.matches('^[a-zA-Z0-9_.-]{1,128}$') && p.matches('[a-zA-Z]')"
	isNumbers  = "p.matches('^[+-]?[0-9]{1,18}(:[+-]?[0-9]{1,18})?$')"
)

// ports judges every port of a direction (S21).
func (p *policy) ports(dir string) {
	p.let(dir+"_ports", "(variables."+dir+"_source + variables."+dir+"_destination).map(e, "+
		orEmpty("e", "ports")+" + "+orEmpty("e", "notPorts")+").filter(l, size(l) > 0)")
	list := "variables." + dir + "_ports.map(l, l.filter(p, "
	p.refuse(dir+"_no_ports", list+"type(p) == string && !("+isPortName+") && !"+isNumbers+")).filter(l, size(l) > 0)",
		in(dir, firstOf2), "a port is a number from 1 to 65535, a range like 8000:8080, or the name of a container's port")
	p.refuse(dir+"_no_port_numbers", list+"type(p) == int ? p < 1 || p > 65535 : "+
		isNumbers+" && p.split(':').exists(n, int(n) < 1 || int(n) > 65535))).filter(l, size(l) > 0)",
		in(dir, firstOf2), "a port is from 1 to 65535")
	p.refuse(dir+"_backwards", list+"type(p) == string && p.contains(':') && "+isNumbers+" && int(p.split(':')[0]) > int(p.split(':')[1]))).filter(l, size(l) > 0)",
		in(dir, firstOf2), "the range ends before it begins")
}

// http judges criteria on HTTP (S24).
func (p *policy) http() {
	p.let("http", "variables.ingress.filter(r, has(r.http)).map(r, r.http)")
	p.refuse("bad_methods",
		"variables.http.map(h, "+orEmpty("h", "methods")+".filter(m, !(m in ['*', 'CONNECT', 'DELETE', 'GET', 'HEAD', 'OPTIONS', 'PATCH', 'POST', 'PUT', 'TRACE']))).filter(l, size(l) > 0)",
		in("ingress", firstOf2), "there is no such HTTP method")
	exact, prefix := "t.?exact.orValue('')", "t.?prefix.orValue('')"
	for _, c := range []struct{ name, wrong, message string }{
		{"both_paths", exact + " != '' && " + prefix + " != ''", "a path is exact or a prefix, not both"},
		{"no_paths", exact + " == '' && " + prefix + " == ''", "a path must say exact or prefix"},
		{"bad_paths", "(" + exact + " + " + prefix + ").matches('^[^/]|[?# \\\\t\\\\n]')", "a path begins with / and has no query, fragment or space"},
	} {
		p.refuse(c.name, "variables.http.map(h, "+orEmpty("h", "paths")+".filter(t, "+c.wrong+")).filter(l, size(l) > 0)",
			"'spec.ingress: ' + ($[0][0].?exact.orValue('') + $[0][0].?prefix.orValue('') == '' ? 'http' : $[0][0].?exact.orValue('') + $[0][0].?prefix.orValue(''))", c.message)
	}
}
