//go:build linux

package enforce

import (
	"net/netip"

	"github.com/netpol-project/netpol/pkg/enforce/collect"
	"github.com/netpol-project/netpol/pkg/policy"
)

// tuple is a connection as the forward hook sees it (destination translated,
// source not yet), with the destination that the client dialled.
type tuple struct {
	protocol policy.Protocol
	src, dst netip.Addr
	// ICMP's are as in collect.Connection.Forward.
	srcPort, dstPort uint16
	dialled          netip.AddrPort // zero: not known
}

func (t *tuple) source() source { return source{t.protocol, t.src, t.srcPort} }

// icmp tells whether types stand where other protocols have ports.
func (t *tuple) icmp() bool { return t.protocol.HasTypes() }

// vague tells whether the model may have judged by another source port than the
// kernel: it takes 0 for one that is not known.
func (t *tuple) vague() bool { return t.srcPort == 0 && t.protocol.HasPorts() }

func tupleOf(c *collect.Connection) tuple {
	f := c.Forward()
	t := tuple{
		protocol: policy.Protocol(c.Protocol), src: f.Src.Unmap(), dst: f.Dst.Unmap(), srcPort: f.SrcPort, dstPort: f.DstPort,
	}
	if c.Original.Dst != c.Reply.Src || c.Original.DstPort != c.Reply.SrcPort {
		t.dialled = netip.AddrPortFrom(c.Original.Dst.Unmap(), c.Original.DstPort)
	}
	return t
}

func tupleOfPacket(p *collect.Packet) tuple {
	return tuple{protocol: policy.Protocol(p.Protocol), src: p.Src.Unmap(), dst: p.Dst.Unmap(), srcPort: p.SrcPort, dstPort: p.DstPort}
}
