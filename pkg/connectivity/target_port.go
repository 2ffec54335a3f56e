package connectivity

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/netpol-project/netpol/pkg/policy"
)

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
