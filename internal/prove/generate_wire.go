package prove

import (
	"github.com/netpol-project/netpol/pkg/policy"
)

// wire draws a protocol with what a rule can ask about in it.
func (g gen) wire() Wire {
	v := Wire{Protocol: pick(g, Protocols)}
	if policy.Protocol(v.Protocol).HasTypes() {
		v.Port = pick(g, icmpTypes)<<8 | pick(g, []int{0, 1, 0, 255, 7})
		return v
	}
	v.Port, v.SourcePort = pick(g, Ports), pick(g, sourcePorts)
	if g.eighths(3) {
		v.Port = pick(g, declaredPorts)
	}
	return v
}
