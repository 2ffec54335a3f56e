package ruleset

import (
	"fmt"

	"github.com/netpol-project/netpol/pkg/policy"
)

// span is a range of destination ports, of any protocol, or of one protocol's
// types and codes. Each has a set of its own, which all profiles share.
type span struct {
	proto policy.Protocol // ICMP and ICMPv6; 0 for ports
	policy.PortRange
}

// typesComment explains what nft shows as ports.
const typesComment = "ICMP: type * 256 + code"

func (b *bucket) span() span {
	s := span{PortRange: policy.PortRange{Min: b.lo, Max: b.hi}}
	if b.proto.HasTypes() {
		s.proto = b.proto
	}
	return s
}

// text is the span in names, for a protocol: tcp-80-90, icmp-8 for all codes of
// a type, icmp-8.0-9.255 for what is not that.
func (s span) text(p policy.Protocol) string {
	name := valueText(L4Proto, []byte{byte(p)})
	if s.proto == 0 {
		return fmt.Sprintf("%s-%d-%d", name, s.Min, s.Max)
	}
	first, code := policy.ICMPTypeCode(s.Min)
	last, end := policy.ICMPTypeCode(s.Max)
	if first == last && code == 0 && end == 255 {
		return fmt.Sprintf("%s-%d", name, first)
	}
	return fmt.Sprintf("%s-%d.%d-%d.%d", name, first, code, last, end)
}

func (s span) name() string {
	if s.proto == 0 {
		return fmt.Sprintf("ports-%d-%d", s.Min, s.Max)
	}
	return "types-" + s.text(s.proto)
}

// matches are the conditions that a packet of a protocol is in the span. With
// types the protocol is in the key: nft can't say "source port" of ICMP
// otherwise.
func (s span) matches(p policy.Protocol) []Match {
	if s.proto == 0 {
		return []Match{l4(byte(p)), in(s.name(), DPort)}
	}
	return []Match{in(s.name(), L4Proto, SPort)}
}

func (s span) set() *Set {
	if s.proto == 0 {
		e := Element{Key: portElements(s.Min)[0].Key, KeyEnd: portElements(s.Max)[0].Key}
		return &Set{Name: s.name(), Fields: []Field{DPort}, Interval: true, Elements: []Element{e}}
	}
	e := Element{Key: string(packPort(nil, s.proto, s.Min)), KeyEnd: string(packPort(nil, s.proto, s.Max))}
	return &Set{Name: s.name(), Fields: []Field{L4Proto, SPort}, Interval: true, Elements: []Element{e}, Comment: typesComment}
}
