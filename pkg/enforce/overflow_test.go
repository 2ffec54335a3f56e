//go:build linux

package enforce_test

import (
	"net"
	"net/netip"
	"testing"

	"github.com/netpol-project/netpol/internal/netnstest"
)

// A flood of refusals costs the agent a part of it only, and what it was not
// told is known.
func TestS7_AFloodIsCountedAsLost(t *testing.T) {
	netnstest.Run(t, func(t *testing.T) {
		n := newNode(t)
		client, server := n.addPod("client"), n.addPod("server")
		n.policy("server", shut8080)
		a := n.start(nil)
		const packets = 20_000
		n.must(in(client, func() error {
			conn, err := net.Dial("udp", netip.AddrPortFrom(server.addrs[0], serverPort).String())
			if err != nil {
				return err
			}
			defer conn.Close()
			for range packets {
				if _, err := conn.Write([]byte("x")); err != nil {
					return err
				}
			}
			return nil
		}))
		told := func() uint64 { return deniedPackets(a) + a.status().LostEvents }
		await(t, "all packets, told or lost", func() bool { return told() >= packets })
		if got := told(); got != packets {
			t.Errorf("%d packets told or lost, want %d", got, packets)
		}
		if lost := a.status().LostEvents; lost < packets/4 {
			t.Errorf("%d of %d packets were kept back, want more", lost, packets)
		}
	})
}
