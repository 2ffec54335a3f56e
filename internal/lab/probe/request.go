package probe

import (
	"net/netip"
	"slices"
	"time"

	"github.com/netpol-project/netpol/internal/lab"
	"github.com/netpol-project/netpol/internal/lab/prober"
)

// pair is what one or more attempts are about: pods of the same workloads.
type pair struct {
	Source, Destination Peer
	IPv6                bool
	Port                Port
	Service             string // namespace/name, or empty
}

// door is where to knock for a port of a pod: at its own address, or at that
// of a Service.
type door struct {
	at      netip.AddrPort
	service string
}

// Request is what to ask a lab, and what the answers will be about.
type Request struct {
	pairs []pair // by task ID
	tasks map[string][]prober.Task
}

// Lab is the request as a lab takes it.
func (r *Request) Lab(timeout time.Duration) lab.ProbeRequest {
	return lab.ProbeRequest{Tasks: r.tasks, Timeout: timeout}
}

// Len is the number of attempts.
func (r *Request) Len() int { return len(r.pairs) }

// Plan lists the attempts that a selection asks for: from every pod of every
// source to every pod of every destination, save itself.
func Plan(pods []lab.PodStatus, s Selection) (*Request, error) {
	if err := s.check(pods); err != nil {
		return nil, err
	}
	r := &Request{tasks: map[string][]prober.Task{}}
	for i := range pods {
		for j := range pods {
			if i != j && s.picks(&pods[i], &pods[j]) {
				r.add(&pods[i], &pods[j], s)
			}
		}
	}
	return r, nil
}

// add puts the attempts between two pods on the list.
func (r *Request) add(from, to *lab.PodStatus, s Selection) {
	for _, v6 := range s.Families {
		source, destination := addr(from, v6), addr(to, v6)
		if !source.IsValid() || !destination.IsValid() {
			continue
		}
		for _, p := range s.ports(to) {
			if v6 && p.Protocol == prober.ICMP {
				p.Protocol = prober.ICMPv6
			}
			for _, d := range s.doors(netip.AddrPortFrom(destination, p.Port), p.Protocol) {
				task := prober.Task{ID: len(r.pairs), Protocol: p.Protocol, Source: source, Destination: d.at}
				id := from.Namespace + "/" + from.Name
				r.tasks[id] = append(r.tasks[id], task)
				r.pairs = append(r.pairs, pair{peer(from), peer(to), v6, p, d.service})
			}
		}
	}
}

// doors are the ways to a pod's port.
func (s *Selection) doors(pod netip.AddrPort, protocol string) []door {
	if s.Services == nil {
		return []door{{at: pod}}
	}
	var out []door
	for _, service := range s.Services {
		front := service.Addr(pod.Addr().Is6())
		for _, p := range service.Ports {
			if front.IsValid() && p.Protocol == protocol && slices.Contains(p.Endpoints, pod) {
				out = append(out, door{netip.AddrPortFrom(front, p.Port), service.ID()})
			}
		}
	}
	return out
}

func addr(p *lab.PodStatus, v6 bool) netip.Addr {
	for _, a := range p.Addrs {
		if a.Is6() == v6 {
			return a
		}
	}
	return netip.Addr{}
}

func peer(p *lab.PodStatus) Peer {
	return Peer{Namespace: p.Namespace, Workload: p.Workload.Name, Kind: p.Workload.Kind}
}
