package connectivity

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/netpol-project/netpol/pkg/policy"
)

// Space is a set of connections by protocol and port: of ICMP and ICMPv6 by
// policy.ICMPPort, and of protocols without ports all or nothing. The zero
// Space is empty.
type Space struct {
	// Others says whether the protocols that are not listed are in it.
	Others bool
	// Protocols are sorted; what a protocol has in common with Others is not
	// listed.
	Protocols []ProtocolPorts
}

// ProtocolPorts is what a Space has of one protocol: sorted ranges that neither
// overlap nor touch, maybe none.
type ProtocolPorts struct {
	Protocol policy.Protocol
	Ranges   []policy.PortRange
}

var allPorts = policy.PortRange{Min: 0, Max: math.MaxUint16}

// Everything is the Space of all connections.
func Everything() Space { return Space{Others: true} }

// Empty says that nothing is in s.
func (s Space) Empty() bool { return !s.Others && len(s.Protocols) == 0 }

// All says that everything is in s.
func (s Space) All() bool { return s.Others && len(s.Protocols) == 0 }

// Contains says whether a connection is in s.
func (s Space) Contains(proto policy.Protocol, port uint16) bool {
	i, ok := slices.BinarySearchFunc(s.Protocols, proto, func(p ProtocolPorts, proto policy.Protocol) int { return int(p.Protocol) - int(proto) })
	if !ok {
		return s.Others
	}
	return slices.ContainsFunc(s.Protocols[i].Ranges, func(r policy.PortRange) bool { return r.Contains(port) })
}

// set says what s has of a protocol; protocols must come in order, and Others
// be right before.
func (s *Space) set(proto policy.Protocol, ranges []policy.PortRange) {
	switch {
	case len(ranges) == 0 && !s.Others, len(ranges) == 1 && ranges[0] == allPorts && s.Others:
		return
	}
	s.Protocols = append(s.Protocols, ProtocolPorts{proto, ranges})
}

// addRange appends a range that comes after the others, joined to the last one
// if they touch.
func addRange(list []policy.PortRange, r policy.PortRange) []policy.PortRange {
	if n := len(list); n > 0 && int(list[n-1].Max)+1 == int(r.Min) {
		list[n-1].Max = r.Max
		return list
	}
	return append(list, r)
}

// String is the Space for people: any, none, "TCP 80,443; UDP 53",
// "any but TCP 5432".
func (s Space) String() string {
	switch {
	case s.All():
		return "any"
	case s.Empty():
		return "none"
	}
	parts := make([]string, len(s.Protocols))
	for i, p := range s.Protocols {
		ranges := p.Ranges
		if s.Others {
			ranges = complement(ranges)
		}
		parts[i] = RangesText(p.Protocol, ranges)
	}
	text := strings.Join(parts, "; ")
	if s.Others {
		return "any but " + text
	}
	return text
}

func complement(list []policy.PortRange) []policy.PortRange {
	var out []policy.PortRange
	next := 0
	for _, r := range list {
		if int(r.Min) > next {
			out = append(out, policy.PortRange{Min: uint16(next), Max: r.Min - 1})
		}
		next = int(r.Max) + 1
	}
	if next <= math.MaxUint16 {
		out = append(out, policy.PortRange{Min: uint16(next), Max: math.MaxUint16})
	}
	return out
}

// RangesText is ports of a protocol for people: TCP 80,443,8000-8999, ICMP 8,
// or the protocol alone for all of it.
func RangesText(p policy.Protocol, ranges []policy.PortRange) string {
	name := ProtocolText(p)
	if !p.HasPorts() && !p.HasTypes() || len(ranges) == 1 && ranges[0] == allPorts {
		return name
	}
	parts := make([]string, len(ranges))
	for i, r := range ranges {
		if p.HasTypes() {
			parts[i] = typesText(r)
		} else {
			parts[i] = portsText(r)
		}
	}
	return name + " " + strings.Join(parts, ",")
}

// portsText is a range; port 0, which nobody uses, is not shown.
func portsText(r policy.PortRange) string {
	lo := max(r.Min, 1)
	if lo >= r.Max {
		return fmt.Sprint(r.Max)
	}
	return fmt.Sprintf("%d-%d", lo, r.Max)
}

// typesText is a range of ICMP types, or of types and codes.
func typesText(r policy.PortRange) string {
	fromType, fromCode := policy.ICMPTypeCode(r.Min)
	toType, toCode := policy.ICMPTypeCode(r.Max)
	switch {
	case r.Min == r.Max:
		return fmt.Sprintf("%d:%d", fromType, fromCode)
	case fromCode != 0 || toCode != 255:
		return fmt.Sprintf("%d:%d-%d:%d", fromType, fromCode, toType, toCode)
	case fromType == toType:
		return fmt.Sprint(fromType)
	}
	return fmt.Sprintf("%d-%d", fromType, toType)
}
