//go:build linux

package enforce_test

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/netpol-project/netpol/internal/netnstest"
)

// The addresses of the node under test. Its network namespace is the test
// process's own, since that is where an agent works.
var (
	gateways  = addresses("169.254.1.1", "fe80::1")
	hostAddrs = addresses("10.255.0.1", "fd00:ffff::1")
	podCIDRs  = []netip.Prefix{netip.MustParsePrefix("10.65.0.0/24"), netip.MustParsePrefix("fd65::/64")}
	anywhere  = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}
)

const (
	nodeName  = "node-1"
	namespace = "shop"
	podPrefix = "np"
)

// node is a node with pods that are network namespaces, and the directory of
// manifests that its agent enforces.
type node struct {
	t    testing.TB
	dir  string
	pods int

	bystander         *pod // of cutBystander
	bystanderListener net.Listener
	stray             *pod // of unroutedIsClosed
	listening         map[uint16]bool
	burstPort         int // where the next burst's ports begin
}

// pod is a network namespace behind an interface of the node. addrs are its
// IPv4 and IPv6 address.
type pod struct {
	*netnstest.NS
	name  string
	iface string
	addrs []netip.Addr
}

func newNode(t testing.TB) *node {
	t.Helper()
	n := &node{t: t, dir: t.TempDir()}
	for _, path := range []string{
		// Spoofed packets are for the rules to drop, not for the routing.
		"/proc/sys/net/ipv4/conf/all/rp_filter", "/proc/sys/net/ipv4/conf/default/rp_filter",
		"/proc/sys/net/ipv6/conf/default/accept_dad",
	} {
		if err := os.WriteFile(path, []byte("0"), 0); err != nil {
			t.Fatal(err)
		}
	}
	netnstest.Forward(t, nil)
	for _, a := range append([]netip.Addr{gateways[0]}, hostAddrs...) {
		n.must(addAddr("lo", netip.PrefixFrom(a, a.BitLen())))
	}
	t.Cleanup(n.removeTable)
	n.write("namespace", "apiVersion: v1\nkind: Namespace\nmetadata: {name: "+namespace+"}\n")
	return n
}

// addPod joins a pod and writes its manifest.
func (n *node) addPod(name string) *pod {
	n.t.Helper()
	p := n.join(name)
	n.manifest(p, nodeName, "")
	return p
}

// join joins a pod that no manifest tells of.
func (n *node) join(name string) *pod {
	n.t.Helper()
	n.pods++
	p := n.wire(podPrefix+name, addresses(fmt.Sprintf("10.65.0.%d", n.pods), fmt.Sprintf("fd65::%x", n.pods)))
	p.name = name
	return p
}

// addRemote joins a pod of another node: it has a manifest, and its interface
// is no pod interface.
func (n *node) addRemote(name string) *pod {
	n.t.Helper()
	n.pods++
	p := n.wire("up-"+name, addresses(fmt.Sprintf("10.66.0.%d", n.pods), fmt.Sprintf("fd66::%x", n.pods)))
	p.name = name
	n.manifest(p, "node-2", "")
	return p
}

// wire joins a namespace as a ptp CNI does: every packet goes by the node.
func (n *node) wire(iface string, addrs []netip.Addr) *pod {
	n.t.Helper()
	p := &pod{NS: netnstest.NewNS(n.t), iface: iface, addrs: addrs}
	netnstest.Veth(n.t, netnstest.End{Name: iface}, netnstest.End{NS: p.NS, Name: "eth0"})
	n.unlink(iface)
	n.must(addAddr(iface, netip.PrefixFrom(gateways[1], 64)))
	for _, a := range addrs {
		n.must(route(iface, netip.PrefixFrom(a, a.BitLen()), netip.Addr{}))
	}
	p.Must(n.t, func() error {
		var errs []error
		for i, a := range addrs {
			errs = append(errs, addAddr("eth0", netip.PrefixFrom(a, a.BitLen())), route("eth0", anywhere[i], gateways[i]))
		}
		return errors.Join(errs...)
	})
	return p
}

// unlink removes an interface after the test: several benchmarks share one
// namespace.
func (n *node) unlink(iface string) {
	n.t.Cleanup(func() {
		if link, err := netlink.LinkByName(iface); err == nil {
			_ = netlink.LinkDel(link)
		}
	})
}

// manifest writes a pod down; metadata stands in for its label app.
func (n *node) manifest(p *pod, node, metadata string) {
	n.t.Helper()
	if metadata == "" {
		metadata = "labels: {app: " + p.name + "}"
	}
	n.write("pod-"+p.name, fmt.Sprintf(`apiVersion: v1
kind: Pod
metadata:
  name: %s
  namespace: %s
  %s
spec: {nodeName: %s}
status:
  phase: Running
  podIPs: [{ip: %s}, {ip: "%s"}]
`, p.name, namespace, metadata, node, p.addrs[0], p.addrs[1]))
}

// policy writes a NetworkPolicy of the pods' namespace.
func (n *node) policy(name, spec string) {
	n.t.Helper()
	n.write(name, fmt.Sprintf("apiVersion: projectcalico.org/v3\nkind: NetworkPolicy\nmetadata: {name: %s, namespace: %s}\nspec: %s\n", name, namespace, spec))
}

// write puts a manifest in place, as a careful editor does.
func (n *node) write(name, text string) {
	n.t.Helper()
	n.must(writeManifest(n.dir, name, text))
}

func writeManifest(dir, name, text string) error {
	temp := filepath.Join(dir, "."+name+".tmp")
	if err := os.WriteFile(temp, []byte(text), 0o644); err != nil {
		return err
	}
	return os.Rename(temp, filepath.Join(dir, name+".yaml"))
}

func (n *node) remove(name string) {
	n.t.Helper()
	n.must(os.Remove(filepath.Join(n.dir, name+".yaml")))
}

func (n *node) must(err error) {
	n.t.Helper()
	if err != nil {
		n.t.Fatal(err)
	}
}

func addresses(texts ...string) (out []netip.Addr) {
	for _, text := range texts {
		out = append(out, netip.MustParseAddr(text))
	}
	return out
}

func addAddr(name string, p netip.Prefix) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	addr := &netlink.Addr{IPNet: ipNet(p)}
	if p.Addr().Is6() {
		addr.Flags = 0x02 // IFA_F_NODAD
	}
	if err := netlink.AddrReplace(link, addr); err != nil {
		return fmt.Errorf("address %s on %s: %w", p, name, err)
	}
	return nil
}

// route sends to what is behind an interface: directly, or by a gateway.
func route(name string, to netip.Prefix, via netip.Addr) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	r := &netlink.Route{LinkIndex: link.Attrs().Index, Dst: ipNet(to)}
	if via.IsValid() {
		r.Gw, r.Flags = via.AsSlice(), int(netlink.FLAG_ONLINK)
	} else {
		r.Scope = netlink.SCOPE_LINK
		// The node speaks to its pods from its own address, not the gateway's.
		r.Src = hostAddrs[0].AsSlice()
		if to.Addr().Is6() {
			r.Src = hostAddrs[1].AsSlice()
		}
	}
	if err := netlink.RouteReplace(r); err != nil {
		return fmt.Errorf("route to %s: %w", to, err)
	}
	return nil
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
