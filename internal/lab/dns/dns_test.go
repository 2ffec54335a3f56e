package dns

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/miekg/dns"

	"github.com/netpol-project/netpol/internal/lab/plan"
)

func addrs(s ...string) (out []netip.Addr) {
	for _, a := range s {
		out = append(out, netip.MustParseAddr(a))
	}
	return out
}

func testZone() Zone {
	headless := plan.Service{Namespace: "vote", Name: "many"}
	for i := range 100 {
		headless.Pods = append(headless.Pods, netip.MustParseAddr(fmt.Sprintf("10.244.0.%d", i+2)))
	}
	return NewZone([]plan.Service{
		{Namespace: "vote", Name: "redis", Addrs: addrs("10.96.0.21", "fd00:10:96::15")},
		{Namespace: "vote", Name: "four", Addrs: addrs("10.96.0.22")},
		{Namespace: "wordpress", Name: "mysql", Addrs: addrs("10.96.0.23")},
		headless,
	})
}

func TestAnswer(t *testing.T) {
	for _, tc := range []struct {
		name  string
		qtype uint16
		rcode int
		want  string
	}{
		{"redis.vote.svc.cluster.local.", dns.TypeA, dns.RcodeSuccess, "10.96.0.21"},
		{"REDIS.vote.svc.Cluster.local.", dns.TypeA, dns.RcodeSuccess, "10.96.0.21"},
		{"redis.vote.svc.cluster.local.", dns.TypeAAAA, dns.RcodeSuccess, "fd00:10:96::15"},
		{"four.vote.svc.cluster.local.", dns.TypeAAAA, dns.RcodeSuccess, ""},
		{"redis.wordpress.svc.cluster.local.", dns.TypeA, dns.RcodeNameError, ""},
		{"redis.", dns.TypeA, dns.RcodeRefused, ""},
		{"example.com.", dns.TypeA, dns.RcodeRefused, ""},
	} {
		reply := testZone().Answer(new(dns.Msg).SetQuestion(tc.name, tc.qtype))
		if reply.Rcode != tc.rcode {
			t.Errorf("%s: %s, want %s", tc.name, dns.RcodeToString[reply.Rcode], dns.RcodeToString[tc.rcode])
		}
		got := ""
		for _, rr := range reply.Answer {
			if a, ok := address(rr); ok {
				got += a.String()
			}
		}
		if got != tc.want {
			t.Errorf("%s: answer %q, want %q", tc.name, got, tc.want)
		}
	}
}

// serve runs a server on loopback and returns a client of it.
func serve(t *testing.T, search ...string) *Client {
	t.Helper()
	udp, tcp := both(t)
	at := udp.LocalAddr().(*net.UDPAddr)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- Serve(ctx, testZone(), udp, tcp) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return &Client{Servers: addrs("127.0.0.1"), Port: uint16(at.Port), Search: search}
}

// both listens to UDP and TCP on one port. What is free for one of them may be
// taken for the other.
func both(t *testing.T) (net.PacketConn, net.Listener) {
	t.Helper()
	var err error
	for range 100 {
		var udp net.PacketConn
		if udp, err = net.ListenPacket("udp", "127.0.0.1:0"); err != nil {
			continue
		}
		var tcp net.Listener
		if tcp, err = net.Listen("tcp", udp.LocalAddr().String()); err == nil {
			return udp, tcp
		}
		_ = udp.Close()
	}
	t.Fatal(err)
	return nil, nil
}

func TestLookup(t *testing.T) {
	c := serve(t, plan.Search("vote")...)
	for _, tc := range []struct {
		host string
		want []netip.Addr
		err  string
	}{
		{"redis", addrs("10.96.0.21", "fd00:10:96::15"), ""},
		{"four", addrs("10.96.0.22"), ""},
		{"mysql.wordpress", addrs("10.96.0.23"), ""},
		{"mysql.wordpress.svc.cluster.local", addrs("10.96.0.23"), ""},
		{"192.0.2.7", addrs("192.0.2.7"), ""},
		{"mysql", nil, "no such name"},
	} {
		got, err := c.Lookup(t.Context(), tc.host)
		if tc.err != "" {
			if err == nil || !strings.Contains(err.Error(), tc.err) {
				t.Errorf("%s: error %v, want %q", tc.host, err, tc.err)
			}
			continue
		}
		if diff := cmp.Diff(tc.want, got, cmpopts.EquateComparable(netip.Addr{})); err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", tc.host, err, diff)
		}
	}
}

func TestLookupFallsBackToTCPForLongAnswers(t *testing.T) {
	got, err := serve(t, plan.Search("vote")...).Lookup(t.Context(), "many")
	if err != nil || len(got) != 100 {
		t.Errorf("%d addresses, %v; want 100", len(got), err)
	}
}

func TestLookupSaysThatNobodyAnswers(t *testing.T) {
	silent, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	ctx, cancel := context.WithTimeout(t.Context(), tryTime/10)
	defer cancel()
	c := Client{Servers: addrs("127.0.0.1"), Port: uint16(silent.LocalAddr().(*net.UDPAddr).Port)}
	if _, err := c.Lookup(ctx, "redis"); err == nil || !strings.Contains(err.Error(), "no answer from DNS at 127.0.0.1") {
		t.Errorf("error %v", err)
	}
}
