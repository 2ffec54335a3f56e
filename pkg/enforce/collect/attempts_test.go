//go:build linux

package collect

import (
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestAttempts(t *testing.T) {
	start := time.Unix(1_000_000, 0)
	packet := func(after time.Duration, protocol uint8, sport uint16, seq uint32, flags string) *Denied {
		return &Denied{Time: start.Add(after), Packet: Packet{
			Src: netip.MustParseAddr(clientAddr), Dst: netip.MustParseAddr(serverAddr),
			Protocol: protocol, SrcPort: sport, DstPort: deniedPort, TCPSeq: seq,
			SYN: flags == "S" || flags == "SA", ACK: flags == "A" || flags == "SA",
		}}
	}
	const tcp, udp, icmp = unix.IPPROTO_TCP, unix.IPPROTO_UDP, unix.IPPROTO_ICMP
	a := NewAttempts(1000)
	for i, c := range []struct {
		packet *Denied
		first  bool
	}{
		{packet(0, tcp, 1, 100, "S"), true},
		{packet(time.Second, tcp, 1, 100, "S"), false}, // sent again
		{packet(3*time.Second, tcp, 1, 100, "S"), false},
		{packet(63*time.Second, tcp, 1, 100, "S"), false}, // and again, after a long pause
		{packet(64*time.Second, tcp, 1, 999, "S"), true},  // a new connection from the same port
		{packet(64*time.Second, tcp, 2, 100, "S"), true},
		{packet(64*time.Second, tcp, 3, 100, "A"), true}, // within a connection that was cut
		{packet(65*time.Second, tcp, 3, 200, "A"), false},
		{packet(0, udp, 1, 0, ""), true},
		{packet(29*time.Second, udp, 1, 0, ""), false},
		{packet(58*time.Second, udp, 1, 0, ""), false},
		{packet(89*time.Second, udp, 1, 0, ""), true}, // 31 s of silence
		{packet(89*time.Second, udp, 2, 0, ""), true},
		{packet(89*time.Second, icmp, 0, 0, ""), true},
		{packet(90*time.Second, icmp, 0, 0, ""), false},
	} {
		if got := a.First(c.packet); got != c.first {
			t.Errorf("packet %d: first is %v, want %v", i, got, c.first)
		}
	}
	if attempts, packets, forgotten := a.Counts(); attempts != 8 || packets != 15 || forgotten != 0 {
		t.Errorf("%d attempts of %d packets, %d forgotten; want 8 of 15", attempts, packets, forgotten)
	}
}

func TestAttemptsHaveABoundedMemory(t *testing.T) {
	a := NewAttempts(100)
	d := &Denied{Time: time.Unix(1_000_000, 0), Packet: Packet{
		Src: netip.MustParseAddr(clientAddr), Dst: netip.MustParseAddr(serverAddr), Protocol: unix.IPPROTO_TCP, SYN: true,
	}}
	for i := range uint32(10_000) {
		d.TCPSeq = i
		d.Time = d.Time.Add(time.Millisecond)
		if !a.First(d) {
			t.Fatalf("attempt %d is not a first one", i)
		}
		if a.First(d) {
			t.Fatalf("attempt %d counts twice", i)
		}
	}
	if n := len(a.recent) + len(a.before); n > 101 {
		t.Errorf("%d remembered, want at most 100", n)
	}
	if _, packets, forgotten := a.Counts(); packets != 20_000 || forgotten < 9_000 {
		t.Errorf("%d packets, %d forgotten", packets, forgotten)
	}
}
