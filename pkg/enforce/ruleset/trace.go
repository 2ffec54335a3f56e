package ruleset

import (
	"bytes"
	"net/netip"
	"slices"
	"sort"
	"strings"

	"github.com/netpol-project/netpol/pkg/policy"
)

// Packet is what the tracer runs through the rules, as it stands in the hooks
// (addresses and ports after translation of the destination).
type Packet struct {
	// IIF and OIF are the interfaces; OIF is known from forward on.
	IIF, OIF string
	// IIFKind and OIFKind are the kinds of these devices; empty: a machine's own.
	IIFKind, OIFKind string

	Src, Dst     netip.Addr
	Protocol     policy.Protocol
	SPort, DPort uint16 // of a protocol without ports: what is read in their place
	TCPFlags     byte
	// ICMPType and ICMPCode are of ICMP and ICMPv6, which have them instead of
	// SPort.
	ICMPType, ICMPCode byte
	HopLimit           byte
	// State is the conntrack state, one of the State constants; 0 is StateNew.
	State uint32
	// Confirmed: it is not the connection's first packet, though State may
	// still be StateNew since nothing was answered.
	Confirmed bool
	// Flood: every limit is used up.
	Flood bool
	// ToHost packets are delivered to the node (input), FromHost ones sent by
	// it (output), others forwarded.
	ToHost, FromHost bool
	// Fragment is a fragment that has no transport header.
	Fragment bool
}

// Step is a rule that a packet matched.
type Step struct {
	Chain string
	Rule  int // index in the chain
}

// Outcome is what became of a packet.
type Outcome struct {
	Verdict VerdictKind // Accept or Drop
	Path    []Step      // rules that matched, in order
	Logs    []Log       // what was logged on the way
}

// Trace runs a packet through prerouting and then input or forward, or through
// output, as the kernel would. A chain or set that does not exist, which the kernel would not
// have let in, drops.
func Trace(r *Ruleset, p Packet) Outcome {
	if p.State == 0 {
		p.State = StateNew
	}
	t := &tracer{packet: &p, rules: r}
	hooks := []string{"prerouting", "forward"}
	switch {
	case p.ToHost:
		hooks[1] = "input"
	case p.FromHost:
		hooks = []string{"output"}
	}
	for _, hook := range hooks {
		t.hook = hook
		for _, c := range t.hooked(hook) {
			if t.run(c) == Drop {
				t.out.Verdict = Drop
				return t.out
			}
		}
	}
	t.out.Verdict = Accept
	return t.out
}

type tracer struct {
	packet *Packet
	hook   string
	rules  *Ruleset
	out    Outcome
}

// chain finds a chain that is not a base chain; those follow the base chains,
// sorted by name.
func (t *tracer) chain(name string) *Chain {
	base := 0
	for base < len(t.rules.Chains) && t.rules.Chains[base].Hook != nil {
		base++
	}
	list := t.rules.Chains[base:]
	i, ok := slices.BinarySearchFunc(list, name, func(c *Chain, name string) int { return strings.Compare(c.Name, name) })
	if !ok {
		return nil
	}
	return list[i]
}

func (t *tracer) hooked(hook string) []*Chain {
	var list []*Chain
	for _, c := range t.rules.Chains {
		if c.Hook != nil && c.Hook.Name == hook {
			list = append(list, c)
		}
	}
	sort.SliceStable(list, func(i, j int) bool { return list[i].Hook.Priority < list[j].Hook.Priority })
	return list
}

// run gives Accept, Drop, or None where the chain ended or returned: for a base
// chain that is its policy, accept.
func (t *tracer) run(c *Chain) VerdictKind {
	if c == nil || len(t.out.Path) > 10000 {
		return Drop
	}
	for i := range c.Rules {
		v, ok := t.rule(&c.Rules[i])
		if !ok {
			continue
		}
		t.out.Path = append(t.out.Path, Step{c.Name, i})
		if l := c.Rules[i].Log; l != nil {
			t.out.Logs = append(t.out.Logs, *l)
		}
		switch v.Kind {
		case Accept, Drop:
			return v.Kind
		case Return:
			return None
		case Goto:
			return t.run(t.chain(v.Chain))
		case Jump:
			if k := t.run(t.chain(v.Chain)); k != None {
				return k
			}
		}
	}
	return None
}

// rule says whether the packet matches, and what then.
func (t *tracer) rule(r *Rule) (Verdict, bool) {
	for i := range r.Matches {
		if !t.match(&r.Matches[i]) {
			return Verdict{}, false
		}
	}
	if r.Limit != nil && t.packet.Flood {
		return Verdict{}, false
	}
	if r.VMap == nil {
		return r.Verdict, true
	}
	key, ok := t.key(r.VMap.Fields)
	if !ok {
		return Verdict{}, false
	}
	e := t.find(r.VMap.Map, key)
	if e == nil {
		return Verdict{}, false
	}
	return e.Verdict, true
}

func (t *tracer) match(m *Match) bool {
	if m.Set != "" {
		key, ok := t.key(m.Fields)
		return ok && (t.find(m.Set, key) != nil) != m.Invert
	}
	v, ok := t.load(m.Fields[0])
	if !ok {
		return false
	}
	switch m.Op {
	case NotEqual:
		return !bytes.Equal(v, m.Value)
	case Any:
		return slices.ContainsFunc(masked(v, m.Value), func(b byte) bool { return b != 0 })
	case NotAny:
		return !slices.ContainsFunc(masked(v, m.Value), func(b byte) bool { return b != 0 })
	case Masked:
		return bytes.Equal(masked(v, m.Mask), m.Value)
	case Prefix:
		return bytes.HasPrefix(v, m.Value)
	}
	return bytes.Equal(v, m.Value)
}

func masked(v, mask []byte) []byte {
	out := make([]byte, len(v))
	for i := range v {
		out[i] = v[i] & mask[i]
	}
	return out
}
