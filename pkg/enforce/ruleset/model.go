// Package ruleset turns a judged snapshot into the packet-filter rules of one
// node: plain sorted structs, which package nft programs into the kernel, with
// a text form for people and golden tests and a tracer that runs a packet
// through them.
//
// It is pure: same input, same Ruleset, byte for byte. It knows nftables'
// vocabulary but never talks to the kernel.
package ruleset

// Field is a part of a packet, or of what the kernel knows about it, that
// rules match on. Its length is what the kernel loads into a register.
type Field uint8

// The fields.
const (
	IIFName    Field = iota + 1 // meta iifname, 16 bytes, zero padded
	OIFName                     // meta oifname, 16 bytes, zero padded
	NFProto                     // meta nfproto, 1 byte: 2 IPv4, 10 IPv6
	L4Proto                     // meta l4proto, 1 byte
	SAddr4                      // ip saddr, 4 bytes
	DAddr4                      // ip daddr, 4 bytes
	SAddr6                      // ip6 saddr, 16 bytes
	DAddr6                      // ip6 daddr, 16 bytes
	SPort                       // th sport, 2 bytes, network order; of ICMP and ICMPv6 type and code
	DPort                       // th dport, 2 bytes, network order
	TCPFlags                    // tcp flags, 1 byte
	ICMPType                    // icmp type, 1 byte
	ICMPv6Type                  // icmpv6 type, 1 byte
	HopLimit                    // ip6 hoplimit, 1 byte
	CTState                     // ct state, 4 bytes: a mask of the State constants
	DAddrType                   // fib daddr type, 4 bytes: RTN_LOCAL is 2
	Packets                     // ct packets, 8 bytes (switches accounting on)
	CTStatus                    // ct status, 4 bytes: a mask of the Status constants
	IIFKind                     // meta iifkind, 16 bytes, zero padded: "veth"; of some kinds of devices there is none
	OIFKind                     // meta oifkind, 16 bytes, zero padded
)

// Connection states, as bits of CTState (kernel values).
const (
	StateInvalid     uint32 = 1
	StateEstablished uint32 = 2
	StateRelated     uint32 = 4
	StateNew         uint32 = 8
	StateUntracked   uint32 = 64
)

// StatusConfirmed is a bit of CTStatus (kernel value): some packet of the
// connection has passed all hooks before this one.
const StatusConfirmed uint32 = 8

// Op compares a field with a value.
type Op uint8

// The comparisons. Any is (field & value) != 0, for flags and states, and
// NotAny (field & value) == 0; Masked is (field & mask) == value.
const (
	Equal Op = iota
	NotEqual
	Any
	NotAny
	Masked
	Prefix // the field's first bytes equal Value (interface name wildcards: "np*")
)

// Match is one condition of a rule: a comparison, or a look-up in a set where
// Set is not empty.
type Match struct {
	Fields []Field // one for a comparison; the concatenation for a look-up
	Op     Op
	Value  []byte // network order, the field's length (Prefix: shorter); CTState, CTStatus and DAddrType as big-endian numbers here, whatever the kernel wants
	Mask   []byte // Masked only
	Set    string // look-up: the set's name
	Invert bool   // look-up: matches when NOT in the set
}

// VerdictKind is what happens to a packet.
type VerdictKind uint8

// The verdicts; None goes on with the next rule.
const (
	None VerdictKind = iota
	Accept
	Drop
	Jump
	Goto
	Return
)

// Verdict ends a rule or is the value of a map element.
type Verdict struct {
	Kind  VerdictKind
	Chain string // Jump and Goto
}

// Log sends a packet's head to user space (nflog).
type Log struct {
	Group  uint16
	Prefix string // at most 127 bytes
}

// Limit lets a rate of packets pass, and a burst before it. What is more does
// not match the rule any further.
type Limit struct {
	PerSecond, Burst uint32
}

// Rule is one line of a chain: all matches must hold, then it counts, then the
// limit must hold, then it logs, then comes either the look-up in a verdict map
// or the verdict. So the counter knows what the limit keeps from the log.
type Rule struct {
	Matches []Match
	Counter bool
	Limit   *Limit
	Log     *Log
	NoTrack bool
	// VMap looks the fields up in a map of verdicts; a miss goes on with the
	// next rule.
	VMap    *VMap
	Verdict Verdict
	Comment string // for people; at most 120 bytes
}

// VMap is a look-up in a verdict map.
type VMap struct {
	Fields []Field
	Map    string
}

// Hook is where a base chain is attached.
type Hook struct {
	Name     string // prerouting, input, forward, output
	Priority int
}

// Chain is a list of rules. Base chains have a Hook; their policy is accept.
type Chain struct {
	Name    string
	Hook    *Hook
	Rules   []Rule
	Comment string
}

// Set is a set or (Map) a verdict map.
type Set struct {
	Name     string
	Fields   []Field
	Interval bool // elements are boxes from Key to KeyEnd, both inclusive
	Map      bool
	Timeout  bool // elements may carry a timeout
	// External sets are filled by the agent while it runs (the cut set); the
	// compiler declares them and never lists their elements.
	External bool
	Elements []Element // sorted by Key
	Comment  string
}

// Element is a member of a set. Key packs the fields in order, each padded
// with zero bytes to a multiple of four, as the kernel has it in registers.
type Element struct {
	Key     string
	KeyEnd  string // Interval only, inclusive; same layout as Key
	Verdict Verdict
}

// Ruleset is everything that a node's tables hold, sorted by name. Slices of
// elements and rules that did not change are shared with the ruleset that it
// was compiled after, so that a diff may compare pointers first.
type Ruleset struct {
	Chains []*Chain // base chains first
	Sets   []*Set
}

// Len is the field's length in bytes.
func (f Field) Len() int {
	switch f {
	case IIFName, OIFName, IIFKind, OIFKind, SAddr6, DAddr6:
		return 16
	case SAddr4, DAddr4, CTState, CTStatus, DAddrType:
		return 4
	case SPort, DPort:
		return 2
	case Packets:
		return 8
	}
	return 1
}
