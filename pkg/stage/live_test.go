package stage

import (
	"net/netip"
	"testing"
	"time"

	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

// open is a connection between pods of impactWorld, or from an address.
func open(from, to, src, dst string, since time.Duration) Open {
	return Open{
		Source: impactPeer(from), Destination: impactPeer(to), Protocol: policy.TCP,
		From: netip.MustParseAddrPort(src), To: netip.MustParseAddrPort(dst), Since: seen.Add(-since),
	}
}

func TestS29_OpenConnectionsThatWouldBeCut(t *testing.T) {
	// 10.0.0.1 db, .2 redis, .3 vote, .4 worker
	enforced := np(policy.KindNetworkPolicy, "db", "db", policy.Ingress, allowFrom("app == 'worker'"))
	redis := np(policy.KindStagedNetworkPolicy, "redis", "redis", policy.Ingress, allowFrom("app == 'worker'"))
	m := impactWorld(sortedPolicies(enforced, redis)...)
	conns := []Open{
		open("vote", "redis", "10.0.0.3:4001", "10.0.0.2:6379", time.Minute),
		open("vote", "redis", "10.0.0.3:4002", "10.0.0.2:6379", time.Hour),
		open("vote", "redis", "10.0.0.3:4001", "10.0.0.2:6379", 2*time.Minute), // the other end's agent
		open("worker", "redis", "10.0.0.4:4003", "10.0.0.2:6379", time.Hour),   // stays allowed
		open("vote", "db", "10.0.0.3:4004", "10.0.0.1:5432", time.Hour),        // refused now
		open("n1", "redis", "10.9.9.9:4005", "10.0.0.2:6379", time.Hour),       // its own host (S12)
		open("n2", "redis", "10.9.9.8:4006", "10.0.0.2:6379", time.Second),     // another node
		open("redis", "redis", "10.0.0.2:4007", "10.0.0.2:6379", time.Hour),    // itself (S32)
	}
	got := Cuts(m, conns, tier.Pending())
	want := []struct {
		port uint16
		age  time.Duration
	}{{4002, time.Hour}, {4001, 2 * time.Minute}, {4006, time.Second}}
	if len(got) != len(want) {
		t.Fatalf("got %+v", got)
	}
	for i, w := range want {
		if got[i].SourcePort != w.port || !got[i].Since.Equal(seen.Add(-w.age)) {
			t.Errorf("%d: port %d since %v, want %d, %v old", i, got[i].SourcePort, got[i].Since, w.port, w.age)
		}
	}
	if by := got[0].BlockedBy; by == nil || by.Name != "redis" || got[0].Direction != "Ingress" {
		t.Errorf("by %+v", got[0])
	}
	if left := Cuts(m, conns, tier.Enforced()); len(left) != 0 {
		t.Errorf("nothing changes, and %+v", left)
	}
}

func TestS29_TheEndThatKnowsTheBeginningIsRight(t *testing.T) {
	redis := np(policy.KindStagedNetworkPolicy, "redis", "redis", policy.Ingress)
	a := open("vote", "redis", "10.0.0.3:4001", "10.0.0.2:6379", time.Hour)
	b := open("vote", "redis", "10.0.0.3:4001", "10.0.0.2:6379", time.Minute)
	b.AtLeast = true
	for _, conns := range [][]Open{{a, b}, {b, a}} {
		got := Cuts(impactWorld(redis), conns, tier.Pending())
		if len(got) != 1 || got[0].AtLeast || !got[0].Since.Equal(seen.Add(-time.Hour)) {
			t.Errorf("got %+v", got)
		}
	}
}
