package flow

import "github.com/netpol-project/netpol/pkg/policy"

// PortText is a protocol with its port, as people read it: TCP/80; of ICMP the
// type, and the code where that is not 0 (ICMP/8, ICMP/3:4). The protocol
// stands alone where it has no ports, and where an ICMP type is not known.
func PortText(p policy.Protocol, port uint16) string {
	text := policy.PortText(p, port)
	if text == "" || p.HasTypes() && port == 0 {
		return p.String()
	}
	return p.String() + "/" + text
}

// ICMP is the type and code of an ICMP message, in JSON beside a port that is
// 0.
type ICMP struct {
	Type uint8 `json:"type"`
	Code uint8 `json:"code"`
}

// Port is where something goes, as JSON has it.
type Port struct {
	Protocol string `json:"protocol"`
	Port     uint16 `json:"port"` // 0 where the protocol has none
	ICMP     *ICMP  `json:"icmp,omitempty"`
}

// NewPort is a Key's protocol and port.
func NewPort(p policy.Protocol, port uint16) Port {
	out := Port{Protocol: p.String(), Port: port}
	if p.HasTypes() {
		out.Port = 0
		if typ, code := policy.ICMPTypeCode(port); port != 0 {
			out.ICMP = &ICMP{Type: typ, Code: code}
		}
	}
	return out
}

// Text is PortText of it.
func (p Port) Text() string {
	proto, _ := ParseProtocol(p.Protocol)
	if p.ICMP != nil {
		return PortText(proto, policy.ICMPPort(p.ICMP.Type, p.ICMP.Code))
	}
	return PortText(proto, p.Port)
}
