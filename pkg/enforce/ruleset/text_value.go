package ruleset

import (
	"encoding/binary"
	"net/netip"
	"strconv"
	"strings"
)

var fieldNames = [...]string{
	IIFName: "iifname", OIFName: "oifname", NFProto: "meta nfproto", L4Proto: "meta l4proto",
	SAddr4: "ip saddr", DAddr4: "ip daddr", SAddr6: "ip6 saddr", DAddr6: "ip6 daddr",
	SPort: "th sport", DPort: "th dport", TCPFlags: "tcp flags", ICMPType: "icmp type",
	ICMPv6Type: "icmpv6 type", HopLimit: "ip6 hoplimit", CTState: "ct state",
	DAddrType: "fib daddr type", Packets: "ct packets", CTStatus: "ct status",
	IIFKind: "meta iifkind", OIFKind: "meta oifkind",
}

var fieldTypes = [...]string{
	IIFName: "ifname", OIFName: "ifname", NFProto: "nf_proto", L4Proto: "inet_proto",
	SAddr4: "ipv4_addr", DAddr4: "ipv4_addr", SAddr6: "ipv6_addr", DAddr6: "ipv6_addr",
	SPort: "inet_service", DPort: "inet_service", TCPFlags: "tcp_flag", ICMPType: "icmp_type",
	ICMPv6Type: "icmpv6_type", HopLimit: "integer", CTState: "ct_state",
	DAddrType: "fib_addrtype", Packets: "integer", CTStatus: "ct_status",
	IIFKind: "ifname", OIFKind: "ifname",
}

func concat(fields []Field, names []string) string {
	parts := make([]string, len(fields))
	for i, f := range fields {
		parts[i] = names[f]
	}
	return strings.Join(parts, " . ")
}

func valueText(f Field, v []byte) string {
	switch f {
	case IIFName, OIFName, IIFKind, OIFKind:
		return `"` + strings.TrimRight(string(v), "\x00") + `"`
	case NFProto:
		if v[0] == families[0].nfproto {
			return "ipv4"
		}
		return "ipv6"
	case L4Proto:
		if n, ok := protocolNames[v[0]]; ok {
			return n
		}
	case SAddr4, DAddr4, SAddr6, DAddr6:
		a, _ := netip.AddrFromSlice(v)
		return a.String()
	case TCPFlags:
		return flagsText(uint32(v[0]), "|", tcpFlagNames)
	case CTState:
		return flagsText(binary.BigEndian.Uint32(v), ",", stateNames)
	case CTStatus:
		return flagsText(binary.BigEndian.Uint32(v), ",", statusNames)
	case DAddrType:
		if binary.BigEndian.Uint32(v) == rtnLocal {
			return "local"
		}
	}
	n := uint64(0)
	for _, b := range v {
		n = n<<8 | uint64(b)
	}
	return strconv.FormatUint(n, 10)
}

var protocolNames = map[byte]string{1: "icmp", 6: "tcp", 17: "udp", 58: "ipv6-icmp", 132: "sctp", 136: "udplite"}

type bitName struct {
	bit  uint32
	name string
}

var (
	stateNames = []bitName{{StateInvalid, "invalid"}, {StateEstablished, "established"},
		{StateRelated, "related"}, {StateNew, "new"}, {StateUntracked, "untracked"}}
	statusNames  = []bitName{{StatusConfirmed, "confirmed"}}
	tcpFlagNames = []bitName{{tcpFIN, "fin"}, {tcpSYN, "syn"}, {tcpRST, "rst"}, {tcpACK, "ack"}}
)

func flagsText(v uint32, sep string, names []bitName) string {
	var parts []string
	for _, n := range names {
		if v&n.bit != 0 {
			parts = append(parts, n.name)
		}
	}
	text := strings.Join(parts, sep)
	if sep == "|" && len(parts) > 1 {
		return "(" + text + ")"
	}
	return text
}
