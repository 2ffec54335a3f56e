//go:build linux

package enforce_test

import (
	"net/netip"
	"os"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/netpol-project/netpol/internal/netnstest"
	"github.com/netpol-project/netpol/pkg/enforce/agentpb"
)

const noEgress = `{selector: app == 'gateway', types: [Egress]}`

// through routes networks by a pod, as for one that is a VPN's end.
func (n *node) through(p *pod, iface string) {
	n.t.Helper()
	for i, net := range []string{"10.99.0.0/24", "fd99::/64"} {
		n.must(route(iface, netip.MustParsePrefix(net), p.addrs[i]))
	}
}

// What is routed through a pod makes it a gateway, and no part of the node: it
// is judged as ever.
func TestS31_PodThatIsAGatewayIsJudged(t *testing.T) {
	netnstest.Run(t, func(t *testing.T) {
		n := newNode(t)
		outside := n.uplink("eth7")
		gateway, unknown := n.wireAs("cali1", "gateway"), n.wireAs("cali2", "unknown")
		n.manifest(gateway, nodeName, "")
		n.through(gateway, gateway.iface)
		n.must(route(unknown.iface, netip.MustParsePrefix("10.98.0.0/24"), unknown.addrs[0]))
		n.podNets("10.65.0.0/24", "fd65::/64")
		n.listen(outside, serverPort)
		n.listen(gateway, serverPort)
		n.policy("gateway", noEgress)
		a := n.start(byKind)
		for family := range 2 {
			if got := a.try(gateway, outside, family, serverPort); got != denied {
				t.Errorf("from the gateway, family %d: %s, want %s", family, got, denied)
			}
			if got := a.try(outside, gateway, family, serverPort); got != connected {
				t.Errorf("to the gateway, family %d: %s, want %s", family, got, connected)
			}
			n.refusedAs("drop-unknown", "a gateway that nobody knows", unknown, unknown.addrs[family], outside.addrs[family])
		}
		a.sync()
		a.agreed()
	})
}

// The same behind a bridge, where it would be about every pod of the node.
func TestS31_GatewayBehindABridgeIsJudged(t *testing.T) {
	netnstest.Run(t, func(t *testing.T) {
		n := newNode(t)
		if err := callHooks("1"); err != nil {
			netnstest.Skip(t, "no br_netfilter: "+err.Error())
		}
		outside := n.uplink("eth7")
		n.bridge("cni0")
		gateway, unknown := n.plug("cni0", "gateway"), n.plug("cni0", "unknown")
		n.manifest(gateway, nodeName, "")
		n.through(gateway, "cni0")
		n.podNets("10.65.0.0/24", "fd65::/64")
		n.listen(outside, serverPort)
		n.policy("gateway", noEgress)
		a := n.start(byKind)
		if s, err := a.Sync(t.Context(), &agentpb.SyncRequest{}); err != nil || !s.Enforcing {
			t.Errorf("%v, %v", s, err)
		}
		for family := range 2 {
			if got := a.try(gateway, outside, family, serverPort); got != denied {
				t.Errorf("from the gateway, family %d: %s, want %s", family, got, denied)
			}
			n.refusedAs("drop-unknown", "another pod there", unknown, unknown.addrs[family], outside.addrs[family])
		}
	})
}

// advertise has a pod claim to be the router of its link.
func (p *pod) advertise() error {
	return p.Do(func() error {
		fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_ICMPV6)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		link, err := netlink.LinkByName("eth0")
		if err != nil {
			return err
		}
		index := link.Attrs().Index
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_HOPS, 255); err != nil {
			return err
		}
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_IF, index); err != nil {
			return err
		}
		packet := []byte{
			134, 0, 0, 0, 64, 0, 0x07, 0x08, 0, 0, 0, 0, 0, 0, 0, 0, // a router for half an hour
			3, 4, 64, 0xc0, 0, 0, 0x0e, 0x10, 0, 0, 0x0e, 0x10, 0, 0, 0, 0, // a network on the link, to make an address of
		}
		prefix := netip.MustParseAddr("fd77::").As16()
		to := unix.SockaddrInet6{ZoneId: uint32(index), Addr: netip.MustParseAddr("ff02::1").As16()}
		return unix.Sendto(fd, append(packet, prefix[:]...), 0, &to)
	})
}

// gatewaysBy counts the default routes of IPv6 through an interface.
func gatewaysBy(iface string) int {
	link, err := netlink.LinkByName(iface)
	if err != nil {
		return 0
	}
	routes, _ := netlink.RouteList(link, netlink.FAMILY_V6)
	count := 0
	for _, r := range routes {
		if r.Gw != nil && r.Protocol == unix.RTPROT_RA {
			count++
		}
	}
	return count
}

// A pod that says it is a router before there are rules gives its node an
// address, a network and a default route, and stays a pod.
func TestS31_PodThatAdvertisesARouterIsJudged(t *testing.T) {
	netnstest.Run(t, func(t *testing.T) {
		n := newNode(t)
		outside := n.uplink("eth7")
		pods := []*pod{n.wireAs("cali1", "gateway"), n.wireAs("cali2", "unknown")}
		for _, p := range pods {
			n.must(os.WriteFile("/proc/sys/net/ipv6/conf/"+p.iface+"/accept_ra", []byte("2"), 0))
			await(t, p.name+" to be taken for a router", func() bool {
				_ = p.advertise() // not before it has an address of the link
				return gatewaysBy(p.iface) > 0
			})
		}
		n.manifest(pods[0], nodeName, "")
		n.podNets("fd65::/64") // says nothing of 10.65.0.0/24
		n.listen(outside, serverPort)
		n.policy("gateway", noEgress)
		a := n.start(byKind)
		for family := range 2 {
			if got := a.try(pods[0], outside, family, serverPort); got != denied {
				t.Errorf("from the pod, family %d: %s, want %s", family, got, denied)
			}
			n.refusedAs("drop-unknown", "a pod that nobody knows", pods[1], pods[1].addrs[family], outside.addrs[family])
		}
		// None of it is by an address of this node's networks.
		pods[1].Must(t, func() error { return addAddr("eth0", netip.MustParsePrefix("172.31.0.1/32")) })
		n.refusedAs("drop-unknown", "by another address", pods[1], netip.MustParseAddr("172.31.0.1"), outside.addrs[0])
		a.sync()
		a.agreed()
	})
}

// Where the CNI gives the node's address to all pods' interfaces, too, that
// makes none of them the node's.
func TestS31_PodsInterfacesWithTheNodesAddress(t *testing.T) {
	netnstest.Run(t, func(t *testing.T) {
		n := newNode(t)
		outside := n.uplink("eth7")
		pods := []*pod{n.wireAs("cali1", "gateway"), n.wireAs("cali2", "unknown")}
		for _, p := range pods {
			n.must(addAddr(p.iface, netip.PrefixFrom(upAddrs[0], 32)))
		}
		n.through(pods[0], pods[0].iface)
		n.manifest(pods[0], nodeName, "")
		n.podNets("10.64.0.0/24") // where the CNI puts no pods
		n.listen(outside, serverPort)
		n.listen(nil, serverPort)
		n.policy("gateway", noEgress)
		a := n.start(byKind)
		for family := range 2 {
			if got := a.try(pods[0], outside, family, serverPort); got != denied {
				t.Errorf("from a pod, family %d: %s, want %s", family, got, denied)
			}
			if got := a.try(outside, nil, family, serverPort); got != connected {
				t.Errorf("to the node, family %d: %s, want %s", family, got, connected)
			}
			n.refusedAs("drop-unknown", "a pod that nobody knows", pods[1], pods[1].addrs[family], outside.addrs[family])
		}
		a.sync()
		a.agreed()
	})
}
