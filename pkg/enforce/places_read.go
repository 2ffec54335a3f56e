//go:build linux

package enforce

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// readTries is how often the kernel is asked again at once when what it was
// listing changed meanwhile.
const readTries = 10

// read asks the kernel.
func (f finder) read() (p *places, err error) {
	for range readTries {
		if p, err = f.list(); !errors.Is(err, netlink.ErrDumpInterrupted) {
			break
		}
	}
	return p, err
}

// listing is what was read of the kernel.
type listing struct {
	finder
	*places
	links map[int]*seen
}

// seen is what is known of one interface.
type seen struct {
	name, kind string
	master     int
	// nets are the networks on it without a gateway; addrs those addresses
	// with a route of their own.
	nets  []netip.Prefix
	addrs []netip.Addr
	// subnet: it has an address in a network; gateway: others are reached
	// through it.
	subnet, gateway bool
	// holds are its addresses, fixed those networks that somebody gave it.
	holds []netip.Addr
	fixed []netip.Prefix
}

func (f finder) list() (*places, error) {
	l := &listing{finder: f, links: map[int]*seen{}, places: &places{
		interfaces: map[netip.Addr]string{}, own: map[netip.Addr]bool{}, holders: map[netip.Addr][]holder{},
	}}
	links, err := netlink.LinkList()
	if err != nil {
		return nil, fmt.Errorf("list interfaces: %w", err)
	}
	for _, link := range links {
		a := link.Attrs()
		l.links[a.Index] = &seen{name: a.Name, kind: link.Type(), master: a.MasterIndex}
	}
	addrs, err := netlink.AddrList(nil, netlink.FAMILY_ALL)
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	for _, a := range addrs {
		l.addAddr(&a)
	}
	filter := &netlink.Route{Table: unix.RT_TABLE_MAIN}
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		routes, err := netlink.RouteListFiltered(family, filter, netlink.RT_FILTER_TABLE)
		if err != nil {
			return nil, fmt.Errorf("list routes: %w", err)
		}
		for _, r := range routes {
			l.addRoute(&r)
		}
	}
	l.conclude()
	return l.places, nil
}

// conclude says what each interface is.
func (l *listing) conclude() {
	foreign := map[int]bool{} // bridges with ports that are no pods'
	for _, s := range l.links {
		if s.master != 0 && !isPodKind(s.kind) {
			foreign[s.master] = true
		}
	}
	used := false
	var contested []*seen
	// In one order, or the same would look like a change when it is read again.
	for _, index := range slices.Sorted(maps.Keys(l.links)) {
		s := l.links[index]
		routed := s.gateway || s.subnet || len(s.nets) > 0
		if l.byKind() {
			l.hold(s, s.gateway || routed && s.kind != "bridge")
		}
		switch {
		case !l.byKind():
			if l.named(s.name) {
				l.lead(s)
				if s.master != 0 {
					l.bridged = append(l.bridged, s.name)
				}
			}
		case s.kind == "bridge" && foreign[index]:
			l.node = append(l.node, s.name)
		case s.kind == "bridge":
			used = true
			l.bridge(s)
		case isPodKind(s.kind) && routed:
			// The node's, but for a pod that it leads to.
			l.node = append(l.node, s.name)
			if s.master == 0 {
				contested = append(contested, s)
			}
		case routed, s.master != 0, s.name == "lo":
		default:
			l.lead(s)
		}
	}
	for _, s := range contested {
		for _, a := range s.addrs {
			if l.interfaces[a] == "" {
				l.interfaces[a] = s.name
			}
		}
	}
	l.deaf = used && !bridgesCallHooks()
	slices.Sort(l.node)
	slices.Sort(l.bridged)
	slices.SortFunc(l.bridges, func(a, b bridgeNet) int {
		return cmp.Or(b.net.Bits()-a.net.Bits(), a.net.Compare(b.net), cmp.Compare(a.name, b.name))
	})
}

// lead notes that addresses are behind an interface.
func (l *listing) lead(s *seen) {
	for _, a := range s.addrs {
		l.interfaces[a] = s.name
	}
}

// bridge notes what is behind a bridge.
func (l *listing) bridge(s *seen) {
	for _, n := range s.nets {
		l.bridges = append(l.bridges, bridgeNet{n, s.name})
	}
	for _, a := range s.addrs {
		l.bridges = append(l.bridges, bridgeNet{netip.PrefixFrom(a, a.BitLen()), s.name})
	}
}

// hold notes which addresses an interface has.
func (l *listing) hold(s *seen, routed bool) {
	for _, a := range s.holds {
		l.holders[a] = append(l.holders[a], holder{s.name, s.leadsPods(), routed, len(s.addrs) > 0})
	}
}

// bridgesCallHooks says whether bridged packets pass the hooks of IPv4 and of
// IPv6, as they do with br_netfilter.
func bridgesCallHooks() bool {
	for _, file := range []string{"bridge-nf-call-iptables", "bridge-nf-call-ip6tables"} {
		b, err := os.ReadFile("/proc/sys/net/bridge/" + file)
		if err != nil || strings.TrimSpace(string(b)) != "1" {
			return false
		}
	}
	return true
}
