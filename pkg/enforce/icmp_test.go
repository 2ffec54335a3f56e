//go:build linux

package enforce_test

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/netpol-project/netpol/internal/netnstest"
	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
)

// message sends one ICMP message, of the family that to has, from a pod.
func (n *node) message(from *pod, to netip.Addr, typ, code byte, id uint16) {
	n.t.Helper()
	b := []byte{typ, code, 0, 0, 0, 0, 0, 1}
	binary.BigEndian.PutUint16(b[4:], id)
	family, proto := unix.AF_INET6, unix.IPPROTO_ICMPV6 // the kernel writes the sum
	if to.Is4() {
		family, proto = unix.AF_INET, unix.IPPROTO_ICMP
		var sum uint32
		for i := 0; i < len(b); i += 2 {
			sum += uint32(binary.BigEndian.Uint16(b[i:]))
		}
		binary.BigEndian.PutUint16(b[2:], ^uint16(sum>>16+sum))
	}
	n.must(in(from, func() error {
		fd, err := unix.Socket(family, unix.SOCK_RAW|unix.SOCK_CLOEXEC, proto)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		return unix.Sendto(fd, b, 0, sockaddr(netip.AddrPortFrom(to, 0)))
	}))
}

// ICMP is judged and counted by its type and code.
func TestS22_FlowsHaveTheTypeOfICMP(t *testing.T) {
	netnstest.Run(t, func(t *testing.T) {
		n := newNode(t)
		client, server := n.addPod("client"), n.addPod("server")
		n.policy("server", `{selector: app == 'server', types: [Ingress], ingress: [
			{action: Allow, protocol: ICMP, icmp: {type: 8}, source: {selector: app == 'client'}}]}`)
		a := n.start(nil)
		n.message(client, server.addrs[0], 8, 0, 77)
		n.message(client, server.addrs[0], 13, 0, 77)
		n.message(client, server.addrs[1], 128, 0, 77)
		for _, c := range []struct {
			protocol policy.Protocol
			port     uint16
			action   policy.Action
		}{
			{policy.ICMP, policy.ICMPPort(8, 0), policy.Allow},
			{policy.ICMP, policy.ICMPPort(13, 0), policy.Deny},
			{policy.ICMPv6, policy.ICMPPort(128, 0), policy.Deny},
		} {
			await(t, "the flow of "+c.protocol.String()+"/"+policy.PortText(c.protocol, c.port), func() bool {
				for _, f := range a.list(flow.Filter{Protocol: c.protocol, Action: c.action}) {
					if f.Direction == policy.Ingress && f.Port == c.port && f.Connections == 1 {
						return true
					}
				}
				return false
			})
		}
		a.agreed()
	})
}

// S18: an address outside that a network set holds has the set's name, of
// several the most specific one's.
func TestS18_FlowsNameTheNetworkSet(t *testing.T) {
	netnstest.Run(t, func(t *testing.T) {
		n := newNode(t)
		client := n.addPod("client")
		outside := n.wire("up-outside", addresses("192.0.2.7", "2001:db8::7"))
		n.listen(outside, serverPort)
		n.write("sets", `apiVersion: projectcalico.org/v3
kind: GlobalNetworkSet
metadata: {name: office}
spec: {nets: [192.0.2.0/24, "2001:db8::/64"]}
---
apiVersion: projectcalico.org/v3
kind: NetworkSet
metadata: {name: printer, namespace: shop}
spec: {nets: [192.0.2.7/32]}
`)
		n.policy("client", `{selector: app == 'client', types: [Egress], egress: [
			{action: Log}, {action: Allow}]}`)
		a := n.start(nil)
		for family, want := range []string{"shop/printer", "office"} {
			if got := a.try(client, outside, family, serverPort); got != connected {
				t.Fatalf("%s", got)
			}
			await(t, "the flow to "+want, func() bool {
				for _, f := range a.list(flow.Filter{}) {
					if f.Destination.Kind == flow.PeerNetworkSet && f.Destination.SetName() == want {
						// S7: and the Log rule that it passed is told.
						logs := f.Logs.Hits()
						return len(logs) == 1 && logs[0].Rule == 0 && logs[0].Policy.Name == "client" && f.Enforced.Rule == 1
					}
				}
				return false
			})
		}
		a.agreed()
	})
}

// A ping that goes on is cut like any connection: its next message is refused
// and told.
func TestS11_ChangeCutsAPing(t *testing.T) {
	netnstest.Run(t, func(t *testing.T) {
		n := newNode(t)
		client, server := n.addPod("client"), n.addPod("server")
		n.policy("server", `{selector: app == 'server', types: [Ingress], ingress: [{action: Allow}]}`)
		a := n.start(nil)
		for family, typ := range []byte{8, 128} {
			n.message(client, server.addrs[family], typ, 0, 77)
			awaitLive(a, 1)
			cuts := a.status().CutConnections
			n.policy("server", `{selector: app == 'server', types: [Ingress]}`)
			a.sync()
			await(t, "the cut", func() bool { return a.status().CutConnections > cuts })
			before := deniedPackets(a)
			n.message(client, server.addrs[family], typ, 0, 77)
			await(t, "the refusal", func() bool { return deniedPackets(a) > before })
			awaitLive(a, 0)
			n.policy("server", `{selector: app == 'server', types: [Ingress], ingress: [{action: Allow}]}`)
			a.sync()
		}
		a.agreed()
	})
}
