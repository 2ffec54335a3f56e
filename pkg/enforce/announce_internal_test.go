//go:build linux

package enforce

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/netpol-project/netpol/pkg/policy"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

func tell(pod string, until time.Time, addrs ...string) *announced {
	return &announced{namespace: "ns", name: pod, addrs: addresses(addrs), until: until}
}

func addresses(list []string) (out []netip.Addr) {
	for _, a := range list {
		out = append(out, netip.MustParseAddr(a))
	}
	return out
}

// api is a cluster with one pod of node n, which has addresses.
func api(pod string, addrs ...string) *policy.Snapshot {
	return &policy.Snapshot{Endpoints: []*policy.Endpoint{{Namespace: "ns", Name: pod, Node: "n", Addrs: addresses(addrs)}}}
}

func addrsOf(s *policy.Snapshot) []netip.Addr { return s.Endpoints[0].Addrs }

// The addresses that the plugin told count until the API server has them.
func TestAnnouncedUntilTheAPIKnows(t *testing.T) {
	a := newAnnouncements()
	a.put("c1", tell("web", noon.Add(time.Minute), "10.0.0.2", "fd00::2"), noon)
	for _, c := range []struct{ has, want []string }{
		{has: nil, want: []string{"10.0.0.2", "fd00::2"}},
		{has: []string{"10.0.0.1"}, want: []string{"10.0.0.2", "fd00::2"}}, // of the sandbox before
		{has: []string{"10.0.0.2"}, want: []string{"10.0.0.2", "fd00::2"}}, // not all yet
		{has: []string{"10.0.0.2", "fd00::2"}, want: []string{"10.0.0.2", "fd00::2"}},
		{has: []string{"10.0.0.3"}, want: []string{"10.0.0.3"}}, // from then on the API server says
	} {
		if got := addrsOf(a.apply(api("web", c.has...), "n", noon)); !slices.Equal(got, addresses(c.want)) {
			t.Errorf("the API server has %v: got %v, want %v", c.has, got, c.want)
		}
	}
}

// Of two sandboxes of one pod the later counts, also once the API server knows.
func TestAnnouncedLaterSandboxCounts(t *testing.T) {
	for range 50 { // the order of a map
		a := newAnnouncements()
		for i, c := range []string{"c1", "c2", "c3"} {
			a.put(c, tell("web", noon.Add(time.Minute), []string{"10.0.0.1", "10.0.0.2", "10.0.0.3"}[i]), noon)
		}
		a.forget("c1") // told late
		for _, has := range []string{"10.0.0.1", "10.0.0.3", "10.0.0.3"} {
			if got := addrsOf(a.apply(api("web", has), "n", noon)); !slices.Equal(got, addresses([]string{"10.0.0.3"})) {
				t.Fatalf("the API server has %s: got %v", has, got)
			}
		}
	}
}

// An address that another pod has got is the former one's no more.
func TestAnnouncedAddressOfAnotherPod(t *testing.T) {
	a := newAnnouncements()
	a.put("c1", tell("web", noon.Add(time.Minute), "10.0.0.1"), noon)
	a.put("c2", tell("db", noon.Add(time.Minute), "10.0.0.1"), noon)
	if got := addrsOf(a.apply(api("web"), "n", noon)); len(got) > 0 {
		t.Errorf("got %v", got)
	}
}

// A pod that runs keeps its addresses however long the API server is away; what
// ends that is the pod's end, or the plugin.
func TestS31_AnnouncedThroughAnOutage(t *testing.T) {
	a := newAnnouncements()
	a.put("c1", tell("web", noon.Add(announceLife), "10.0.0.2"), noon)
	told := addresses([]string{"10.0.0.2"})
	snap := api("web")
	first := a.apply(snap, "n", noon)
	later := noon.Add(10 * announceLife)
	if a.apply(snap, "n", later) != first {
		t.Error("nothing changed, and it is another snapshot")
	}
	for _, has := range [][]string{nil, {"10.0.0.1"}} {
		if got := addrsOf(a.apply(api("web", has...), "n", later)); !slices.Equal(got, told) {
			t.Errorf("after a long time, the API server has %v: got %v", has, got)
		}
	}
	a.forget("c1")
	if got := addrsOf(a.apply(api("web"), "n", later)); len(got) > 0 {
		t.Errorf("taken back: got %v", got)
	}
	a.put("c2", tell("web", noon.Add(announceLife), "10.0.0.3"), noon)
	a.apply(api("other"), "n", later)
	if got := addrsOf(a.apply(api("web"), "n", later)); len(got) > 0 {
		t.Errorf("another pod of the name: got %v", got)
	}
}

// What was told of pods that nobody knows is bounded.
func TestAnnouncedBound(t *testing.T) {
	a := newAnnouncements()
	put := func(i int, now time.Time) bool {
		addr := netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)})
		return a.put(fmt.Sprint("c", i), tell(fmt.Sprint("p", i), now.Add(announceLife), addr.String()), now)
	}
	for i := range maxAnnounced {
		if !put(i, noon) {
			t.Fatalf("no room for %d", i)
		}
	}
	a.apply(api("p7"), "n", noon)
	if put(maxAnnounced, noon) {
		t.Error("room without end")
	}
	later := noon.Add(2 * announceLife)
	if !put(maxAnnounced, later) {
		t.Error("no room when those before are of no use any more")
	}
	if got := addrsOf(a.apply(api("p7"), "n", later)); len(got) != 1 {
		t.Errorf("a pod that runs made room: %v", got)
	}
}
