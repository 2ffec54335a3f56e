//go:build linux

package enforce

import (
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/netpol-project/netpol/pkg/policy"
)

// The next agent knows what this one was told, as long as a route leads there and
// no newer pod has the address.
func TestAnnouncedForTheNextAgent(t *testing.T) {
	opts := &Options{Socket: filepath.Join(t.TempDir(), "agent.sock"), Log: slog.New(slog.DiscardHandler)}
	now := time.Now()
	first := recallAnnouncements(opts)
	for i, addr := range []string{"10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"} {
		w := tell("p"+addr[len(addr)-1:], now.Add(time.Hour), addr)
		if !first.put("c"+w.name, w, now) {
			t.Fatalf("no room for %d", i)
		}
	}
	first.forget("cp4")

	next := recallAnnouncements(opts)
	routes := &places{interfaces: map[netip.Addr]string{}}
	for _, addr := range []string{"10.0.0.1", "10.0.0.3", "10.0.0.4"} {
		routes.interfaces[netip.MustParseAddr(addr)] = "veth"
	}
	ep := func(name string, created int64, addrs ...string) *policy.Endpoint {
		return &policy.Endpoint{Namespace: first.by["cp1"].namespace, Name: name, Created: created, Addrs: addresses(addrs)}
	}
	next.check(&policy.Snapshot{Endpoints: []*policy.Endpoint{
		ep("old", 1, "10.0.0.1"), ep("p1", 2), ep("p2", 2), ep("p3", 2), ep("young", 3, "10.0.0.3"),
	}}, routes)
	known := []string{}
	for container := range recallAnnouncements(opts).by { // what was dropped is dropped for good
		known = append(known, container)
	}
	if !slices.Equal(known, []string{"cp1"}) {
		t.Errorf("known are %s, want cp1: no route leads to p2, another has p3's address, p4 was taken back", strings.Join(known, " "))
	}

	if err := os.WriteFile(first.path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if a := recallAnnouncements(opts); len(a.by) > 0 {
		t.Errorf("of a file that is broken: %d", len(a.by))
	}
	if err := os.WriteFile(first.path, []byte(`{"Boot":"another","Pods":[{"Container":"c"}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if a := recallAnnouncements(opts); len(a.by) > 0 {
		t.Errorf("of before the machine started: %d", len(a.by))
	}
}
