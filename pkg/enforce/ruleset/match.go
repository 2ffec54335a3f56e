package ruleset

import (
	"encoding/binary"
	"net/netip"
)

// The conditions that rules are made of.

func iface(f Field, prefix string) Match {
	return Match{Fields: []Field{f}, Op: Prefix, Value: []byte(prefix)}
}

func l4(p byte) Match { return Match{Fields: []Field{L4Proto}, Value: []byte{p}} }

func ctState(states uint32) Match {
	return Match{Fields: []Field{CTState}, Op: Any, Value: binary.BigEndian.AppendUint32(nil, states)}
}

// firstPacket matches the packet that begins a connection: no other of it has
// passed all hooks. Without state of its own it is right where ct packets, which
// older entries do not have, would not be.
func firstPacket() Match {
	return Match{Fields: []Field{CTStatus}, Op: NotAny, Value: binary.BigEndian.AppendUint32(nil, StatusConfirmed)}
}

func port(f Field, n uint16) Match {
	return Match{Fields: []Field{f}, Value: binary.BigEndian.AppendUint16(nil, n)}
}

func in(set string, fields ...Field) Match { return Match{Fields: fields, Set: set} }

// toHost matches what the kernel would deliver to the node itself.
func toHost() Match {
	return Match{Fields: []Field{DAddrType}, Value: binary.BigEndian.AppendUint32(nil, rtnLocal)}
}

const rtnLocal = 2

// rule is a rule with a verdict; refusals and shortcuts read like a table.
func rule(v Verdict, m ...Match) Rule { return Rule{Matches: m, Verdict: v} }

func to(chain string) Verdict   { return Verdict{Kind: Goto, Chain: chain} }
func call(chain string) Verdict { return Verdict{Kind: Jump, Chain: chain} }

var (
	accept = Verdict{Kind: Accept}
	drop   = Verdict{Kind: Drop}
)

func counted(r Rule) Rule {
	r.Counter = true
	return r
}

// Keys of the sets that are not made from plans.

func nameKey(k []byte, name string) []byte {
	return append(append(k, name...), make([]byte, IIFName.Len()-len(name))...)
}

func addrElement(a netip.Addr) Element { return Element{Key: string(a.AsSlice())} }

func pairElement(a netip.Addr) Element {
	b := a.AsSlice()
	return Element{Key: string(b) + string(b)}
}

func sourceElement(l *local, f int) Element {
	return Element{Key: string(append(nameKey(nil, l.iface), l.addrs[f].AsSlice()...))}
}

func byteElements(list ...byte) []Element {
	out := make([]Element, len(list))
	for i, b := range list {
		out[i].Key = string([]byte{b, 0, 0, 0})
	}
	return out
}

func portElements(list ...uint16) []Element {
	out := make([]Element, len(list))
	for i, p := range list {
		out[i].Key = string([]byte{byte(p >> 8), byte(p), 0, 0})
	}
	return out
}
