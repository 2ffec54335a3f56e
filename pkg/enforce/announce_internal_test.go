//go:build linux

package enforce

import (
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
	a.put("c1", tell("web", noon.Add(time.Minute), "10.0.0.2", "fd00::2"))
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
			a.put(c, tell("web", noon.Add(time.Minute), []string{"10.0.0.1", "10.0.0.2", "10.0.0.3"}[i]))
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
	a.put("c1", tell("web", noon.Add(time.Minute), "10.0.0.1"))
	a.put("c2", tell("db", noon.Add(time.Minute), "10.0.0.1"))
	if got := addrsOf(a.apply(api("web"), "n", noon)); len(got) > 0 {
		t.Errorf("got %v", got)
	}
}
