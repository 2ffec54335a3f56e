package ruleset

import (
	"encoding/binary"
	"slices"
	"strings"

	"github.com/netpol-project/netpol/pkg/policy"
)

// key packs fields as Element.Key does.
func (t *tracer) key(fields []Field) (string, bool) {
	var k []byte
	for _, f := range fields {
		v, ok := t.load(f)
		if !ok {
			return "", false
		}
		k = append(append(k, v...), make([]byte, padded(f)-len(v))...)
	}
	return string(k), true
}

func (t *tracer) find(name string, key string) *Element {
	i, ok := slices.BinarySearchFunc(t.rules.Sets, name, func(s *Set, name string) int { return strings.Compare(s.Name, name) })
	if !ok {
		return nil
	}
	s := t.rules.Sets[i]
	if !s.Interval {
		if j, ok := slices.BinarySearchFunc(s.Elements, Element{Key: key}, compareElements); ok {
			return &s.Elements[j]
		}
		return nil
	}
	for j := range s.Elements {
		if e := &s.Elements[j]; inBox(s.Fields, e, key) {
			return e
		}
	}
	return nil
}

func inBox(fields []Field, e *Element, key string) bool {
	at := 0
	for _, f := range fields {
		end := at + padded(f)
		if v := key[at:end]; v < e.Key[at:end] || v > e.KeyEnd[at:end] {
			return false
		}
		at = end
	}
	return true
}

// load is a field's value, false where the kernel could not load it or would
// load something else: rules check family and protocol before.
func (t *tracer) load(f Field) ([]byte, bool) {
	p := t.packet
	v4, v6 := p.Src.Is4(), p.Src.Is6()
	switch f {
	case IIFName:
		return nameKey(nil, p.IIF), true
	case OIFName:
		return nameKey(nil, p.OIF), t.hook == "forward" || t.hook == "output"
	case IIFKind:
		return nameKey(nil, p.IIFKind), p.IIFKind != ""
	case OIFKind:
		return nameKey(nil, p.OIFKind), p.OIFKind != "" && (t.hook == "forward" || t.hook == "output")
	case NFProto:
		return []byte{families[familyOf(p.Src)].nfproto}, true
	case L4Proto:
		return []byte{byte(p.Protocol)}, true
	case SAddr4, SAddr6:
		return p.Src.AsSlice(), v4 == (f == SAddr4)
	case DAddr4, DAddr6:
		return p.Dst.AsSlice(), v4 == (f == DAddr4)
	case HopLimit:
		return []byte{p.HopLimit}, v6
	case CTState:
		return binary.BigEndian.AppendUint32(nil, p.State), true
	case CTStatus:
		n := uint32(0)
		if p.Confirmed || p.State != StateNew {
			n = StatusConfirmed
		}
		return binary.BigEndian.AppendUint32(nil, n), true
	case DAddrType:
		n := uint32(1) // RTN_UNICAST
		if p.ToHost {
			n = rtnLocal
		}
		return binary.BigEndian.AppendUint32(nil, n), true
	case Packets:
		return make([]byte, 8), true
	}
	return t.transport(f)
}

func (t *tracer) transport(f Field) ([]byte, bool) {
	p := t.packet
	switch f {
	case SPort:
		if p.Protocol.HasTypes() {
			return []byte{p.ICMPType, p.ICMPCode}, !p.Fragment
		}
		return binary.BigEndian.AppendUint16(nil, p.SPort), !p.Fragment
	case DPort:
		return binary.BigEndian.AppendUint16(nil, p.DPort), !p.Fragment
	case TCPFlags:
		return []byte{p.TCPFlags}, !p.Fragment && p.Protocol == policy.TCP
	case ICMPType:
		return []byte{p.ICMPType}, !p.Fragment && p.Protocol == policy.ICMP
	case ICMPv6Type:
		return []byte{p.ICMPType}, !p.Fragment && p.Protocol == policy.ICMPv6
	}
	return nil, false
}
