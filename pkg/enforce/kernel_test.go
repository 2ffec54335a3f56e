//go:build linux

package enforce_test

import (
	"encoding/binary"
	"net/netip"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// ourTable is the agent's table, as another process sees it.
var ourTable = &nftables.Table{Name: "netpol", Family: nftables.TableFamilyINet}

func (n *node) nft() *nftables.Conn {
	n.t.Helper()
	conn, err := nftables.New()
	n.must(err)
	return conn
}

// dropped counts the packets that the counted rules of a chain have met; a
// rebuild of the table gives its chains other names. With set, only rules that
// look into a set whose name begins so count.
func (n *node) dropped(chain, set string) (packets uint64) {
	n.t.Helper()
	conn := n.nft()
	chains, err := conn.ListChainsOfTableFamily(nftables.TableFamilyINet)
	n.must(err)
	for _, c := range chains {
		if name, _, _ := strings.Cut(c.Name, ".g"); c.Table.Name != ourTable.Name || name != chain {
			continue
		}
		rules, err := conn.GetRules(c.Table, c)
		n.must(err)
		for _, r := range rules {
			hit, count := set == "", uint64(0)
			for _, e := range r.Exprs {
				switch e := e.(type) {
				case *expr.Lookup:
					hit = hit || strings.HasPrefix(e.SetName, set)
				case *expr.Counter:
					count = e.Packets
				}
			}
			if hit {
				packets += count
			}
		}
	}
	return packets
}

// cutPackets counts what the cut sets have dropped.
func (n *node) cutPackets() uint64 {
	n.t.Helper()
	return n.dropped("egress", "cut") + n.dropped("host-pod", "cut")
}

// translate gives a TCP service address to a pod's port, as kube-proxy does:
// translated on the way in, and a pod that reaches itself so gets the node's
// address as its source.
func (n *node) translate(service, end netip.AddrPort) {
	n.t.Helper()
	conn := n.nft()
	table := conn.AddTable(&nftables.Table{Name: "services", Family: nftables.TableFamilyINet})
	pre := conn.AddChain(&nftables.Chain{
		Name: "prerouting", Table: table, Type: nftables.ChainTypeNAT,
		Hooknum: nftables.ChainHookPrerouting, Priority: nftables.ChainPriorityNATDest,
	})
	post := conn.AddChain(&nftables.Chain{
		Name: "postrouting", Table: table, Type: nftables.ChainTypeNAT,
		Hooknum: nftables.ChainHookPostrouting, Priority: nftables.ChainPriorityNATSource,
	})
	i, family := 0, uint32(unix.NFPROTO_IPV4)
	if end.Addr().Is6() {
		i, family = 1, unix.NFPROTO_IPV6
	}
	conn.AddRule(&nftables.Rule{Table: table, Chain: pre, Exprs: append(append(
		address(service.Addr(), false), tcpTo(service.Port())...),
		&expr.Immediate{Register: 1, Data: end.Addr().AsSlice()},
		&expr.Immediate{Register: 2, Data: binary.BigEndian.AppendUint16(nil, end.Port())},
		&expr.NAT{Type: expr.NATTypeDestNAT, Family: family, RegAddrMin: 1, RegProtoMin: 2, Specified: true},
	)})
	conn.AddRule(&nftables.Rule{Table: table, Chain: post, Exprs: append(append(
		address(end.Addr(), true), address(end.Addr(), false)...),
		&expr.Immediate{Register: 1, Data: hostAddrs[i].AsSlice()},
		&expr.NAT{Type: expr.NATTypeSourceNAT, Family: family, RegAddrMin: 1},
	)})
	n.must(conn.Flush())
}

// address matches packets from or to an address.
func address(a netip.Addr, source bool) []expr.Any {
	family, offset, length := byte(unix.NFPROTO_IPV4), uint32(16), uint32(4)
	if a.Is6() {
		family, offset, length = unix.NFPROTO_IPV6, 24, 16
	}
	if source {
		offset -= length
	}
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: 1},
		&expr.Cmp{Register: 1, Data: []byte{family}},
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: length},
		&expr.Cmp{Register: 1, Data: a.AsSlice()},
	}
}

func tcpTo(port uint16) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
		&expr.Cmp{Register: 1, Data: []byte{unix.IPPROTO_TCP}},
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
		&expr.Cmp{Register: 1, Data: binary.BigEndian.AppendUint16(nil, port)},
	}
}

// cutElements is how many tuples are refused now.
func (n *node) cutElements() (count int) {
	n.t.Helper()
	for _, name := range []string{"cut4", "cut6"} {
		conn := n.nft()
		set, err := conn.GetSetByName(ourTable, name)
		n.must(err)
		elements, err := conn.GetSetElements(set)
		n.must(err)
		count += len(elements)
	}
	return count
}
