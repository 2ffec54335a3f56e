//go:build linux

package e2e

import (
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Address ranges of a cluster, one for each family; Services' are kubetest's.
const (
	podRanges  = "10.244.0.0/16,fd00:10:244::/48"
	dnsAddress = "10.96.0.10"
	bridgeName = "nodes"
)

// hostAddr4 and hostAddr6 are addresses on the bridge between the nodes; 1 is
// the bridge itself, where the control plane listens.
func hostAddr4(i int) netip.Addr { return netip.MustParseAddr(fmt.Sprintf("10.10.0.%d", i)) }
func hostAddr6(i int) netip.Addr { return netip.MustParseAddr(fmt.Sprintf("fd00:10:10::%d", i)) }

// makeBridge makes the wire between the nodes, in the sandbox's own network
// namespace, where the control plane is.
func makeBridge() error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = bridgeName
	bridge := &netlink.Bridge{LinkAttrs: attrs}
	if err := netlink.LinkAdd(bridge); err != nil {
		return fmt.Errorf("bridge: %w", err)
	}
	for _, prefix := range []netip.Prefix{netip.PrefixFrom(hostAddr4(1), 24), netip.PrefixFrom(hostAddr6(1), 64)} {
		addr, err := netlink.ParseAddr(prefix.String())
		if err != nil {
			return err
		}
		if prefix.Addr().Is6() {
			addr.Flags = unix.IFA_F_NODAD // usable at once
		}
		if err := netlink.AddrAdd(bridge, addr); err != nil {
			return fmt.Errorf("bridge: %w", err)
		}
	}
	return netlink.LinkSetUp(bridge)
}

// attach gives a node its interface on the bridge and a route to its pods from
// where the control plane is.
func (n *Node) attach() error {
	bridge, err := netlink.LinkByName(bridgeName)
	if err != nil {
		return err
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MasterIndex = n.Name, bridge.Attrs().Index
	veth := &netlink.Veth{LinkAttrs: attrs, PeerName: "eth0", PeerNamespace: netlink.NsPid(n.holder.Pid())}
	if err := netlink.LinkAdd(veth); err != nil {
		return fmt.Errorf("%s: interface: %w", n.Name, err)
	}
	if err := netlink.LinkSetUp(veth); err != nil {
		return err
	}
	for pods, via := range n.routes() {
		_, network, err := net.ParseCIDR(pods.String())
		if err != nil {
			return err
		}
		if err := netlink.RouteAdd(&netlink.Route{Dst: network, Gw: via.AsSlice()}); err != nil {
			return fmt.Errorf("route to the pods of %s: %w", n.Name, err)
		}
	}
	return nil
}

// routes say which node the pods of n are behind.
func (n *Node) routes() map[netip.Prefix]netip.Addr {
	return map[netip.Prefix]netip.Addr{n.Pods4: n.IPv4, n.Pods6: n.IPv6}
}

// configure sets a node's addresses, forwarding and routes to the others' pods.
// Its sysctls are those of its own network namespace.
func (n *Node) configure(all []*Node) error {
	script := []string{
		"set -e",
		"echo 1 >/proc/sys/net/ipv4/ip_forward",
		"echo 1 >/proc/sys/net/ipv6/conf/all/forwarding",
		// A gateway that still looks whether its address is taken answers no pod: for
		// a second a new pod would reach nobody by IPv6, whatever policies say.
		"echo 0 >/proc/sys/net/ipv6/conf/default/accept_dad",
		"ip link set lo up",
		fmt.Sprintf("ip address add %s/24 dev eth0", n.IPv4),
		fmt.Sprintf("ip address add %s/64 dev eth0 nodad", n.IPv6),
		"ip link set eth0 up",
		fmt.Sprintf("ip route add default via %s", hostAddr4(1)),
		fmt.Sprintf("ip -6 route add default via %s", hostAddr6(1)),
	}
	for _, other := range all {
		if other == n {
			continue
		}
		for pods, via := range other.routes() {
			script = append(script, fmt.Sprintf("ip route add %s via %s", pods, via))
		}
	}
	_, err := n.Run("sh", "-c", strings.Join(script, "\n"))
	return err
}

// cniConfig is the CNI configuration of a node: a veth and a host route a pod.
func (n *Node) cniConfig() string {
	return fmt.Sprintf(`{
  "cniVersion": "1.0.0",
  "name": "pods",
  "plugins": [{
    "type": "ptp",
    "ipMasq": false,
    "ipam": {
      "type": "host-local",
      "ranges": [[{"subnet": %q}], [{"subnet": %q}]],
      "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}]
    }
  }]
}
`, n.Pods4, n.Pods6)
}
