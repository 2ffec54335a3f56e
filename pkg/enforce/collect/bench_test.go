//go:build linux

package collect

import (
	"net/netip"
	"testing"
	"time"

	"github.com/netpol-project/netpol/pkg/enforce/internal/nfnl"
)

// Events of connections that begin and end, from the kernel's bytes to the
// agent: the figure for one event.
func BenchmarkEvent(b *testing.B) {
	var enc nfnl.Encoder
	const connections = 1000
	conn := Connection{Protocol: 6, Original: Tuple{
		Src: netip.MustParseAddr(clientAddr), Dst: netip.MustParseAddr(serverAddr), DstPort: 8080,
	}}
	for _, kind := range []uint16{ctNew, ctDelete} {
		for i := range uint32(connections) {
			conn.Original.SrcPort = uint16(i)
			enc.Begin(nfnl.Header{Type: 1<<8 | kind, Family: 2})
			encodeOriginal(&enc, &conn)
			enc.Uint32(ctaID, i)
			enc.End()
		}
	}
	told := 0
	t := teller{c: &Conntrack{}, mirror: newMirror(), each: func(*Event) { told++ }, pause: func() {}}
	ch := chunk{messages: enc.Bytes(), at: time.Unix(1, 0)}
	b.ReportAllocs()
	rounds := 0
	for b.Loop() {
		t.chunk(&ch)
		rounds++
	}
	if told != rounds*2*connections {
		b.Fatalf("%d events told, want %d", told, rounds*2*connections)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(told), "ns/event")
}
