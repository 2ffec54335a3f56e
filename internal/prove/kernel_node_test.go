package prove

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/netpol-project/netpol/internal/netnstest"
)

// slots is how many pods the node has room for: one for every address that
// Worlds gives to pods, with edits.
const slots = 14

var (
	gateway4 = netip.MustParseAddr("169.254.1.1")
	gateway6 = netip.MustParseAddr("fe80::1:1")
)

// node is a node with its pods as network namespaces, joined by veth pairs as
// a ptp CNI does it. It stays the same for all worlds: pod n of a world lives
// in slot n, which always has n's addresses of both families, so that a pod
// that should have only one can be caught using the other.
//
// All neighbours are written down, so no packet ever waits for an answer to
// "who has".
type node struct {
	pods    map[int]*netnstest.NS
	outside *netnstest.NS
	host    *netnstest.NS
	taps    map[string]*tap // by place: pod address owner "1", "outside", "host"
	sport   int
}

func newNode(t *testing.T) *node {
	t.Helper()
	n := &node{pods: map[int]*netnstest.NS{}, host: netnstest.NewNS(t), outside: netnstest.NewNS(t), taps: map[string]*tap{}}
	n.host.Must(t, func() error {
		return errorsOf(
			write("/proc/sys/net/ipv4/conf/all/rp_filter", "0"),
			write("/proc/sys/net/ipv4/conf/default/rp_filter", "0"),
			// Linux (6.18 and before) takes UDP's number instead of UDPLite's
			// where it checks that one's sums, and finds them wrong.
			write("/proc/sys/net/netfilter/nf_conntrack_checksum", "0"),
			addAddrs("lo", hostAddrs...))
	})
	netnstest.Forward(t, n.host)
	for i := 1; i <= slots; i++ {
		n.pods[i] = netnstest.NewNS(t)
		n.join(t, n.pods[i], ifName(i), slotAddrs(i))
		n.taps[place(i)] = newTap(t, n.pods[i], "eth0")
	}
	n.join(t, n.outside, uplink, slices.DeleteFunc(slices.Clone(Outside), func(a netip.Addr) bool { return slotOf(a) > 0 }))
	n.taps["outside"] = newTap(t, n.outside, "eth0")
	n.taps["host"] = newRawTap(t, n.host)
	return n
}

func ifName(slot int) string { return fmt.Sprintf("np%d", slot) }

func place(slot int) string { return fmt.Sprint(slot) }

func slotAddrs(i int) []netip.Addr {
	return []netip.Addr{netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), netip.MustParseAddr(fmt.Sprintf("fd00::%x", i))}
}

// join wires a namespace to the node.
func (n *node) join(t *testing.T, ns *netnstest.NS, name string, addrs []netip.Addr) {
	t.Helper()
	netnstest.Veth(t, netnstest.End{NS: n.host, Name: name}, netnstest.End{NS: ns, Name: "eth0"})
	var hostMAC, nsMAC net.HardwareAddr
	n.host.Must(t, func() (err error) { hostMAC, err = mac(name); return err })
	ns.Must(t, func() (err error) { nsMAC, err = mac("eth0"); return err })
	ns.Must(t, func() error {
		return errorsOf(addAddrs("eth0", addrs...),
			route("eth0", netip.PrefixFrom(gateway4, 32), netip.Addr{}), neighbour("eth0", gateway4, hostMAC), route("eth0", any4, gateway4),
			neighbour("eth0", gateway6, hostMAC), route("eth0", any6, gateway6))
	})
	n.host.Must(t, func() error {
		for _, a := range addrs {
			if err := errorsOf(route(name, netip.PrefixFrom(a, a.BitLen()), netip.Addr{}), neighbour(name, a, nsMAC)); err != nil {
				return err
			}
		}
		return nil
	})
}

// slotOf is the slot that has the address, or 0.
func slotOf(a netip.Addr) int {
	for i := 1; i <= slots; i++ {
		for _, own := range slotAddrs(i) {
			if own == a {
				return i
			}
		}
	}
	return 0
}

func mac(name string) (net.HardwareAddr, error) {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return nil, err
	}
	return link.Attrs().HardwareAddr, nil
}

func addAddrs(name string, addrs ...netip.Addr) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	for _, a := range addrs {
		addr := &netlink.Addr{IPNet: ipNet(netip.PrefixFrom(a, a.BitLen())), Flags: 0x02} // IFA_F_NODAD
		if a.Is4() {
			addr.Flags = 0
		}
		if err := netlink.AddrAdd(link, addr); err != nil {
			return fmt.Errorf("address %s: %w", a, err)
		}
	}
	return nil
}

func route(name string, to netip.Prefix, via netip.Addr) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	r := &netlink.Route{LinkIndex: link.Attrs().Index, Dst: ipNet(to)}
	if via.IsValid() {
		r.Gw = via.AsSlice()
	} else if to.Addr().Is4() {
		r.Scope = netlink.SCOPE_LINK
	}
	if err := netlink.RouteReplace(r); err != nil {
		return fmt.Errorf("route to %s: %w", to, err)
	}
	return nil
}

func neighbour(name string, a netip.Addr, at net.HardwareAddr) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	err = netlink.NeighSet(&netlink.Neigh{LinkIndex: link.Attrs().Index, State: netlink.NUD_PERMANENT, IP: a.AsSlice(), HardwareAddr: at})
	if err != nil {
		return fmt.Errorf("neighbour %s: %w", a, err)
	}
	return nil
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

func write(path, value string) error { return os.WriteFile(path, []byte(value), 0) }

func errorsOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
