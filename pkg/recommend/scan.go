package recommend

import (
	"fmt"

	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
)

// What looks like a scan: so many ports of one destination, or destinations at
// one port, each tried at most scanTries times, and none at a port that the
// destination's containers declare.
const (
	scanPorts = 20
	scanHosts = 50
	scanTries = 2
)

// scanKey is one source, and one destination or one port.
type scanKey struct {
	source, destination flow.Peer
	protocol            policy.Protocol
	port                uint16
}

// findScans are the flows that belong to a scan, and what it is.
func findScans(labels *labeler, observed []flow.Observed) map[*flow.Observed]string {
	ports, hosts := map[scanKey][]*flow.Observed{}, map[scanKey][]*flow.Observed{}
	for i := range observed {
		o := &observed[i]
		if o.Connections > scanTries || o.Source.Kind == flow.PeerHost || labels.declares(o) {
			continue
		}
		if o.Protocol.HasPorts() {
			k := scanKey{source: o.Source, destination: o.Destination, protocol: o.Protocol}
			ports[k] = append(ports[k], o)
		}
		// A browser or a mirror has many peers at 443.
		if o.Destination.Kind == flow.PeerWorkload || o.Protocol != policy.TCP || o.Port != 443 {
			k := scanKey{source: o.Source, protocol: o.Protocol, port: o.Port}
			hosts[k] = append(hosts[k], o)
		}
	}
	out := map[*flow.Observed]string{}
	for k, list := range hosts {
		if len(list) >= scanHosts {
			mark(out, list, fmt.Sprintf("a scan: %s tried %d hosts at %s, none more than twice", k.source, len(list), flow.PortText(k.protocol, k.port)))
		}
	}
	for k, list := range ports {
		if len(list) >= scanPorts {
			mark(out, list, fmt.Sprintf("a scan: %s tried %d ports of %s, none more than twice", k.source, len(list), k.destination))
		}
	}
	return out
}

func mark(out map[*flow.Observed]string, list []*flow.Observed, what string) {
	for _, o := range list {
		out[o] = what
	}
}

// declares says whether the destination's containers declare the port.
func (l *labeler) declares(o *flow.Observed) bool {
	if o.Destination.Kind != flow.PeerWorkload {
		return false
	}
	for _, ep := range l.rp.Endpoints(o.Destination.Workload) {
		for _, p := range ep.Ports {
			if p.Protocol == o.Protocol && p.Port == o.Port {
				return true
			}
		}
	}
	return false
}
