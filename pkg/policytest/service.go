package policytest

import (
	"fmt"
	"slices"

	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

// translated are the questions to what is behind a Service: its ports become
// those that they lead to.
func (p *pair) translated(to tier.Peer) ([]question, error) {
	svc := p.to.service
	ports, err := p.servicePorts(svc)
	if err != nil {
		return nil, err
	}
	var out []question
	for _, sp := range ports {
		for _, port := range behind(svc, sp, to) {
			out = append(out, question{sp.Protocol, policy.PortRange{Min: port, Max: port}})
		}
	}
	slices.SortFunc(out, question.compare)
	return slices.Compact(out), nil
}

// servicePorts are the ports of a Service that are meant: those of the case, or
// all of its protocol.
func (p *pair) servicePorts(svc *policy.Service) ([]*policy.ServicePort, error) {
	var out []*policy.ServicePort
	take := func(fits func(*policy.ServicePort) bool) bool {
		found := false
		for i := range svc.Ports {
			if sp := &svc.Ports[i]; (p.protocol == 0 || sp.Protocol == p.protocol) && fits(sp) {
				out, found = append(out, sp), true
			}
		}
		return found
	}
	for _, want := range p.ports {
		text := want.Name
		if text == "" {
			text = want.Range.String()
		}
		if !take(func(sp *policy.ServicePort) bool {
			if want.Name != "" {
				return sp.Name == want.Name
			}
			return want.Range.Contains(sp.Port)
		}) {
			return nil, fmt.Errorf("%s has no port %s%s", p.to.name, text, of(p.protocol))
		}
	}
	if len(p.ports) == 0 && !take(func(*policy.ServicePort) bool { return true }) {
		return nil, fmt.Errorf("%s has no port%s", p.to.name, of(p.protocol))
	}
	return out, nil
}

// behind are the ports that a Service's port leads to at one of its ends.
func behind(svc *policy.Service, sp *policy.ServicePort, to tier.Peer) []uint16 {
	var out []uint16
	for _, b := range svc.Backends {
		for _, bp := range b.Ports {
			if b.Addr == to.Addr && bp.Protocol == sp.Protocol && (bp.Name == sp.Name || len(svc.Ports) == 1) {
				out = append(out, bp.Port)
			}
		}
	}
	if to.Endpoint != nil && !to.Addr.IsValid() {
		if port := sp.TargetPortOf(to.Endpoint); port != 0 {
			out = append(out, port)
		}
	}
	return out
}
