//go:build linux

package enforce

import (
	"net/netip"
	"testing"
)

// TestPlacesEqualSeesEveryChange: what is taken for the same is not told to
// the agent, so a pod interface that joined a bridge must make a difference:
// its traffic does not pass our hooks any more.
func TestPlacesEqualSeesEveryChange(t *testing.T) {
	a, b := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")
	base := func() *places {
		return &places{
			interfaces: map[netip.Addr]string{a: "np1"}, own: map[netip.Addr]bool{b: true}, bridged: []string{"np2"},
		}
	}
	if !base().equal(base()) {
		t.Error("the same is told as a change")
	}
	for name, change := range map[string]func(*places){
		"a pod came":             func(p *places) { p.interfaces[b] = "np3" },
		"a pod moved":            func(p *places) { p.interfaces[a] = "np3" },
		"an address of ours":     func(p *places) { p.own[a] = true },
		"one joined a bridge":    func(p *places) { p.bridged = append(p.bridged, "np3") },
		"one left its bridge":    func(p *places) { p.bridged = nil },
		"another joined it":      func(p *places) { p.bridged[0] = "np4" },
		"a pod went":             func(p *places) { delete(p.interfaces, a) },
		"an address was removed": func(p *places) { delete(p.own, b) },
	} {
		p := base()
		change(p)
		if p.equal(base()) {
			t.Errorf("%s: not seen", name)
		}
	}
	if base().equal(nil) {
		t.Error("the first is not told")
	}
}
