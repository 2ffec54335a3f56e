//go:build linux

package netnstest_test

import (
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/netpol-project/netpol/internal/netnstest"
)

func TestRunHasItsOwnNetwork(t *testing.T) {
	netnstest.Run(t, func(t *testing.T) {
		if !netnstest.Inside() {
			t.Fatal("not inside")
		}
		links, err := netlink.LinkList()
		if err != nil {
			t.Fatal(err)
		}
		if len(links) == 0 || links[0].Attrs().Name != "lo" || links[0].Attrs().Flags&net.FlagUp == 0 {
			t.Fatalf("want the loopback, up, got %v", links)
		}
		if os.Geteuid() != 0 {
			t.Fatalf("want root inside, got user %d", os.Geteuid())
		}
		t.Run("sub", func(t *testing.T) {})
	})
}

func TestVethJoinsNamespacesThroughARouter(t *testing.T) {
	netnstest.Run(t, func(t *testing.T) {
		for _, family := range []struct{ name, client, router, server, router2, all string }{
			{"IPv4", "10.1.0.2/24", "10.1.0.1/24", "10.2.0.2/24", "10.2.0.1/24", "0.0.0.0/0"},
			{"IPv6", "fd01::2/64", "fd01::1/64", "fd02::2/64", "fd02::1/64", "::/0"},
		} {
			t.Run(family.name, func(t *testing.T) {
				client, router, server := netnstest.NewNS(t), netnstest.NewNS(t), netnstest.NewNS(t)
				end := func(ns *netnstest.NS, name, addr string) netnstest.End {
					return netnstest.End{NS: ns, Name: name, Addrs: []netip.Prefix{netip.MustParsePrefix(addr)}}
				}
				netnstest.Veth(t, end(client, "eth0", family.client), end(router, "a0", family.router))
				netnstest.Veth(t, end(server, "eth0", family.server), end(router, "b0", family.router2))
				netnstest.Forward(t, router)
				all := netip.MustParsePrefix(family.all)
				netnstest.Route(t, client, all, netip.MustParsePrefix(family.router).Addr())
				netnstest.Route(t, server, all, netip.MustParsePrefix(family.router2).Addr())

				address := net.JoinHostPort(netip.MustParsePrefix(family.server).Addr().String(), "8080")
				var listener net.Listener
				server.Must(t, func() (err error) {
					listener, err = net.Listen("tcp", address)
					return err
				})
				defer listener.Close()
				client.Must(t, func() error {
					conn, err := net.DialTimeout("tcp", address, 5*time.Second)
					if err != nil {
						return err
					}
					return conn.Close()
				})
			})
		}
	})
}
