package policytest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/netpol-project/netpol/pkg/connectivity"
	"github.com/netpol-project/netpol/pkg/policy"
)

var caseFields = []string{"name", "from", "to", "only", "port", "ports", "protocol", "expect", "by"}

// oneCase reads a case; ok is false where it is none.
func (r *reader) oneCase(v policy.Value) (c Case, ok bool) {
	if !v.Check(caseFields...) {
		return c, false
	}
	c = Case{Name: v.Get("name").Text(), Origin: v.Origin()}
	c.Protocol = protocol(v.Get("protocol"))
	c.Ports = r.ports(v, c.Protocol)
	c.From, c.To = r.ends(v.Get("from"), false), r.ends(v.Get("to"), false)
	c.Expect = action(v.Get("expect"))
	r.exclusive(v, &c)
	if !c.Exclusive {
		for _, need := range []string{"from", "to", "expect"} {
			if !v.Get(need).Given() {
				v.Fault("the case does not say "+need, "add "+need+missingFix[need])
			}
		}
	}
	r.targets(v, &c)
	c.By = r.by(v.Get("by"))
	if c.Name == "" {
		c.Name = c.describe()
	}
	return c, true
}

var missingFix = map[string]string{
	"from":   ": NAMESPACE/WORKLOAD, or only: with all that may",
	"to":     ": NAMESPACE/WORKLOAD, or only: with all that may be reached",
	"expect": ": allow or expect: deny",
}

// exclusive reads only, which takes the place of one side and of expect.
func (r *reader) exclusive(v policy.Value, c *Case) {
	only := v.Get("only")
	if !only.Given() {
		return
	}
	c.Exclusive, c.Only = true, r.ends(only, true)
	if v.Get("from").Given() == v.Get("to").Given() {
		only.Fault("only takes the place of from or of to: the case must have one of them", "")
	}
	if v.Get("expect").Given() {
		v.Get("expect").Fault("with only, what is named is allowed and anything else denied", "remove expect")
	}
	if v.Get("by").Given() {
		v.Get("by").Fault("by can't be told with only, which expects both verdicts", "write a case of its own for it")
	}
}

// ends reads an end or a list of them, which may be empty if none may be.
func (r *reader) ends(v policy.Value, none bool) []End {
	var out []End
	for _, item := range v.Items() {
		if text := r.required(item); text != "" {
			out = append(out, End{text, item.Origin()})
		}
	}
	if v.IsList() && len(v.Items()) == 0 && !none {
		v.Fault("the list is empty", "")
	}
	return out
}

// targets checks the ends that may have a port.
func (r *reader) targets(v policy.Value, c *Case) {
	destinations := v.Get("to")
	if c.Exclusive && !destinations.Given() {
		destinations = v.Get("only")
	}
	for _, item := range destinations.Items() {
		if !item.Given() || item.IsMap() || item.IsList() {
			continue // told already
		}
		t, err := connectivity.ParseTarget(item.Text())
		switch {
		case err != nil:
			item.Fault(err.Error(), "")
		case t.Given && len(c.Ports) > 0:
			item.Fault("the port is given twice, here and in the field", "remove one")
		case t.Protocol != 0 && c.Protocol != 0:
			item.Fault("the protocol is given twice, here and in the field", "remove one")
		case t.Protocol != 0 && len(c.Ports) > 0:
			item.Fault("the protocol is given here, and the port in a field", "give both in fields")
		}
	}
}

func protocol(v policy.Value) policy.Protocol {
	text := v.Scalar()
	if text == "" {
		return 0
	}
	p, err := connectivity.ParseProtocol(text)
	if err != nil {
		v.Fault("there is no such protocol", "use TCP, UDP, SCTP, ICMP, ICMPv6, UDPLite or a number from 1 to 255")
	}
	return p
}

// ports reads port and ports, which are the same.
func (r *reader) ports(c policy.Value, p policy.Protocol) []Port {
	one, many := c.Get("port"), c.Get("ports")
	if one.Given() && many.Given() {
		many.Fault("port is given, too", "put all into ports")
	}
	var out []Port
	for _, v := range slices.Concat(one.Items(), many.Items()) {
		text := v.Scalar()
		if text == "" {
			continue
		}
		port, err := parsePort(text, p)
		if err != nil {
			v.Fault(err.Error(), "")
			continue
		}
		out = append(out, port)
	}
	return out
}

// parsePort reads 80, 8000:8100, a name, and for ICMP a type (8) or a type and
// a code (8:0).
func parsePort(text string, p policy.Protocol) (Port, error) {
	low, high, ranged := strings.Cut(text, ":")
	switch {
	case p.HasTypes():
		return parseICMP(low, high, ranged)
	case p != 0 && !withPorts(p):
		return Port{}, fmt.Errorf("%s has no ports", p)
	}
	first, err := strconv.ParseUint(low, 10, 16)
	last := first
	if err == nil && ranged {
		last, err = strconv.ParseUint(high, 10, 16)
	}
	switch {
	case err == nil && first > 0 && first <= last:
		return Port{Range: policy.PortRange{Min: uint16(first), Max: uint16(last)}}, nil
	case !ranged && strings.ContainsAny(text, "abcdefghijklmnopqrstuvwxyz") && portName(text):
		return Port{Name: text}, nil
	}
	return Port{}, fmt.Errorf("expected a port from 1 to 65535, a range such as 8000:8100, or the name of a port")
}

// portName says whether a text is made as names of ports are.
func portName(s string) bool {
	return len(s) <= 63 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == "" && s[0] != '-' && s[len(s)-1] != '-'
}

func parseICMP(typ, code string, coded bool) (Port, error) {
	t, err := strconv.ParseUint(typ, 10, 8)
	m := policy.ICMPMatch{Type: uint8(t), Code: policy.AnyCode}
	if err == nil && coded {
		var c uint64
		c, err = strconv.ParseUint(code, 10, 8)
		m.Code = int(c)
	}
	if err != nil || t > 254 {
		return Port{}, fmt.Errorf("expected a type of ICMP from 0 to 254, or a type and a code such as 8:0")
	}
	return Port{Range: m.Ports()}, nil
}

// maxRule is the highest index of a rule: a policy has 1024 at most.
const maxRule = 1023

func (r *reader) by(v policy.Value) *By {
	if !v.Given() || !v.Check("tier", "kind", "namespace", "policy", "rule", "direction") {
		return nil
	}
	by := &By{
		Tier: r.required(v.Get("tier")), Kind: r.required(v.Get("kind")), Namespace: r.required(v.Get("namespace")),
		Policy: r.required(v.Get("policy")), Direction: v.Get("direction").OneOf("Ingress", "Egress"), Origin: v.Origin(),
	}
	if ns, name, ok := strings.Cut(by.Policy, "/"); ok {
		if by.Namespace != "" && by.Namespace != ns {
			v.Get("policy").Fault("the namespace is given twice", "remove one")
		}
		by.Namespace, by.Policy = ns, name
	}
	if rule := v.Get("rule"); rule.Given() {
		n, err := strconv.Atoi(rule.Scalar())
		if err != nil || n < policy.EndOfTier || n > maxRule {
			rule.Fault("expected the index of a rule, from 0, or -1 for the end of the tier", "")
		}
		by.Rule = &n
	}
	if *by == (By{Origin: by.Origin}) {
		v.Fault("by does not say what must decide", "add tier, policy, rule or direction, or remove it")
	}
	return by
}
