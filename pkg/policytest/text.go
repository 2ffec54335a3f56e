package policytest

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/netpol-project/netpol/pkg/connectivity"
	"github.com/netpol-project/netpol/pkg/policy"
)

// word is an action as tests have it.
func word(a policy.Action) string { return strings.ToLower(a.String()) }

// Why says what is wrong with a connection that failed, or why it was skipped;
// one line each.
func (c *Check) Why() []string {
	var out []string
	switch {
	case c.Got != c.Expected:
		out = append(out, fmt.Sprintf("expected %s, got %s", word(c.Expected), word(c.Got)))
	case !c.byHolds():
		out = append(out, fmt.Sprintf("%s as expected, but not by %s", word(c.Got), c.By))
	}
	switch {
	case c.Live == nil:
	case c.Live.Skipped != "":
		if len(out) == 0 {
			out = append(out, "not probed: "+c.Live.Skipped)
		}
	case c.Live.Got != c.Expected && c.Live.Got == 0:
		out = append(out, "the probe can't tell: "+c.Live.Text)
	case c.Live.Got != c.Expected:
		out = append(out, fmt.Sprintf("expected %s, but the probe was %s", word(c.Expected), c.Live.Text))
	}
	return out
}

// String is what must decide, as told to people.
func (b *By) String() string {
	var parts []string
	if b.Tier != "" {
		parts = append(parts, "tier "+b.Tier)
	}
	if b.Policy != "" {
		name := b.Policy
		if b.Namespace != "" {
			name = b.Namespace + "/" + name
		}
		kind := b.Kind
		if kind == "" {
			kind = "policy"
		}
		parts = append(parts, kind+" "+name)
	} else {
		for _, s := range []struct{ what, text string }{{"kind", b.Kind}, {"namespace", b.Namespace}} {
			if s.text != "" {
				parts = append(parts, s.what+" "+s.text)
			}
		}
	}
	switch {
	case b.Rule != nil && *b.Rule == policy.EndOfTier:
		parts = append(parts, "end of tier")
	case b.Rule != nil:
		parts = append(parts, fmt.Sprintf("rule %d", *b.Rule))
	}
	if b.Direction != "" {
		parts = append(parts, b.Direction)
	}
	return strings.Join(parts, ", ")
}

// Family is IPv4 or IPv6; empty where the verdict is one for both, or where an
// end has no address yet.
func (c *Check) Family() string {
	a := c.Destination.Addr
	switch {
	case !c.OneFamily || !a.IsValid():
		return ""
	case a.Is4():
		return "IPv4"
	}
	return "IPv6"
}

// Port is the port as people write it: TCP/5432, UDP/1:53, ICMP/8:0, 47.
func (c *Check) Port() string {
	name := connectivity.ProtocolText(c.Protocol)
	switch {
	case c.Protocol.HasTypes():
		return name + "/" + icmpText(c.Ports)
	case c.Ports.Max == 0:
		return name
	}
	return name + "/" + c.Ports.String()
}

// icmpText is a type, or a type and a code.
func icmpText(r policy.PortRange) string {
	typ, code := policy.ICMPTypeCode(r.Min)
	last, lastCode := policy.ICMPTypeCode(r.Max)
	switch {
	case r.Min == r.Max:
		return fmt.Sprintf("%d:%d", typ, code)
	case typ == last && code == 0 && lastCode == 255:
		return fmt.Sprint(typ)
	}
	return fmt.Sprintf("%d:%d-%d:%d", typ, code, last, lastCode)
}

// describe is the name of a case that has none.
func (c *Case) describe() string {
	list := func(ends []End) string {
		texts := make([]string, len(ends))
		for i, e := range ends {
			texts[i] = e.Text
		}
		return strings.Join(texts, ", ")
	}
	from, to, expect := list(c.From), list(c.To), ": "+word(c.Expect)
	if c.Exclusive {
		expect = ""
		only := "only " + cmp.Or(list(c.Only), "nobody")
		if len(c.From) == 0 {
			from = only
		} else {
			to = only
		}
	}
	ports := make([]string, 0, len(c.Ports))
	for _, p := range c.Ports {
		if p.Name != "" {
			ports = append(ports, p.Name)
			continue
		}
		ports = append(ports, (&Check{Protocol: orTCP(c.Protocol), Ports: p.Range}).Port())
	}
	switch {
	case len(ports) == 0 && c.Protocol != 0:
		ports = append(ports, c.Protocol.String())
	case len(ports) == 0:
		return fmt.Sprintf("%s → %s%s", from, to, expect)
	}
	return fmt.Sprintf("%s → %s %s%s", from, to, strings.Join(ports, " "), expect)
}
