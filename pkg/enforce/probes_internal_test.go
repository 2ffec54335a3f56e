//go:build linux

package enforce

import (
	"net/netip"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/netpol-project/netpol/pkg/enforce/agentpb"
)

// Probes have a bound for each source address and in all: traffic that is marked
// stays out of reports. What is over makes room.
func TestProbesAreBounded(t *testing.T) {
	now := time.Unix(1000, 0)
	a := &Agent{probes: newProbes(func() time.Time { return now }), refusals: newRefusals(func() time.Time { return now })}
	s := &server{a: a}
	register := func(addr netip.Addr, port int) error {
		_, err := s.RegisterProbe(t.Context(), &agentpb.RegisterProbeRequest{
			Protocol: 6, SourceAddress: addr.String(), SourcePort: uint32(port), ValidMilliseconds: 1000,
		})
		return err
	}
	from := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}) }
	for host := range maxProbes / maxProbesOf {
		for port := range maxProbesOf {
			if err := register(from(host), 1+port); err != nil {
				t.Fatalf("probe %d of address %d: %v", port, host, err)
			}
		}
		if err := register(from(host), 60000); status.Code(err) != codes.ResourceExhausted {
			t.Fatalf("one more of an address: %v", err)
		}
	}
	if a.probes.has(source{6, from(0), 60000}, now) {
		t.Error("one that was refused is taken for a probe")
	}
	if err := register(from(200), 1); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("one more in all: %v", err)
	}
	now = now.Add(900 * time.Millisecond)
	if err := register(from(0), 1); err != nil {
		t.Errorf("one that is registered already: %v", err)
	}
	now = now.Add(200 * time.Millisecond) // all but that one are over
	if err := register(from(200), 1); err != nil {
		t.Errorf("room again: %v", err)
	}
	for _, port := range []int{60000, 60001} {
		if err := register(from(0), port); err != nil {
			t.Errorf("room again for an address: %v", err)
		}
	}
	if !a.probes.has(source{6, from(0), 1}, now) || a.probes.has(source{6, from(0), 2}, now) {
		t.Error("what is over is a probe, or what is not is none")
	}
	if len(a.probes.until) != 4 || len(a.probes.of) != 2 || a.probes.of[from(0)] != 3 {
		t.Errorf("%d probes are remembered, by address %v", len(a.probes.until), a.probes.of)
	}
}

// The reader of connections waits for whoever registers: that must not look at
// all that are registered, again and again.
func TestProbesAreSweptNowAndThen(t *testing.T) {
	now := time.Unix(1000, 0)
	p := newProbes(func() time.Time { return now })
	sweeps := 0
	for port := range 100 {
		if err := p.register(source{6, netip.AddrFrom4([4]byte{10}), uint16(1 + port)}, time.Second); err != nil {
			t.Fatal(err)
		}
		if p.swept.Equal(now) {
			sweeps++
		}
		now = now.Add(10 * time.Millisecond)
	}
	if sweeps != 10 {
		t.Errorf("%d sweeps in a second, want 10", sweeps)
	}
}
