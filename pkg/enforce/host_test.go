//go:build linux

package enforce_test

import (
	"net/netip"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/netpol-project/netpol/internal/netnstest"
)

const denyAll = `{selector: all(), types: [Ingress, Egress]}`

// The host reaches its pods whatever policies say; what a pod says to its host
// is judged by the pod's egress.
func TestS12_HostAndItsPods(t *testing.T) {
	netnstest.Run(t, func(t *testing.T) {
		n := newNode(t)
		client := n.addPod("client")
		n.listen(client, serverPort)
		n.listen(nil, serverPort)
		n.policy("deny", denyAll)
		a := n.start(nil)
		for family := range 2 {
			if got := a.try(nil, client, family, serverPort); got != connected {
				t.Errorf("host to pod under deny: %s, want %s", got, connected)
			}
			if got := a.try(client, nil, family, serverPort); got != denied {
				t.Errorf("pod to host under deny: %s, want %s", got, denied)
			}
		}
		n.policy("host", `{selector: app == 'client', order: 1, types: [Egress], egress: [{action: Allow, protocol: TCP, destination: {nets: [10.255.0.1/32], ports: [8080]}}]}`)
		a.sync()
		if got := a.try(client, nil, 0, serverPort); got != connected {
			t.Errorf("pod to host, allowed: %s, want %s", got, connected)
		}
		if got := a.try(client, nil, 1, serverPort); got != denied {
			t.Errorf("pod to host, allowed for IPv4 only: %s, want %s", got, denied)
		}
		a.agreed()
	})
}

// A pod reaches itself, also by its own Service, where its packets leave by
// the interface that they came from.
func TestS32_PodReachesItself(t *testing.T) {
	netnstest.Run(t, func(t *testing.T) {
		n := newNode(t)
		self, other := n.addPod("self"), n.addPod("other")
		n.listen(self, serverPort)
		n.policy("deny", denyAll)
		for family := range 2 {
			n.translate(netip.AddrPortFrom(serviceAddrs[family], 80), netip.AddrPortFrom(self.addrs[family], serverPort))
		}
		a := n.start(nil)
		for family := range 2 {
			service := netip.AddrPortFrom(serviceAddrs[family], 80)
			if got := a.try(self, self, family, serverPort); got != connected {
				t.Errorf("directly: %s, want %s", got, connected)
			}
			if got := a.attempt(self, unix.IPPROTO_TCP, self.addrs[family], service); got != connected {
				t.Errorf("by its Service: %s, want %s", got, connected)
			}
			if got := a.attempt(other, unix.IPPROTO_TCP, other.addrs[family], service); got != denied {
				t.Errorf("another pod by that Service: %s, want %s", got, denied)
			}
		}
		a.agreed()
	})
}

// Neighbour discovery between a pod and its host works where nothing else
// does, or no connection could ever be allowed.
func TestS23_NeighbourDiscovery(t *testing.T) {
	netnstest.Run(t, func(t *testing.T) {
		n := newNode(t)
		client := n.addPod("client")
		l := n.listen(client, serverPort)
		n.policy("deny", denyAll)
		a := n.start(nil)
		forgetNeighbours := func() {
			n.must(neighbours(podPrefix+"client", func(e *netlink.Neigh) error { return netlink.NeighDel(e) }))
			n.must(client.Do(func() error {
				return neighbours("eth0", func(e *netlink.Neigh) error { return netlink.NeighDel(e) })
			}))
		}
		forgetNeighbours()
		k := n.tcp(nil, netip.AddrPortFrom(client.addrs[1], serverPort), l)
		k.alive(t, "asked by the host")
		forgetNeighbours()
		if got := a.try(client, nil, 1, serverPort); got != denied {
			t.Errorf("pod to host: %s, want %s", got, denied)
		}
		found := false
		n.must(client.Do(func() error {
			return neighbours("eth0", func(e *netlink.Neigh) error {
				found = found || e.IP.Equal(gateways[1].AsSlice()) && len(e.HardwareAddr) > 0
				return nil
			})
		}))
		if !found {
			t.Error("asked by the pod: it does not know the gateway")
		}
		a.agreed()
	})
}

func neighbours(name string, each func(*netlink.Neigh) error) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	list, err := netlink.NeighList(link.Attrs().Index, netlink.FAMILY_V6)
	if err != nil {
		return err
	}
	for i := range list {
		if err := each(&list[i]); err != nil {
			return err
		}
	}
	return nil
}
