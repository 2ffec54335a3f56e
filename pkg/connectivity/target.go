package connectivity

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/netpol-project/netpol/pkg/policy"
)

// PortSpec is what users type for the far end of a connection besides its name.
type PortSpec struct {
	// Given says that a port was typed, as a number or by its name.
	Given    bool
	Port     uint16 // of ICMP and ICMPv6 the policy.ICMPPort
	PortName string
	// Protocol is 0 where none was typed.
	Protocol policy.Protocol
}

// Target is what a user typed as the far end of a connection.
type Target struct {
	Name string // as Lookup takes it
	PortSpec
}

// TargetHelp is the grammar of targets, for the help of commands.
const TargetHelp = `  NAMESPACE/WORKLOAD, NAMESPACE/POD   or the name alone, if only one has it
  10.0.0.1, [2001:db8::1]             an address
  set/NAME, set/NAMESPACE/NAME        a GlobalNetworkSet, a NetworkSet
  svc/NAMESPACE/NAME                  a Service, judged as the pods behind it
  host/NODE                           a node
  internet                            addresses that nothing else names
and to a destination a port and a protocol, both if need be:
  vote/db:5432  vote/db:postgres  kube-system/coredns:53/udp  vote/db/sctp
  vote/db/icmp  vote/db/icmp:8  vote/db/icmp:8:0  192.0.2.1/47`

// ParseTarget reads NAME[:PORT][/PROTOCOL] or NAME/PROTOCOL[:PORT]. NAME is
// what Lookup takes; PORT and PROTOCOL are as ParsePort takes them.
func ParseTarget(s string) (Target, error) {
	name, rest := splitTarget(s)
	if name == "" {
		return Target{}, fmt.Errorf("%q: a name is missing: expected NAME[:PORT][/PROTOCOL]", s)
	}
	if rest == "" {
		return Target{Name: name}, nil
	}
	if net, err := netip.ParsePrefix(name + rest); err == nil && net == net.Masked() && !net.IsSingleIP() {
		return Target{}, fmt.Errorf("%q is a net: name one address of it", s)
	}
	p, err := parseTail(rest)
	if err != nil {
		return Target{}, fmt.Errorf("%q: %w", s, err)
	}
	return Target{Name: name, PortSpec: p}, nil
}

// ParsePort reads PORT, PORT/PROTOCOL, PROTOCOL, PROTOCOL:PORT or
// PROTOCOL/PORT. PORT is a number or the name of a container's port, and of
// icmp and icmpv6 a type or TYPE:CODE; PROTOCOL is a name in any case, or its
// number after a slash.
func ParsePort(s string) (PortSpec, error) {
	head, tail, cut := strings.Cut(s, "/")
	if proto, ok := protocolNamed(head); ok {
		if !cut {
			return PortSpec{Protocol: proto}, nil
		}
		return portOf(proto, tail)
	}
	head, _, cut = strings.Cut(s, ":")
	if _, ok := protocolNamed(head); ok && cut {
		return parseTail("/" + s)
	}
	return parseTail(":" + s)
}

// splitTarget finds the end of the name.
func splitTarget(s string) (name, rest string) {
	if strings.HasPrefix(s, "[") {
		if i := strings.IndexByte(s, ']'); i > 0 {
			return s[1:i], s[i+1:]
		}
	}
	head, _, _ := strings.Cut(s, "/")
	if _, err := netip.ParseAddr(head); err == nil {
		return head, s[len(head):]
	}
	beforePort, _, _ := strings.Cut(s, ":")
	parts := strings.Split(beforePort, "/")
	n := nameParts(parts)
	if len(parts) <= n {
		return beforePort, s[len(beforePort):]
	}
	name = strings.Join(parts[:n], "/")
	return name, s[len(name):]
}

// nameParts is of how many parts the name at the beginning of parts is.
func nameParts(parts []string) int {
	switch _, err := netip.ParseAddr(parts[0]); {
	case err == nil || parts[0] == nameInternet:
		return 1
	case parts[0] == prefixService:
		return 3
	case parts[0] == prefixSet && len(parts) == 3:
		if _, ok := protocolNamed(parts[2]); !ok {
			return 3
		}
	case parts[0] == prefixSet && len(parts) > 3:
		return 3
	}
	return 2
}

// parseTail reads :PORT, :PORT/PROTOCOL, /PROTOCOL or /PROTOCOL:PORT.
func parseTail(s string) (PortSpec, error) {
	protocol, port := "", ""
	if s[0] == ':' {
		var cut bool
		if port, protocol, cut = strings.Cut(s[1:], "/"); cut && protocol == "" || port == "" {
			return PortSpec{}, fmt.Errorf("%q: expected :PORT or :PORT/PROTOCOL", s)
		}
	} else if s[0] == '/' {
		var cut bool
		if protocol, port, cut = strings.Cut(s[1:], ":"); cut && port == "" || protocol == "" {
			return PortSpec{}, fmt.Errorf("%q: expected /PROTOCOL or /PROTOCOL:PORT", s)
		}
	} else {
		return PortSpec{}, fmt.Errorf("%q: expected :PORT, /PROTOCOL or nothing more", s)
	}
	var proto policy.Protocol
	if protocol != "" {
		var err error
		if proto, err = ParseProtocol(protocol); err != nil {
			return PortSpec{}, err
		}
	}
	if port == "" {
		return PortSpec{Protocol: proto}, nil
	}
	return portOf(proto, port)
}

// portOf reads a port of a protocol, 0 if that was not given.
func portOf(proto policy.Protocol, s string) (PortSpec, error) {
	p := PortSpec{Given: true, Protocol: proto}
	switch {
	case proto.HasTypes():
		n, err := parseICMP(s)
		p.Port = n
		return p, err
	case proto != 0 && !proto.HasPorts() && proto != policy.UDPLite:
		return PortSpec{}, fmt.Errorf("port %q: rules can't name ports of %s", s, proto)
	}
	if n, err := strconv.ParseUint(s, 10, 16); err == nil && n > 0 {
		p.Port = uint16(n)
		return p, nil
	}
	if !portName(s) {
		return PortSpec{}, fmt.Errorf("port %q: expected a number from 1 to 65535 or the name of a container's port", s)
	}
	p.PortName = s
	return p, nil
}

// portName says whether s can be the name of a container's port.
func portName(s string) bool {
	letter := false
	for _, r := range s {
		switch {
		case r >= 'a' && r <= 'z':
			letter = true
		case r != '-' && (r < '0' || r > '9'):
			return false
		}
	}
	return letter && len(s) <= 15 && s[0] != '-' && s[len(s)-1] != '-'
}

// parseICMP reads TYPE or TYPE:CODE; without a code it is 0.
func parseICMP(s string) (uint16, error) {
	typ, code, ok := strings.Cut(s, ":")
	t, err := strconv.ParseUint(typ, 10, 8)
	if err != nil {
		return 0, fmt.Errorf("ICMP type %q: expected a number from 0 to 255", typ)
	}
	if !ok {
		return policy.ICMPPort(uint8(t), 0), nil
	}
	c, err := strconv.ParseUint(code, 10, 8)
	if err != nil {
		return 0, fmt.Errorf("ICMP code %q: expected a number from 0 to 255", code)
	}
	return policy.ICMPPort(uint8(t), uint8(c)), nil
}

var namedProtocols = []policy.Protocol{policy.TCP, policy.UDP, policy.SCTP, policy.ICMP, policy.ICMPv6, policy.UDPLite}

func protocolNamed(s string) (policy.Protocol, bool) {
	i := slices.IndexFunc(namedProtocols, func(p policy.Protocol) bool { return strings.EqualFold(p.String(), s) })
	if i < 0 {
		return 0, false
	}
	return namedProtocols[i], true
}

// ParseProtocol reads a protocol by name, in any case, or by number.
func ParseProtocol(s string) (policy.Protocol, error) {
	if p, ok := protocolNamed(s); ok {
		return p, nil
	}
	n, err := strconv.ParseUint(s, 10, 8)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("protocol %q: expected TCP, UDP, SCTP, ICMP, ICMPv6, UDPLite or a number from 1 to 255", s)
	}
	return policy.Protocol(n), nil
}

// Resolve finds the one protocol and port that is meant at a destination that
// declares some ports (none: not known, such as an address). What was not
// typed is taken from there if that leaves no choice; a protocol that nothing
// tells is TCP, an ICMP message that was not given a ping.
func (p PortSpec) Resolve(declared []policy.ContainerPort) (policy.Protocol, uint16, error) {
	if p.Protocol != 0 && !p.Protocol.HasPorts() {
		if p.Protocol.HasTypes() && !p.Given {
			return p.Protocol, policy.EchoRequest(p.Protocol), nil
		}
		return p.Protocol, p.Port, nil
	}
	var fit []policy.ContainerPort
	for _, d := range declared {
		if (p.Protocol == 0 || d.Protocol == p.Protocol) && (p.PortName == "" || d.Name == p.PortName) &&
			(p.Port == 0 || d.Port == p.Port) {
			if !slices.ContainsFunc(fit, func(o policy.ContainerPort) bool { return o.Protocol == d.Protocol && o.Port == d.Port }) {
				fit = append(fit, d)
			}
		}
	}
	switch {
	case len(fit) == 1:
		return fit[0].Protocol, fit[0].Port, nil
	case p.Port != 0 && p.Protocol != 0:
		return p.Protocol, p.Port, nil
	case p.Port != 0: // declared for several protocols, or not at all
		return policy.TCP, p.Port, nil
	}
	return 0, 0, p.whichPort(declared, fit)
}

// whichPort is the error where there is not one port to choose.
func (p PortSpec) whichPort(declared, fit []policy.ContainerPort) error {
	list := fit
	what := "which port?"
	if len(fit) == 0 {
		list = declared
		if p.PortName != "" {
			what = fmt.Sprintf("no port is called %q;", p.PortName)
		} else if p.Protocol != 0 {
			what = fmt.Sprintf("which %s port?", p.Protocol)
		}
	}
	if len(list) == 0 {
		return fmt.Errorf("%s it declares none", what)
	}
	var names []string
	for _, d := range list {
		text := PortText(d.Protocol, d.Port)
		if d.Name != "" {
			text += " (" + d.Name + ")"
		}
		names = append(names, text)
	}
	return fmt.Errorf("%s it declares %s", what, strings.Join(names, ", "))
}

// PortText is a protocol and port for people: TCP/5432, ICMP/8, ICMP/3:1,
// UDPLite.
func PortText(p policy.Protocol, port uint16) string {
	if text := policy.PortText(p, port); text != "" && (port > 0 || p.HasTypes()) {
		return p.String() + "/" + text
	}
	return ProtocolText(p)
}

// ProtocolText is a protocol for people; a bare number would look like a port.
func ProtocolText(p policy.Protocol) string {
	if _, ok := protocolNamed(p.String()); ok {
		return p.String()
	}
	return "protocol " + p.String()
}
