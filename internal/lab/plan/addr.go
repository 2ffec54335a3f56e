package plan

import (
	"fmt"
	"hash/fnv"
	"net/netip"
)

// The addresses of a lab. Every lab has its own network namespaces, so all
// labs use the same ones. Node and outside addresses are from the ranges for
// documentation.
var (
	podCIDRs     = cidrs("10.244.0.0/24", "fd00:10:244::/64")
	serviceCIDRs = cidrs("10.96.0.0/16", "fd00:10:96::/112")
	nodeAddrs    = addrs("192.0.2.1", "2001:db8::1")
	outsideAddrs = addrs("198.51.100.10", "2001:db8:ffff::10")
	gatewayAddrs = addrs("198.51.100.1", "2001:db8:ffff::1")
	dnsAddrs     = addrs("10.96.0.10", "fd00:10:96::a")
)

// Gateways of pods, on the host's end of every veth.
var (
	podGateway4 = netip.MustParseAddr("169.254.1.1")
	podGateway6 = netip.MustParseAddr("fe80::1")
)

// PodGateway is the next hop of every pod.
func PodGateway(ipv6 bool) netip.Addr {
	if ipv6 {
		return podGateway6
	}
	return podGateway4
}

// PodCIDR is the range of pod addresses.
func PodCIDR(ipv6 bool) netip.Prefix { return podCIDRs[index(ipv6)] }

// ServiceCIDR is the range of Service addresses.
func ServiceCIDR(ipv6 bool) netip.Prefix { return serviceCIDRs[index(ipv6)] }

// OutsideGateway is the node's address on the link to the outside client.
func OutsideGateway(ipv6 bool) netip.Addr { return gatewayAddrs[index(ipv6)] }

func index(ipv6 bool) int {
	if ipv6 {
		return 1
	}
	return 0
}

func cidrs(s ...string) (out [2]netip.Prefix) {
	for i := range s {
		out[i] = netip.MustParsePrefix(s[i])
	}
	return out
}

func addrs(s ...string) (out [2]netip.Addr) {
	for i := range s {
		out[i] = netip.MustParseAddr(s[i])
	}
	return out
}

// families are the address families of a lab: IPv4, and IPv6 if the machine
// has it.
func families(ipv6 bool) []bool {
	if ipv6 {
		return []bool{false, true}
	}
	return []bool{false}
}

// pool hands out the addresses of a range one after the other.
type pool struct {
	what string
	cidr netip.Prefix
	next netip.Addr
	used map[netip.Addr]bool
}

func newPool(what string, cidr netip.Prefix, first uint8, reserved ...netip.Addr) *pool {
	p := &pool{what: what, cidr: cidr, used: map[netip.Addr]bool{}}
	b := cidr.Addr().AsSlice()
	b[len(b)-1] += first
	p.next, _ = netip.AddrFromSlice(b)
	for _, a := range reserved {
		p.used[a] = true
	}
	return p
}

// take marks an address that a manifest asks for.
func (p *pool) take(a netip.Addr) error {
	if !p.cidr.Contains(a) {
		return fmt.Errorf("address %s is not in the lab's %s range %s; leave it out, and the lab picks one", a, p.what, p.cidr)
	}
	if p.used[a] {
		return fmt.Errorf("address %s is used twice", a)
	}
	p.used[a] = true
	return nil
}

// get returns the next free address. The last address of a range (IPv4's
// broadcast) is not handed out.
func (p *pool) get() (netip.Addr, error) {
	for p.used[p.next] {
		p.next = p.next.Next()
	}
	a := p.next
	if !p.cidr.Contains(a) || !p.cidr.Contains(a.Next()) {
		return netip.Addr{}, fmt.Errorf("the lab's %s range %s is used up", p.what, p.cidr)
	}
	p.used[a] = true
	p.next = a.Next()
	return a, nil
}

// InterfacePrefix begins the name of the host's end of every pod's veth, and
// of nothing else.
const InterfacePrefix = "np"

// interfaceName is the host's end of a pod's veth: short enough for the
// kernel, and the same for the same pod every time.
func interfaceName(podID string) string {
	return InterfacePrefix + suffix(podID, 10)
}

// suffix is n letters and digits made from s, of the kind that Kubernetes
// appends to names: no vowels, so no words.
func suffix(s string, n int) string {
	const letters = "bcdfghjklmnpqrstvwxz2456789"
	h := fnv.New64a()
	h.Write([]byte(s))
	sum := h.Sum64()
	out := make([]byte, n)
	for i := range out {
		out[i] = letters[sum%uint64(len(letters))]
		sum /= uint64(len(letters))
	}
	return string(out)
}
