//go:build linux

package enforce_test

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/netpol-project/netpol/internal/netnstest"
	"github.com/netpol-project/netpol/pkg/enforce"
	"github.com/netpol-project/netpol/pkg/enforce/agentpb"
)

// byKind is an agent that is told nothing of its node's interfaces and
// networks, as in a DaemonSet.
func byKind(o *enforce.Options) { o.InterfacePrefix, o.PodCIDRs = "", nil }

// podNets tells of this node and the networks of its pods.
func (n *node) podNets(nets ...string) {
	n.t.Helper()
	n.write("node-1", fmt.Sprintf("apiVersion: v1\nkind: Node\nmetadata: {name: %s}\nspec: {podCIDRs: [%s]}\nstatus: {addresses: [{type: InternalIP, address: 192.0.2.1}]}\n"+
		"---\napiVersion: v1\nkind: Node\nmetadata: {name: node-2}\nstatus: {addresses: [{type: InternalIP, address: 192.0.2.2}, {type: InternalIP, address: \"2001:db8::2\"}]}\n",
		nodeName, `"`+strings.Join(nets, `", "`)+`"`))
}

var upAddrs = addresses("192.0.2.1", "2001:db8::1")

// uplink joins a machine outside by a veth that is the node's own, as where
// nodes are containers themselves.
func (n *node) uplink(name string) *pod {
	n.t.Helper()
	p := &pod{NS: netnstest.NewNS(n.t), iface: name, name: "outside", addrs: addresses("192.0.2.9", "2001:db8::9")}
	netnstest.Veth(n.t, netnstest.End{Name: name}, netnstest.End{NS: p.NS, Name: "eth0"})
	n.unlink(name)
	bits := []int{24, 64}
	for i := range p.addrs {
		n.must(addAddr(name, netip.PrefixFrom(upAddrs[i], bits[i])))
		n.must(route(name, anywhere[i], p.addrs[i]))
	}
	p.Must(n.t, func() error {
		var errs []error
		for i, a := range p.addrs {
			errs = append(errs, addAddr("eth0", netip.PrefixFrom(a, bits[i])), route("eth0", anywhere[i], upAddrs[i]))
		}
		return errors.Join(errs...)
	})
	return p
}

// wireAs joins a pod under any name of its interface.
func (n *node) wireAs(iface, name string) *pod {
	n.t.Helper()
	n.pods++
	p := n.wire(iface, addresses(fmt.Sprintf("10.65.0.%d", n.pods), fmt.Sprintf("fd65::%x", n.pods)))
	p.name = name
	return p
}

// refusedAs fails unless a packet is dropped by the chain named.
func (n *node) refusedAs(chain, what string, from *pod, source, to netip.Addr) {
	n.t.Helper()
	before := n.dropped(chain, "")
	fd, err := open(from, unix.IPPROTO_UDP, netip.AddrPortFrom(source, 0), netip.AddrPortFrom(to, serverPort))
	n.must(err)
	defer unix.Close(fd)
	await(n.t, what+": to be dropped by "+chain, func() bool { return n.dropped(chain, "") > before })
}

// Pods' interfaces have any names on a real node. What is a pod's is closed
// until it is known, and the node's own interfaces never are.
func TestS31_InterfacesAreFoundByKind(t *testing.T) {
	netnstest.Run(t, func(t *testing.T) {
		n := newNode(t)
		outside := n.uplink("eth7")
		client, server := n.wireAs("cali0815", "client"), n.wireAs("lxcdeadbeef", "server")
		n.manifest(client, nodeName, "")
		n.manifest(server, nodeName, "")
		n.podNets("10.65.0.0/24", "fd65::/64")
		for _, p := range []*pod{client, server, outside, nil} {
			n.listen(p, serverPort)
		}
		n.policy("server", `{selector: app == 'server', types: [Ingress], ingress: [{action: Allow, protocol: TCP, source: {selector: app == 'client'}, destination: {ports: [8080]}}]}`)
		a := n.start(byKind)
		for family := range 2 {
			for _, c := range []struct {
				from, to *pod
				want     answer
			}{
				{client, server, connected}, {server, client, connected}, {client, outside, connected}, {client, nil, connected},
				{outside, client, connected}, {outside, server, denied}, {outside, nil, connected}, {nil, outside, connected}, {nil, server, connected},
			} {
				if got := a.try(c.from, c.to, family, serverPort); got != c.want {
					t.Errorf("%v to %v, family %d: %s, want %s", c.from, c.to, family, got, c.want)
				}
			}
		}
		unknown := n.wireAs("veth0a1b2c3d", "unknown")
		for family := range 2 {
			n.refusedAs("drop-unknown", "an unknown pod", unknown, unknown.addrs[family], client.addrs[family])
			n.refusedAs("drop-unknown", "an unknown pod by another's address", unknown, client.addrs[family], outside.addrs[family])
			n.refusedAs("drop-unknown", "an unknown pod to its host", unknown, unknown.addrs[family], hostAddrs[family])
			n.refusedAs("drop-unknown", "to an unknown pod", client, client.addrs[family], unknown.addrs[family])
			n.refusedAs("drop-unknown", "to an address of nobody", outside, outside.addrs[family], addresses("10.65.0.99", "fd65::99")[family])
			n.refusedAs("drop-spoofed", "by another's address", client, server.addrs[family], outside.addrs[family])
		}
		a.sync()
		a.agreed()
	})
}

// The networks of a node's pods may change, and may say nothing about where
// its CNI puts pods.
func TestS31_PodNetworksFollowTheNode(t *testing.T) {
	netnstest.Run(t, func(t *testing.T) {
		n := newNode(t)
		outside := n.uplink("eth0")
		n.podNets("10.65.0.0/24")
		a := n.start(byKind)
		n.refusedAs("drop-unknown", "to an address of this node's pods", outside, outside.addrs[0], netip.MustParseAddr("10.65.0.99"))
		n.podNets("10.65.0.0/24", "10.67.0.0/24", "fd67::/64")
		a.sync()
		n.refusedAs("drop-unknown", "to another network", outside, outside.addrs[0], netip.MustParseAddr("10.67.0.99"))
		n.refusedAs("drop-unknown", "to another network", outside, outside.addrs[1], netip.MustParseAddr("fd67::99"))

		// A pod of another node there: the node's network is not its own.
		other := *outside
		other.name, other.addrs = "other", addresses("10.67.0.5", "fd67::5")
		n.must(other.Do(func() error { return addAddr("eth0", netip.MustParsePrefix("10.67.0.5/32")) }))
		n.must(route("eth0", netip.MustParsePrefix("10.67.0.0/24"), outside.addrs[0]))
		n.manifest(&other, "node-2", "")
		n.listen(outside, serverPort)
		local := n.wireAs("veth1", "local")
		n.manifest(local, nodeName, "")
		a.sync()
		if got := a.attempt(local, unix.IPPROTO_TCP, local.addrs[0], netip.MustParseAddrPort("10.67.0.5:8080")); got != connected {
			t.Errorf("to a pod of another node: %s, want %s", got, connected)
		}
		n.refusedAs("drop-unknown", "to an address of this node's pods still", outside, outside.addrs[0], netip.MustParseAddr("10.65.0.99"))
	})
}

// bridge makes the bridge of a CNI that joins pods by one.
func (n *node) bridge(name string) {
	n.t.Helper()
	n.must(netlink.LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: name}}))
	n.unlink(name)
	for _, a := range []string{"10.65.0.254/24", "fd65::fe/64"} {
		n.must(addAddr(name, netip.MustParsePrefix(a)))
	}
	link, err := netlink.LinkByName(name)
	n.must(err)
	n.must(netlink.LinkSetUp(link))
}

// plug joins a pod to a bridge.
func (n *node) plug(bridge, name string) *pod {
	n.t.Helper()
	n.pods++
	iface := "veth" + name
	p := &pod{NS: netnstest.NewNS(n.t), name: name, iface: iface, addrs: addresses(fmt.Sprintf("10.65.0.%d", n.pods), fmt.Sprintf("fd65::%x", n.pods))}
	netnstest.Veth(n.t, netnstest.End{Name: iface}, netnstest.End{NS: p.NS, Name: "eth0", Addrs: []netip.Prefix{
		netip.PrefixFrom(p.addrs[0], 24), netip.PrefixFrom(p.addrs[1], 64),
	}})
	n.unlink(iface)
	master, err := netlink.LinkByName(bridge)
	n.must(err)
	link, err := netlink.LinkByName(iface)
	n.must(err)
	n.must(netlink.LinkSetMaster(link, master))
	p.Must(n.t, func() error {
		return errors.Join(route("eth0", anywhere[0], netip.MustParseAddr("10.65.0.254")), route("eth0", anywhere[1], netip.MustParseAddr("fd65::fe")))
	})
	return p
}

func callHooks(value string) error {
	var errs []error
	for _, f := range []string{"iptables", "ip6tables"} {
		errs = append(errs, os.WriteFile("/proc/sys/net/bridge/bridge-nf-call-"+f, []byte(value), 0))
	}
	return errors.Join(errs...)
}

// Pods behind one bridge are judged like others, where their packets pass the
// hooks; where those do not, the node does not claim to enforce.
func TestPodsBehindABridge(t *testing.T) {
	netnstest.Run(t, func(t *testing.T) {
		n := newNode(t)
		if err := callHooks("1"); err != nil {
			netnstest.Skip(t, "no br_netfilter: "+err.Error())
		}
		outside := n.uplink("eth0")
		n.bridge("cni0")
		client, server := n.plug("cni0", "client"), n.plug("cni0", "server")
		n.podNets("10.65.0.0/24", "fd65::/64")
		for _, p := range []*pod{client, server, outside, nil} {
			n.listen(p, serverPort)
		}
		n.policy("server", `{selector: app == 'server', types: [Ingress], ingress: [{action: Allow, protocol: TCP, source: {selector: app == 'client'}, destination: {ports: [8080]}}]}`)
		a := n.start(byKind)
		for family := range 2 {
			n.refusedAs("drop-unknown", "the first pod, unknown", client, client.addrs[family], outside.addrs[family])
		}
		n.manifest(client, nodeName, "")
		n.manifest(server, nodeName, "")
		const warning = "warning: pods behind bridge cni0 are told apart by their addresses alone"
		bring := func() *agentpb.StatusReply {
			s, err := a.Sync(t.Context(), &agentpb.SyncRequest{})
			n.must(err)
			return s
		}
		if s := bring(); !s.Enforcing || len(s.Problems) != 1 || !strings.HasPrefix(s.Problems[0], warning) {
			t.Errorf("enforcing %v, problems %q", s.Enforcing, s.Problems)
		}
		for family := range 2 {
			for _, c := range []struct {
				from, to *pod
				want     answer
			}{
				{client, server, connected}, {server, client, connected}, {client, outside, connected}, {client, nil, connected},
				{outside, client, connected}, {outside, server, denied}, {outside, nil, connected}, {nil, server, connected},
			} {
				if got := a.try(c.from, c.to, family, serverPort); got != c.want {
					t.Errorf("%v to %v, family %d: %s, want %s", c.from, c.to, family, got, c.want)
				}
			}
		}
		n.policy("server", denyAll)
		bring()
		for family := range 2 {
			if got := a.try(client, server, family, serverPort); got != denied {
				t.Errorf("under deny, on one bridge, family %d: %s, want %s", family, got, denied)
			}
		}
		unknown := n.plug("cni0", "unknown")
		for family := range 2 {
			n.refusedAs("drop-unknown", "an unknown pod", unknown, unknown.addrs[family], outside.addrs[family])
			n.refusedAs("drop-unknown", "to an unknown pod", outside, outside.addrs[family], unknown.addrs[family])
		}
		a.agreed()

		n.must(callHooks("0"))
		n.must(route("eth0", netip.MustParsePrefix("203.0.113.0/24"), outside.addrs[0])) // any news of routes
		await(t, "the agent to see that bridged packets pass it by", func() bool {
			s := a.status()
			return !s.Enforcing && strings.Contains(strings.Join(s.Problems, "\n"), "bridge-nf-call-iptables")
		})
	})
}

// A bridge with the machine's own interface in it leads to the network, not
// to pods: pods there are not enforced, and the node stays reachable.
func TestS31_TheNodesBridgeIsNoPods(t *testing.T) {
	netnstest.Run(t, func(t *testing.T) {
		n := newNode(t)
		n.must(callHooks("1"))
		n.bridge("br0")
		n.must(netlink.LinkAdd(&netlink.Vxlan{LinkAttrs: netlink.LinkAttrs{Name: "ens5"}, VxlanId: 7, Port: 4789}))
		n.unlink("ens5")
		port, err := netlink.LinkByName("ens5")
		n.must(err)
		master, err := netlink.LinkByName("br0")
		n.must(err)
		n.must(netlink.LinkSetMaster(port, master))
		machine, client := n.plug("br0", "machine"), n.plug("br0", "client")
		n.listen(nil, serverPort)
		n.manifest(client, nodeName, "")
		n.policy("all", denyAll)
		n.podNets("10.65.0.0/24", "fd65::/64")
		a := n.start(byKind)
		for family := range 2 {
			if got := a.attempt(machine, unix.IPPROTO_TCP, machine.addrs[family], netip.AddrPortFrom(hostAddrs[family], serverPort)); got != connected {
				t.Errorf("a machine on the node's network, family %d: %s, want %s", family, got, connected)
			}
		}
		await(t, "the pod to be told of", func() bool {
			s := a.status()
			return !s.Enforcing && strings.Contains(strings.Join(s.Problems, "\n"), "shop/client")
		})
	})
}

func (p *pod) String() string {
	if p == nil {
		return "the host"
	}
	return p.name
}
