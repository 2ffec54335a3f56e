//go:build linux

package nft

import (
	"encoding/binary"
	"fmt"

	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"github.com/netpol-project/netpol/pkg/enforce/ruleset"
)

// fieldInfo says how the kernel loads a field and how nft shows it.
type fieldInfo struct {
	datatype uint32 // nft's number of the data type, for listings
	host     bool   // the kernel keeps it in the machine's byte order
	needs    need
	load     func(register uint32) expr.Any
}

// need is what must hold before a field can be read: without it the bytes of
// something else would be taken for it.
type need struct {
	nfproto uint8 // 0: any
	l4proto uint8 // 0: any
}

var (
	needIPv4   = need{nfproto: unix.NFPROTO_IPV4}
	needIPv6   = need{nfproto: unix.NFPROTO_IPV6}
	needTCP    = need{l4proto: unix.IPPROTO_TCP}
	needICMP   = need{nfproto: unix.NFPROTO_IPV4, l4proto: unix.IPPROTO_ICMP}
	needICMPv6 = need{nfproto: unix.NFPROTO_IPV6, l4proto: unix.IPPROTO_ICMPV6}
)

// The numbers of nft's data types.
const (
	typeNFProto     = 2
	typeInteger     = 4
	typeIPAddr      = 7
	typeIP6Addr     = 8
	typeInetProto   = 12
	typeInetService = 13
	typeICMPType    = 14
	typeTCPFlag     = 15
	typeCTState     = 26
	typeCTStatus    = 28
	typeICMPv6Type  = 29
	typeFibAddr     = 38
	typeIfname      = 41
)

// NFT_META_IIFKIND and NFT_META_OIFKIND (Linux 5.0), which no library names.
const (
	metaKeyIIFKIND expr.MetaKey = 26
	metaKeyOIFKIND expr.MetaKey = 27
)

// info describes a field; ok is false for a number that is no field.
func info(f ruleset.Field) (fieldInfo, bool) {
	const (
		network   = expr.PayloadBaseNetworkHeader
		transport = expr.PayloadBaseTransportHeader
	)
	switch f {
	case ruleset.IIFName:
		return fieldInfo{datatype: typeIfname, load: meta(expr.MetaKeyIIFNAME)}, true
	case ruleset.OIFName:
		return fieldInfo{datatype: typeIfname, load: meta(expr.MetaKeyOIFNAME)}, true
	case ruleset.IIFKind:
		return fieldInfo{datatype: typeIfname, load: meta(metaKeyIIFKIND)}, true
	case ruleset.OIFKind:
		return fieldInfo{datatype: typeIfname, load: meta(metaKeyOIFKIND)}, true
	case ruleset.NFProto:
		return fieldInfo{datatype: typeNFProto, load: meta(expr.MetaKeyNFPROTO)}, true
	case ruleset.L4Proto:
		return fieldInfo{datatype: typeInetProto, load: meta(expr.MetaKeyL4PROTO)}, true
	case ruleset.SAddr4:
		return fieldInfo{datatype: typeIPAddr, needs: needIPv4, load: payload(network, 12, 4)}, true
	case ruleset.DAddr4:
		return fieldInfo{datatype: typeIPAddr, needs: needIPv4, load: payload(network, 16, 4)}, true
	case ruleset.SAddr6:
		return fieldInfo{datatype: typeIP6Addr, needs: needIPv6, load: payload(network, 8, 16)}, true
	case ruleset.DAddr6:
		return fieldInfo{datatype: typeIP6Addr, needs: needIPv6, load: payload(network, 24, 16)}, true
	case ruleset.SPort:
		return fieldInfo{datatype: typeInetService, load: payload(transport, 0, 2)}, true
	case ruleset.DPort:
		return fieldInfo{datatype: typeInetService, load: payload(transport, 2, 2)}, true
	case ruleset.TCPFlags:
		return fieldInfo{datatype: typeTCPFlag, needs: needTCP, load: payload(transport, 13, 1)}, true
	case ruleset.ICMPType:
		return fieldInfo{datatype: typeICMPType, needs: needICMP, load: payload(transport, 0, 1)}, true
	case ruleset.ICMPv6Type:
		return fieldInfo{datatype: typeICMPv6Type, needs: needICMPv6, load: payload(transport, 0, 1)}, true
	case ruleset.HopLimit:
		return fieldInfo{datatype: typeInteger, needs: needIPv6, load: payload(network, 7, 1)}, true
	case ruleset.CTState:
		return fieldInfo{datatype: typeCTState, host: true, load: func(r uint32) expr.Any {
			return &expr.Ct{Register: r, Key: expr.CtKeySTATE}
		}}, true
	case ruleset.CTStatus:
		return fieldInfo{datatype: typeCTStatus, host: true, load: func(r uint32) expr.Any {
			return &expr.Ct{Register: r, Key: expr.CtKeySTATUS}
		}}, true
	case ruleset.DAddrType:
		return fieldInfo{datatype: typeFibAddr, host: true, load: func(r uint32) expr.Any {
			return &expr.Fib{Register: r, FlagDADDR: true, ResultADDRTYPE: true}
		}}, true
	case ruleset.Packets:
		return fieldInfo{datatype: typeInteger, host: true, load: func(r uint32) expr.Any {
			return &expr.Ct{Register: r, Key: expr.CtKeyPKTS}
		}}, true
	}
	return fieldInfo{}, false
}

func meta(key expr.MetaKey) func(uint32) expr.Any {
	return func(r uint32) expr.Any { return &expr.Meta{Key: key, Register: r} }
}

func payload(base expr.PayloadBase, offset, length uint32) func(uint32) expr.Any {
	return func(r uint32) expr.Any {
		return &expr.Payload{DestRegister: r, Base: base, Offset: offset, Len: length}
	}
}

// padded is a field's room in a concatenation: registers hold four bytes.
func padded(f ruleset.Field) int { return (f.Len() + 3) &^ 3 }

// keyLen is the length of a set's key: concatenated fields fill registers, a
// single one has its own length.
func keyLen(fields []ruleset.Field) int {
	if len(fields) == 1 {
		return fields[0].Len()
	}
	n := 0
	for _, f := range fields {
		n += padded(f)
	}
	return n
}

// keyType packs nft's type numbers six bits each, as it does itself.
func keyType(fields []ruleset.Field) (uint32, error) {
	var t uint32
	for _, f := range fields {
		in, ok := info(f)
		if !ok {
			return 0, fmt.Errorf("field %d is unknown", f)
		}
		t = t<<6 | in.datatype
	}
	return t, nil
}

// nativeKey is an element's key as the kernel wants it: fields that it keeps
// in the machine's order are turned round, a single field loses its padding.
func nativeKey(fields []ruleset.Field, key string) (string, error) {
	want := 0
	turn := false
	for _, f := range fields {
		want += padded(f)
		in, _ := info(f)
		turn = turn || in.host
	}
	if len(key) != want {
		return "", fmt.Errorf("key of %d bytes where the fields need %d", len(key), want)
	}
	if turn {
		b := []byte(key)
		at := 0
		for _, f := range fields {
			if in, _ := info(f); in.host {
				copy(b[at:], native(b[at:at+f.Len()]))
			}
			at += padded(f)
		}
		key = string(b)
	}
	return key[:keyLen(fields)], nil
}

// native turns a big-endian number of 4 or 8 bytes into the machine's order.
func native(b []byte) []byte {
	out := make([]byte, len(b))
	switch len(b) {
	case 4:
		binary.NativeEndian.PutUint32(out, binary.BigEndian.Uint32(b))
	case 8:
		binary.NativeEndian.PutUint64(out, binary.BigEndian.Uint64(b))
	default:
		copy(out, b)
	}
	return out
}
