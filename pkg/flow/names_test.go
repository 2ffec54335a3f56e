package flow

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/netpol-project/netpol/pkg/policy"
)

func set(namespace, name string, nets ...string) *policy.NetworkSet {
	s := &policy.NetworkSet{Key: policy.Key{Kind: policy.KindGlobalNetworkSet, Namespace: namespace, Name: name}}
	if namespace != "" {
		s.Kind = policy.KindNetworkSet
	}
	for _, n := range nets {
		s.Nets = append(s.Nets, netip.MustParsePrefix(n))
	}
	return s
}

func TestS18_MostSpecificSetNamesTheFlow(t *testing.T) {
	names := NewSetNames([]*policy.NetworkSet{
		set("", "world", "0.0.0.0/0", "::/0"),
		set("", "office", "192.0.2.0/24", "2001:db8::/32"),
		set("shop", "office", "192.0.2.0/24"),
		set("shop", "printer", "192.0.2.7/32"),
	}, nil)
	for _, c := range []struct{ addr, want string }{
		{"192.0.2.7", "shop/printer"},
		{"192.0.2.8", "shop/office"}, // a namespaced set before a global one
		{"198.51.100.1", "world"},
		{"2001:db8::1", "office"},
		{"2001:db9::1", "world"},
		{"::ffff:192.0.2.7", "shop/printer"},
	} {
		got := names.Network(netip.MustParseAddr(c.addr))
		if got.Kind != PeerNetworkSet || got.SetName() != c.want || got.Addr.String() != c.addr {
			t.Errorf("%s: got %+v, want %s", c.addr, got, c.want)
		}
	}
	few := NewSetNames([]*policy.NetworkSet{set("", "office", "192.0.2.0/24")}, names)
	if got := few.Network(netip.MustParseAddr("198.51.100.1")); got != network("198.51.100.1") {
		t.Errorf("in no set: %+v", got)
	}
	if got := (*SetNames)(nil).Network(netip.MustParseAddr("198.51.100.1")); got != network("198.51.100.1") {
		t.Errorf("without sets: %+v", got)
	}
	// What a set named that there was then is named by those of now.
	old := Peer{Kind: PeerNetworkSet, Workload: policy.Workload{Name: "world"}, Addr: netip.MustParseAddr("198.51.100.1")}
	if got := few.Rename(old); got != network("198.51.100.1") {
		t.Errorf("named anew: %+v", got)
	}
	if w := workload("vote", "vote"); few.Rename(w) != w {
		t.Error("a workload got another name")
	}
}

func TestSetsAreFoundByNameAndAddress(t *testing.T) {
	p := set("shop", "printer", "192.0.2.7/32")
	k := tcp(workload("vote", "vote"), NewSetNames([]*policy.NetworkSet{p}, nil).Network(netip.MustParseAddr("192.0.2.7")), 631)
	for f, want := range map[string]bool{"printer": true, "shop/printer": true, "192.0.2.7": true, "vote/printer": false, "192.0.2.8": false} {
		if got := (Filter{To: f}).Match(k); got != want {
			t.Errorf("--to %s: %v", f, got)
		}
	}
	if !(Filter{Namespaces: []string{"shop"}}).Match(k) {
		t.Error("it is not found by its namespace")
	}
}

func TestS7_LogsKeepTheirOrder(t *testing.T) {
	hits := []policy.Hit{
		{Tier: "platform", Policy: policy.Key{Kind: policy.KindNetworkPolicy, Namespace: "shop", Name: "b"}, Rule: 3, Action: policy.Log},
		{Tier: "default", Policy: policy.Key{Kind: policy.KindGlobalNetworkPolicy, Name: "a"}, Action: policy.Log},
	}
	if d := cmp.Diff(hits, NewLogs(hits).Hits()); d != "" {
		t.Error(d)
	}
	if NewLogs(nil) != "" || Logs("").Hits() != nil || Logs("x\x00y").Hits() != nil {
		t.Error("what is nothing becomes something")
	}
	forged := hits[0]
	forged.Policy.Name = "x\x01y"
	if got := NewLogs([]policy.Hit{forged, hits[1]}).Hits(); len(got) != 1 || got[0] != hits[1] {
		t.Errorf("a name with a separator: %+v", got)
	}
}
