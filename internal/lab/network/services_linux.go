package network

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"github.com/netpol-project/netpol/internal/lab/plan"
)

// TableName is the lab's own table, of family inet.
const TableName = "netpol-lab"

// programServices translates Service addresses and node ports to pods. A pod
// is picked at random for each connection. A connection that leads a pod back
// to itself gets the node's source address, so that the answer comes back the
// same way.
func programServices(p *plan.Plan, ipv6 bool) error {
	conn, err := nftables.New()
	if err != nil {
		return fmt.Errorf("open nftables: %w", err)
	}
	table := conn.AddTable(&nftables.Table{Name: TableName, Family: nftables.TableFamilyINet})
	services := conn.AddChain(&nftables.Chain{Name: "services", Table: table})
	base := func(name string, hook *nftables.ChainHook, priority *nftables.ChainPriority) *nftables.Chain {
		return conn.AddChain(&nftables.Chain{Name: name, Table: table, Type: nftables.ChainTypeNAT, Hooknum: hook, Priority: priority})
	}
	for _, c := range []*nftables.Chain{
		base("prerouting", nftables.ChainHookPrerouting, nftables.ChainPriorityNATDest),
		base("output", nftables.ChainHookOutput, nftables.ChainPriorityNATDest),
	} {
		conn.AddRule(&nftables.Rule{Table: table, Chain: c, Exprs: []expr.Any{
			&expr.Verdict{Kind: expr.VerdictJump, Chain: services.Name},
		}})
	}
	add := func(chain *nftables.Chain, exprs []expr.Any) {
		conn.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: exprs})
	}
	for _, s := range p.Services {
		for _, port := range s.Ports {
			for _, f := range frontends(p, s, port) {
				for _, exprs := range translate(f, port) {
					add(services, exprs)
				}
			}
		}
	}
	postrouting := base("postrouting", nftables.ChainHookPostrouting, nftables.ChainPriorityNATSource)
	for _, pod := range p.Pods {
		for _, a := range pod.Addrs {
			add(postrouting, hairpin(a, nodeAddr(p, a.Is6())))
		}
	}
	if err := conn.Flush(); err != nil {
		return fmt.Errorf("program Service addresses: %w", err)
	}
	return nil
}

func nodeAddr(p *plan.Plan, v6 bool) netip.Addr {
	for _, a := range p.Node.Addrs {
		if a.Is6() == v6 {
			return a
		}
	}
	return netip.Addr{}
}

// frontends are where a Service's port can be reached.
func frontends(p *plan.Plan, s plan.Service, port plan.ServicePort) []netip.AddrPort {
	var out []netip.AddrPort
	for _, a := range s.Addrs {
		out = append(out, netip.AddrPortFrom(a, port.Port))
		if port.NodePort != 0 {
			if node := nodeAddr(p, a.Is6()); node.IsValid() {
				out = append(out, netip.AddrPortFrom(node, port.NodePort))
			}
		}
	}
	return out
}

// translate makes a rule for each pod behind a frontend: the first of n takes
// every n-th connection, the next one every (n-1)-th of what is left, …
func translate(front netip.AddrPort, port plan.ServicePort) [][]expr.Any {
	var ends []netip.AddrPort
	for _, e := range port.Endpoints {
		if e.Addr().Is6() == front.Addr().Is6() {
			ends = append(ends, e)
		}
	}
	var out [][]expr.Any
	for i, e := range ends {
		exprs := append(matchAddr(front.Addr(), false), matchPort(port.Protocol, front.Port())...)
		if left := len(ends) - i; left > 1 {
			exprs = append(exprs,
				&expr.Numgen{Register: 1, Modulus: uint32(left), Type: unix.NFT_NG_RANDOM},
				&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{0, 0, 0, 0}})
		}
		out = append(out, append(exprs,
			&expr.Immediate{Register: 1, Data: e.Addr().AsSlice()},
			&expr.Immediate{Register: 2, Data: be16(e.Port())},
			&expr.NAT{Type: expr.NATTypeDestNAT, Family: family(e.Addr()), RegAddrMin: 1, RegProtoMin: 2, Specified: true}))
	}
	return out
}

// hairpin gives a connection from a pod to itself the node's address.
func hairpin(pod, node netip.Addr) []expr.Any {
	return append(append(matchAddr(pod, true), matchAddr(pod, false)...),
		&expr.Immediate{Register: 1, Data: node.AsSlice()},
		&expr.NAT{Type: expr.NATTypeSourceNAT, Family: family(node), RegAddrMin: 1})
}

// matchAddr compares the source or destination address.
func matchAddr(a netip.Addr, source bool) []expr.Any {
	offset, length := uint32(16), uint32(4)
	if a.Is6() {
		offset, length = 24, 16
	}
	if source {
		offset -= length
	}
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{byte(family(a))}},
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: length},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: a.AsSlice()},
	}
}

// matchPort compares the protocol and the destination port.
func matchPort(protocol string, port uint16) []expr.Any {
	number := byte(unix.IPPROTO_TCP)
	switch protocol {
	case plan.UDP:
		number = unix.IPPROTO_UDP
	case "SCTP":
		number = unix.IPPROTO_SCTP
	}
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{number}},
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: be16(port)},
	}
}

func family(a netip.Addr) uint32 {
	if a.Is6() {
		return unix.NFPROTO_IPV6
	}
	return unix.NFPROTO_IPV4
}

func be16(n uint16) []byte { return binary.BigEndian.AppendUint16(nil, n) }
