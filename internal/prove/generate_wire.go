package prove

import (
	"cmp"

	"github.com/netpol-project/netpol/pkg/policy"
)

// wire draws a protocol with what a rule can ask about in it: for the most
// part something that the world speaks of.
func (g gen) wire(w *World) Wire {
	if spoken := g.spoken(w); len(spoken) > 0 && g.eighths(5) {
		v := pick(g, spoken)
		switch {
		case policy.Protocol(v.Protocol).HasTypes():
		case v.Port == 0:
			v.Port = pick(g, declaredPorts)
		case v.SourcePort == 0:
			v.SourcePort = pick(g, sourcePorts)
		}
		return v
	}
	v := Wire{Protocol: pick(g, Protocols)}
	if policy.Protocol(v.Protocol).HasTypes() {
		v.Port = pick(g, typesOf(v.Protocol))<<8 | pick(g, icmpCodes)
		return v
	}
	v.Port, v.SourcePort = pick(g, Ports), pick(g, sourcePorts)
	return v
}

// spoken are the wires that the world names: declared ports, as destination
// and as source, ports of services and rules, ICMP messages.
func (g gen) spoken(w *World) []Wire {
	var out []Wire
	for _, p := range w.Endpoints() {
		for _, c := range p.Containers {
			for _, port := range c.Ports {
				out = append(out, Wire{port.protocol(), port.Number, 0}, Wire{port.protocol(), 0, port.Number})
			}
		}
	}
	for _, s := range w.Services {
		for _, slice := range s.Slices {
			for _, port := range slice.Ports {
				out = append(out, Wire{port.protocol(), port.Number, 0})
			}
		}
		for _, port := range s.Ports {
			if port.TargetName == "" {
				out = append(out, Wire{numbers[cmp.Or(port.Protocol, "TCP")], cmp.Or(port.Target, port.Port), 0})
			}
		}
	}
	for _, p := range w.Policies {
		for _, r := range append(append([]Rule(nil), p.Ingress...), p.Egress...) {
			out = append(out, g.spokenBy(r)...)
		}
		if p.Kube == nil {
			continue
		}
		for _, r := range append(append([]KubeRule(nil), p.Kube.Ingress...), p.Kube.Egress...) {
			for _, k := range r.Ports {
				if k.Port != 0 {
					proto := numbers[cmp.Or(k.Protocol, "TCP")]
					out = append(out, Wire{proto, k.Port, 0}, Wire{proto, max(k.Port, k.EndPort), 0})
				}
			}
		}
	}
	return out
}

func (g gen) spokenBy(r Rule) []Wire {
	var out []Wire
	for _, i := range []*ICMP{r.ICMP, r.NotICMP} {
		if i != nil {
			out = append(out, Wire{r.Protocol.number(), i.Type<<8 | max(i.Code, 0), 0}, Wire{r.Protocol.number(), i.Type<<8 | pick(g, icmpCodes), 0})
		}
	}
	if r.Protocol == nil || !hasPorts(r.Protocol.number()) {
		return out
	}
	for _, port := range append(append([]Port(nil), r.Destination.Ports...), r.Destination.NotPorts...) {
		if port.Name == "" {
			out = append(out, Wire{r.Protocol.number(), port.Min, 0}, Wire{r.Protocol.number(), port.Max, 0})
		}
	}
	for _, port := range append(append([]Port(nil), r.Source.Ports...), r.Source.NotPorts...) {
		if port.Name == "" {
			out = append(out, Wire{r.Protocol.number(), 0, port.Min}, Wire{r.Protocol.number(), 0, port.Max})
		}
	}
	return out
}

// hasPorts says whether the protocol's packets begin with two ports.
func hasPorts(proto int) bool {
	return policy.Protocol(proto).HasPorts() || policy.Protocol(proto) == policy.UDPLite
}
