package prober

import (
	"net/netip"
	"testing"
	"time"

	"github.com/netpol-project/netpol/internal/netnstest"
)

func TestPing(t *testing.T) {
	netnstest.Run(t, func(t *testing.T) {
		agent := &fakeAgent{}
		for _, tc := range []struct {
			protocol, from, to string
			agent              Agent
			want               Result
		}{
			{ICMP, "127.0.0.1", "127.0.0.2", agent, Connected},
			{ICMPv6, "::1", "::1", agent, Connected},
			{ICMP, "127.0.0.1", "198.51.100.1", agent, Error}, // no route
			{"SCTP", "127.0.0.1", "127.0.0.1", nil, Error},
		} {
			task := Task{ID: 3, Protocol: tc.protocol, Source: netip.MustParseAddr(tc.from),
				Destination: netip.AddrPortFrom(netip.MustParseAddr(tc.to), 0)}
			o := Run(t.Context(), tc.agent, []Task{task}, 300*time.Millisecond)[0]
			if o.Result != tc.want || o.ID != 3 || (o.Error != "") != (tc.want == Error) {
				t.Errorf("%s %s → %s: %+v, want %s", tc.protocol, tc.from, tc.to, o, tc.want)
			}
		}
		for source, protocol := range agent.registered {
			if source.Port() == 0 || protocol != ICMP && protocol != ICMPv6 {
				t.Errorf("registered %s %s: an identifier is never 0", protocol, source)
			}
		}
		if len(agent.registered) != 3 {
			t.Errorf("%d pings registered: %v", len(agent.registered), agent.registered)
		}
	})
}

// Pings side by side must not take each other's answers for theirs.
func TestPingsHaveIdentifiersOfTheirOwn(t *testing.T) {
	netnstest.Run(t, func(t *testing.T) {
		agent := &fakeAgent{}
		tasks := make([]Task, 100)
		for i := range tasks {
			tasks[i] = Task{ID: i, Protocol: ICMP, Source: loopback, Destination: netip.AddrPortFrom(loopback, 0)}
		}
		for _, o := range Run(t.Context(), agent, tasks, 5*time.Second) {
			if o.Result != Connected {
				t.Errorf("%+v", o)
			}
		}
		if len(agent.registered) != len(tasks) {
			t.Errorf("%d identifiers for %d pings", len(agent.registered), len(tasks))
		}
	})
}

func TestNumbersOfProtocols(t *testing.T) {
	for protocol, want := range map[string]uint32{TCP: 6, UDP: 17, ICMP: 1, ICMPv6: 58, "nonsense": 0} {
		if got := number(protocol); got != want {
			t.Errorf("%s: %d, want %d", protocol, got, want)
		}
	}
}
