//go:build linux

package collect

import (
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/netpol-project/netpol/pkg/enforce/internal/nfnl"
)

// ctMessage is a conntrack entry as the kernel writes it, as far as names go.
func ctMessage(c Connection) []byte {
	var enc nfnl.Encoder
	enc.Begin(nfnl.Header{Type: unix.NFNL_SUBSYS_CTNETLINK<<8 | ctNew})
	encodeOriginal(&enc, &c)
	enc.Uint32(ctaID, c.ID)
	if c.Zone != 0 {
		enc.Uint16(ctaZone, c.Zone)
	}
	enc.End()
	return enc.Bytes()
}

func connections() []Connection {
	v4 := Tuple{Src: netip.MustParseAddr("10.0.0.1"), Dst: netip.MustParseAddr("10.0.0.2"), SrcPort: 40000, DstPort: 80}
	v6 := Tuple{Src: netip.MustParseAddr("fd00::1"), Dst: netip.MustParseAddr("fd00::2"), SrcPort: 40000, DstPort: 53}
	return []Connection{
		{ID: 7, Protocol: unix.IPPROTO_TCP, Original: v4, Zone: 3},
		{ID: 8, Protocol: unix.IPPROTO_UDP, Original: v6},
		{ID: 9, Protocol: unix.IPPROTO_ICMP, Original: Tuple{Src: v4.Src, Dst: v4.Dst}, ICMPID: 5, ICMPType: 8},
		{ID: 10, Protocol: unix.IPPROTO_ICMPV6, Original: Tuple{Src: v6.Src, Dst: v6.Dst}, ICMPID: 5, ICMPType: 128, ICMPCode: 1},
	}
}

func TestConntrackEntryIsReadAsItWasWritten(t *testing.T) {
	for _, want := range connections() {
		m, _, err := nfnl.Next(ctMessage(want))
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := decode(m.Body); !ok || got != want {
			t.Errorf("got %+v, %v; want %+v", got, ok, want)
		}
	}
}

// What is read of an entry names it to the kernel: written and read again, it
// is the same. Nothing that comes may crash the agent.
func FuzzConntrack(f *testing.F) {
	for _, c := range connections() {
		f.Add(ctMessage(c))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for len(b) > 0 {
			m, rest, err := nfnl.Next(b)
			if err != nil {
				return
			}
			if len(rest) >= len(b) {
				t.Fatalf("%d bytes are left of %d", len(rest), len(b))
			}
			b = rest
			c, ok := decode(m.Body)
			if !ok || c.Original.Src.Is4() != c.Original.Dst.Is4() {
				continue
			}
			if c.Forward().DstPort != 0 && !c.Reply.Src.IsValid() && c.Reply.SrcPort == 0 && !isICMP(c.Protocol) {
				t.Errorf("a port from nowhere: %+v", c)
			}
			named, _, err := nfnl.Next(ctMessage(c))
			if err != nil {
				t.Fatal(err)
			}
			again, ok := decode(named.Body)
			want := Connection{ID: c.ID, Zone: c.Zone, Protocol: c.Protocol, Original: c.Original}
			if isICMP(c.Protocol) {
				want.ICMPID, want.ICMPType, want.ICMPCode = c.ICMPID, c.ICMPType, c.ICMPCode
				want.Original.SrcPort, want.Original.DstPort = 0, 0
			}
			if !ok || again != want {
				t.Errorf("got %+v, want %+v", again, want)
			}
		}
	})
}

// logged is an nflog message.
func logged(prefix string, seq uint32, payload []byte) []byte {
	var enc nfnl.Encoder
	enc.Begin(nfnl.Header{Type: unix.NFNL_SUBSYS_ULOG<<8 | nfulnlPacket})
	enc.Put(nfulaPacketHdr, []byte{8, 0, 2, 0})
	enc.Put(nfulaTimestamp, []byte{0, 0, 0, 0, 0x69, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9})
	enc.Uint32(nfulaInDev, 2)
	enc.Uint32(nfulaOutDev, 3)
	enc.String(nfulaPrefix, prefix)
	enc.Uint32(nfulaSeq, seq)
	enc.Put(nfulaPayload, payload)
	enc.End()
	return enc.Bytes()
}

func TestLoggedPacketIsRead(t *testing.T) {
	var l Log
	var got []Denied
	b := append(logged("netpol:17", 1, ipv4(1, 0, 8, 0, 0, 0, 0, 9)), logged("netpol:18", 4, ipv6(17, 0, 1, 0, 53, 0, 8))...)
	l.datagram(b, time.Now(), func(d *Denied) { got = append(got, *d) })
	if len(got) != 2 || got[0].Prefix != "netpol:17" || got[0].DstPort != 0x800 || got[0].SrcPort != 9 || got[1].DstPort != 53 || got[1].IIf != 2 {
		t.Errorf("got %+v", got)
	}
	if l.gaps.Load() != 2 || l.unknown.Load() {
		t.Errorf("%d lost, unknown %v", l.gaps.Load(), l.unknown.Load())
	}
}

func FuzzLog(f *testing.F) {
	f.Add(logged("netpol:17", 1, ipv4(6, 0, make([]byte, 20)...)))
	f.Add(append(logged("netpol:17", 1, ipv4(1, 0, 8, 0)), logged("x", 9, ipv6(58, 128, 0, 0, 0, 0, 1))...))
	f.Fuzz(func(t *testing.T, b []byte) {
		var l Log
		attempts := NewAttempts(8)
		n := 0
		l.datagram(b, time.Unix(0, 0), func(d *Denied) {
			n++
			attempts.First(d)
			if !d.Src.IsValid() || !d.Dst.IsValid() {
				t.Errorf("a packet without addresses: %+v", d)
			}
			if len(d.Prefix) > len(b) {
				t.Errorf("a prefix of %d bytes out of %d", len(d.Prefix), len(b))
			}
		})
		if n > len(b)/20 {
			t.Errorf("%d packets in %d bytes", n, len(b))
		}
		if len(attempts.recent)+len(attempts.before) > 8 {
			t.Errorf("%d attempts are kept", len(attempts.recent)+len(attempts.before))
		}
	})
}
