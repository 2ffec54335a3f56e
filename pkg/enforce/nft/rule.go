//go:build linux

package nft

import (
	"errors"
	"fmt"

	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"github.com/netpol-project/netpol/pkg/enforce/ruleset"
)

// register0 is the first of the sixteen registers of four bytes.
const (
	register0 = unix.NFT_REG32_00
	registers = 16
)

// logSnapLen is how much of a logged packet is copied: an IPv6 header, some
// extension headers and a TCP header.
const logSnapLen = 128

// expressions turns a rule into the kernel's small steps. kname gives the
// kernel's name of a set or chain.
func expressions(r *ruleset.Rule, kname func(string) string) ([]expr.Any, error) {
	out, err := guards(r)
	if err != nil {
		return nil, err
	}
	for _, m := range r.Matches {
		steps, err := match(m, kname)
		if err != nil {
			return nil, err
		}
		out = append(out, steps...)
	}
	if r.Counter {
		out = append(out, &expr.Counter{})
	}
	if l := r.Limit; l != nil {
		if l.PerSecond == 0 {
			return nil, errors.New("a limit lets nothing pass")
		}
		out = append(out, &expr.Limit{Type: expr.LimitTypePkts, Rate: uint64(l.PerSecond), Unit: expr.LimitTimeSecond, Burst: l.Burst})
	}
	if r.Log != nil {
		out = append(out, logStep(r.Log))
	}
	if r.NoTrack {
		out = append(out, &expr.Notrack{})
	}
	if r.VMap != nil {
		steps, err := load(r.VMap.Fields)
		if err != nil {
			return nil, err
		}
		out = append(out, steps...)
		return append(out, &expr.Lookup{
			SourceRegister: register0, IsDestRegSet: true, DestRegister: unix.NFT_REG_VERDICT,
			SetName: kname(r.VMap.Map),
		}), nil
	}
	if r.Verdict.Kind != ruleset.None {
		code, err := verdictCode(r.Verdict.Kind)
		if err != nil {
			return nil, err
		}
		out = append(out, &expr.Verdict{Kind: expr.VerdictKind(code), Chain: chainOf(r.Verdict, kname)})
	}
	return out, nil
}

// guards are the family and protocol tests without which the rule would take
// other bytes for the fields that it names. What the rule tests itself is not
// tested twice.
func guards(r *ruleset.Rule) ([]expr.Any, error) {
	var need need
	var has [2]bool
	note := func(fields []ruleset.Field) error {
		for _, f := range fields {
			in, ok := info(f)
			if !ok {
				return fmt.Errorf("field %d is unknown", f)
			}
			if need.nfproto != 0 && in.needs.nfproto != 0 && need.nfproto != in.needs.nfproto {
				return fmt.Errorf("one rule names fields of both address families")
			}
			need.nfproto = max(need.nfproto, in.needs.nfproto)
			need.l4proto = max(need.l4proto, in.needs.l4proto)
		}
		return nil
	}
	for _, m := range r.Matches {
		if err := note(m.Fields); err != nil {
			return nil, err
		}
		if m.Set == "" && m.Op == ruleset.Equal && len(m.Fields) == 1 {
			has[0] = has[0] || m.Fields[0] == ruleset.NFProto
			has[1] = has[1] || m.Fields[0] == ruleset.L4Proto
		}
	}
	if r.VMap != nil {
		if err := note(r.VMap.Fields); err != nil {
			return nil, err
		}
	}
	var out []expr.Any
	if need.nfproto != 0 && !has[0] {
		out = append(out, meta(expr.MetaKeyNFPROTO)(unix.NFT_REG_1), equal([]byte{need.nfproto}))
	}
	if need.l4proto != 0 && !has[1] {
		out = append(out, meta(expr.MetaKeyL4PROTO)(unix.NFT_REG_1), equal([]byte{need.l4proto}))
	}
	return out, nil
}

func equal(value []byte) *expr.Cmp {
	return &expr.Cmp{Op: expr.CmpOpEq, Register: unix.NFT_REG_1, Data: value}
}

// load reads fields into consecutive registers.
func load(fields []ruleset.Field) ([]expr.Any, error) {
	var out []expr.Any
	at := uint32(register0)
	for _, f := range fields {
		in, ok := info(f)
		if !ok {
			return nil, fmt.Errorf("field %d is unknown", f)
		}
		out = append(out, in.load(at))
		at += uint32(padded(f) / 4)
	}
	if len(fields) == 0 || at > register0+registers {
		return nil, fmt.Errorf("%d fields do not fit into the kernel's registers", len(fields))
	}
	return out, nil
}

func match(m ruleset.Match, kname func(string) string) ([]expr.Any, error) {
	if m.Set != "" {
		out, err := load(m.Fields)
		if err != nil {
			return nil, err
		}
		return append(out, &expr.Lookup{SourceRegister: register0, SetName: kname(m.Set), Invert: m.Invert}), nil
	}
	if len(m.Fields) != 1 {
		return nil, fmt.Errorf("a comparison has %d fields, want 1", len(m.Fields))
	}
	in, ok := info(m.Fields[0])
	if !ok {
		return nil, fmt.Errorf("field %d is unknown", m.Fields[0])
	}
	return compare(m, in)
}

func compare(m ruleset.Match, in fieldInfo) ([]expr.Any, error) {
	size := m.Fields[0].Len()
	if len(m.Value) > size || len(m.Value) == 0 || len(m.Value) < size && m.Op != ruleset.Prefix {
		return nil, fmt.Errorf("value of %d bytes for a field of %d", len(m.Value), size)
	}
	value, mask := m.Value, m.Mask
	if in.host {
		value, mask = native(value), native(mask)
	}
	out := []expr.Any{in.load(unix.NFT_REG_1)}
	cmp := equal(value)
	switch m.Op {
	case ruleset.Equal, ruleset.Prefix:
	case ruleset.NotEqual:
		cmp.Op = expr.CmpOpNeq
	case ruleset.Any, ruleset.NotAny:
		out = append(out, bitwise(value, size))
		cmp.Data = make([]byte, size)
		if m.Op == ruleset.Any {
			cmp.Op = expr.CmpOpNeq
		}
	case ruleset.Masked:
		if len(mask) != size {
			return nil, fmt.Errorf("mask of %d bytes for a field of %d", len(mask), size)
		}
		out = append(out, bitwise(mask, size))
	default:
		return nil, fmt.Errorf("comparison %d is unknown", m.Op)
	}
	return append(out, cmp), nil
}

func bitwise(mask []byte, size int) *expr.Bitwise {
	return &expr.Bitwise{
		SourceRegister: unix.NFT_REG_1, DestRegister: unix.NFT_REG_1,
		Len: uint32(size), Mask: mask, Xor: make([]byte, size),
	}
}

// logStep sends the packet's head at once: a queue would tell of a denied
// connection up to a second late.
func logStep(l *ruleset.Log) *expr.Log {
	return &expr.Log{
		Key: 1<<unix.NFTA_LOG_GROUP | 1<<unix.NFTA_LOG_PREFIX | 1<<unix.NFTA_LOG_SNAPLEN |
			1<<unix.NFTA_LOG_QTHRESHOLD,
		Group: l.Group, Snaplen: logSnapLen, QThreshold: 1, Data: []byte(l.Prefix),
	}
}

// verdictCode is the kernel's number of a verdict.
func verdictCode(k ruleset.VerdictKind) (int32, error) {
	switch k {
	case ruleset.Accept:
		return 1, nil // NF_ACCEPT
	case ruleset.Drop:
		return 0, nil // NF_DROP
	case ruleset.Jump:
		return unix.NFT_JUMP, nil
	case ruleset.Goto:
		return unix.NFT_GOTO, nil
	case ruleset.Return:
		return unix.NFT_RETURN, nil
	}
	return 0, fmt.Errorf("verdict %d is unknown", k)
}

func chainOf(v ruleset.Verdict, kname func(string) string) string {
	if v.Chain == "" {
		return ""
	}
	return kname(v.Chain)
}
