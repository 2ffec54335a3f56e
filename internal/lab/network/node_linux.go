package network

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/netpol-project/netpol/internal/lab/plan"
)

// outsideInterface is the node's link to what is outside the cluster.
const outsideInterface = "uplink"

// Network is a lab's network.
type Network struct {
	ipv6    bool
	node    plan.Node
	pods    map[string]*Namespace // by pod ID
	outside *Namespace
}

// Build makes the network of p in the current network namespace.
func Build(p *plan.Plan, ipv6 bool) (*Network, error) {
	n := &Network{ipv6: ipv6, node: p.Node, pods: map[string]*Namespace{}}
	if err := n.build(p); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	return n, nil
}

func (n *Network) build(p *plan.Plan) error {
	if err := apply(nodeSettings, n.ipv6); err != nil {
		return err
	}
	if err := n.loopback(p.Node.Addrs); err != nil {
		return err
	}
	if err := n.connectOutside(p.Outside.Addrs); err != nil {
		return fmt.Errorf("outside client: %w", err)
	}
	for i := range p.Pods {
		if err := n.addPod(&p.Pods[i]); err != nil {
			return fmt.Errorf("pod %s: %w", p.Pods[i].ID(), err)
		}
	}
	return programServices(p, n.ipv6)
}

// Pod is a pod's namespace, or nil.
func (n *Network) Pod(id string) *Namespace { return n.pods[id] }

// Outside is the namespace of the client outside the cluster.
func (n *Network) Outside() *Namespace { return n.outside }

// Close gives all namespaces up; the kernel takes the links with them.
func (n *Network) Close() error {
	var errs []error
	for _, ns := range n.pods {
		errs = append(errs, ns.Close())
	}
	if n.outside != nil {
		errs = append(errs, n.outside.Close())
	}
	return errors.Join(errs...)
}

// loopback brings lo up with the node's addresses and the pods' gateway, and
// makes Service addresses that nothing translates unreachable rather than
// routed away.
func (n *Network) loopback(addrs []netip.Addr) error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("find lo: %w", err)
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		return fmt.Errorf("bring lo up: %w", err)
	}
	for _, a := range addrs {
		if err := addAddr(nil, lo, host(a), unix.RT_SCOPE_UNIVERSE); err != nil {
			return err
		}
	}
	if err := addAddr(nil, lo, host(plan.PodGateway(false)), unix.RT_SCOPE_LINK); err != nil {
		return err
	}
	for _, v6 := range n.families() {
		route := &netlink.Route{Dst: ipNet(plan.ServiceCIDR(v6)), Type: unix.RTN_UNREACHABLE}
		if err := netlink.RouteAdd(route); err != nil {
			return fmt.Errorf("route for Service addresses: %w", err)
		}
	}
	return nil
}

func (n *Network) families() []bool {
	if n.ipv6 {
		return []bool{false, true}
	}
	return []bool{false}
}

// join makes a namespace and a veth into it; it returns the handle of the
// inside's links and the link's two ends.
func (n *Network) join(name, inside string) (ns *Namespace, l *links, err error) {
	ns, err = newNamespace(func() error { return apply(podSettings, n.ipv6) })
	if err != nil {
		return nil, nil, err
	}
	l, err = makeVeth(ns, name, inside)
	if err != nil {
		return nil, nil, errors.Join(err, ns.Close())
	}
	return ns, l, nil
}

// addPod joins a pod. Its only neighbour is the node: its own addresses have
// full-length prefixes, and everything else is behind the gateway.
func (n *Network) addPod(p *plan.Pod) error {
	ns, l, err := n.join(p.Interface, "eth0")
	if err != nil {
		return err
	}
	defer l.close()
	n.pods[p.ID()] = ns
	if n.ipv6 {
		gateway := netip.PrefixFrom(plan.PodGateway(true), 64)
		if err := addAddr(nil, l.outer, gateway, unix.RT_SCOPE_LINK); err != nil {
			return err
		}
	}
	for _, a := range p.Addrs {
		if err := addAddr(l.inside, l.inner, host(a), unix.RT_SCOPE_UNIVERSE); err != nil {
			return err
		}
		route := &netlink.Route{
			LinkIndex: l.outer.Attrs().Index, Dst: ipNet(host(a)), Scope: netlink.SCOPE_LINK,
			Src: n.nodeAddr(a.Is6()),
		}
		if err := netlink.RouteAdd(route); err != nil {
			return fmt.Errorf("route to %s: %w", a, err)
		}
		if err := l.defaultRoute(plan.PodGateway(a.Is6())); err != nil {
			return err
		}
	}
	return nil
}

// connectOutside joins the outside client by an ordinary network.
func (n *Network) connectOutside(addrs []netip.Addr) error {
	ns, l, err := n.join(outsideInterface, "eth0")
	if err != nil {
		return err
	}
	defer l.close()
	n.outside = ns
	for _, a := range addrs {
		bits := 24
		if a.Is6() {
			bits = 64
		}
		gateway := plan.OutsideGateway(a.Is6())
		if err := addAddr(nil, l.outer, netip.PrefixFrom(gateway, bits), unix.RT_SCOPE_UNIVERSE); err != nil {
			return err
		}
		if err := addAddr(l.inside, l.inner, netip.PrefixFrom(a, bits), unix.RT_SCOPE_UNIVERSE); err != nil {
			return err
		}
		if err := l.defaultRoute(gateway); err != nil {
			return err
		}
	}
	return nil
}

func (n *Network) nodeAddr(v6 bool) net.IP {
	for _, a := range n.node.Addrs {
		if a.Is6() == v6 {
			return a.AsSlice()
		}
	}
	return nil
}
