package connectivity

import (
	"fmt"
	"slices"
	"strings"

	"github.com/netpol-project/netpol/pkg/policy"
)

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
