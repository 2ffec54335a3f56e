package connectivity

import (
	"fmt"
	"net/netip"
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
