package prove

import (
	"net/netip"
	"slices"
)

// hostAddrs are the node's own addresses.
var hostAddrs = addresses("10.255.0.1", "fd00:ffff::1")

func (a *Account) id() string      { return a.Namespace + "/" + a.Name }
func (s *Service) id() string      { return s.Namespace + "/" + s.Name }
func (s *Set) id() string          { return s.Namespace + "/" + s.Name }
func (h *HostEndpoint) id() string { return h.Name }

// accounts writes down most of the accounts that pods name.
func (g gen) accounts(w *World) {
	for _, ns := range w.Namespaces {
		for _, name := range accountNames {
			if g.eighths(6) {
				w.Accounts = append(w.Accounts, &Account{Namespace: ns.Name, Name: name, Labels: g.labels(accountKeys)})
			}
		}
	}
}

func (g gen) account(w *World) *Account {
	return &Account{Namespace: pick(g, w.Namespaces).Name, Name: pick(g, accountNames), Labels: g.labels(accountKeys)}
}

// peers draws services, network sets and host endpoints.
func (g gen) peers(w *World) {
	for range g.between(0, 4) {
		w.Sets = changedOnce(w.Sets, g.set(w), (*Set).id)
	}
	for range g.between(0, 3) {
		w.Services = changedOnce(w.Services, g.service(w), (*Service).id)
	}
	for range g.between(0, 2) {
		w.HostEndpoints = changedOnce(w.HostEndpoints, g.hostEndpoint(w), (*HostEndpoint).id)
	}
}

// changedOnce adds what has a name that is free.
func changedOnce[E any](list []E, next E, id func(E) string) []E {
	if slices.ContainsFunc(list, func(e E) bool { return id(e) == id(next) }) {
		return list
	}
	return append(list, next)
}

// containers declare ports; names come more than once, with several protocols
// and numbers.
func (g gen) containers() []Container {
	var out []Container
	for range pick(g, []int{1, 0, 2, 1, 2, 3}) {
		c := Container{Role: pick(g, []Role{RoleMain, RoleMain, RoleSidecar, RoleInit})}
		for range g.between(0, 3) {
			p := g.containerPort()
			if !slices.ContainsFunc(c.Ports, func(o ContainerPort) bool { return o.Name == p.Name }) {
				c.Ports = append(c.Ports, p)
			}
		}
		out = append(out, c)
	}
	return out
}

func (g gen) containerPort() ContainerPort {
	return ContainerPort{Name: pick(g, portNamePool), Protocol: pick(g, []string{"", "TCP", "", "UDP", "SCTP", "TCP"}), Number: pick(g, declaredPorts)}
}

// addr4s and addr6s are single addresses that sets and slices name: of pods,
// of the node, outside.
func (g gen) addrs(w *World) []netip.Addr {
	pool := [2][]netip.Addr{}
	for _, a := range append(append([]netip.Addr(nil), Outside...), hostAddrs...) {
		pool[family(a)] = append(pool[family(a)], a)
	}
	for _, p := range w.Pods {
		for _, a := range p.Addrs {
			pool[family(a)] = append(pool[family(a)], a, a)
		}
	}
	from := pool[pick(g, []int{0, 1, 0})]
	var out []netip.Addr
	for range g.between(1, 3) {
		if a := pick(g, from); !slices.Contains(out, a) {
			out = append(out, a)
		}
	}
	return out
}

func family(a netip.Addr) int {
	if a.Is4() {
		return 0
	}
	return 1
}

// set draws a network set, which may hold nets of both families.
func (g gen) set(w *World) *Set {
	s := &Set{Name: pick(g, []string{"n", "m", "o"}), Labels: g.labels(podKeys)}
	if g.eighths(4) {
		s.Namespace = pick(g, w.Namespaces).Name
	}
	for range g.between(1, 4) {
		next := pick(g, append(append([]netip.Prefix(nil), nets4...), nets6...))
		if g.eighths(3) {
			a := g.addrs(w)[0]
			next = netip.PrefixFrom(a, a.BitLen())
		}
		if !slices.Contains(s.Nets, next) {
			s.Nets = append(s.Nets, next)
		}
	}
	return s
}

func (g gen) hostEndpoint(w *World) *HostEndpoint {
	h := &HostEndpoint{Name: pick(g, []string{"h", "h-a"}), Labels: g.labels(podKeys)}
	if g.eighths(7) {
		h.Addrs = g.addrs(w)
	}
	return h
}

// service draws a Service with a selector, with slices, or with both. Most
// selectors match some pod, and most names are of its ports.
func (g gen) service(w *World) *Service {
	s := &Service{Namespace: pick(g, w.Namespaces).Name, Name: pick(g, serviceNames)}
	declared := ContainerPort{Name: pick(g, portNamePool), Protocol: pick(g, []string{"", "TCP", "UDP", "SCTP"})}
	if g.eighths(6) {
		s.Selector = map[string]string{pick(g, podKeys): pick(g, labelValues)}
		p, key := pick(g, w.Pods), pick(g, podKeys)
		if value, has := p.Labels[key]; has && g.eighths(6) {
			s.Namespace, s.Selector = p.Namespace, map[string]string{key: value}
			if ports := p.ports(); len(ports) > 0 {
				declared = pick(g, ports)
			}
		}
	}
	names := []string{"one", "two"}
	for i := range g.between(1, 2) {
		p := ServicePort{Name: names[i], Protocol: declared.Protocol, Port: pick(g, declaredPorts)}
		switch pick(g, []string{"name", "number", "same", "name"}) {
		case "number":
			p.Target = pick(g, declaredPorts)
		case "name":
			p.TargetName = declared.Name
		}
		s.Ports = append(s.Ports, p)
		declared = ContainerPort{Name: pick(g, portNamePool), Protocol: pick(g, []string{"", "TCP", "UDP", "SCTP"})}
	}
	if s.Selector == nil || g.eighths(2) {
		s.Legacy = g.eighths(2)
		for range g.between(1, 2) {
			s.Slices = append(s.Slices, g.slice(w))
		}
	}
	return s
}

func (g gen) slice(w *World) Slice {
	s := Slice{Addrs: g.addrs(w), Ready: g.eighths(6)}
	for i := range g.between(1, 2) {
		s.Ports = append(s.Ports, ContainerPort{
			Name: []string{"one", "two"}[i], Protocol: pick(g, []string{"TCP", "UDP", "SCTP"}), Number: pick(g, declaredPorts),
		})
	}
	return s
}
