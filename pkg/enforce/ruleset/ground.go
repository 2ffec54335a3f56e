package ruleset

import (
	"fmt"
	"slices"
	"strings"

	"github.com/netpol-project/netpol/pkg/tier"
)

// ground is how the rules of profiles divide the addresses: into classes that
// they judge alike. Profiles whose rules look at the same nets share it, and
// what follows from it; so ten thousand networks in a set cost a profile no
// more than one.
type ground struct {
	key      string // by name of what it is made from, not by content
	groups   []tier.GroundGroup
	terrains [2]*terrain // by family
}

// grounds are those in use.
type grounds struct {
	known map[string]*ground
	used  map[string]bool // in this compilation
}

// of finds or makes a ground.
func (gs *grounds) of(g tier.Ground) *ground {
	var b strings.Builder
	for _, n := range g.Nets {
		a := n.Addr().As16()
		b.Write(a[:])
		b.WriteByte(byte(n.Bits()))
		b.WriteByte(byte(n.Addr().BitLen()))
	}
	for i := range g.Groups {
		fmt.Fprintf(&b, "%d:%s", len(g.Groups[i].Name), g.Groups[i].Name)
	}
	key := b.String()
	known := gs.known[key]
	if known == nil || !gs.used[key] && !slices.EqualFunc(known.groups, g.Groups, sameGroup) {
		known = newGround(key, g)
		gs.known[key] = known
	}
	gs.used[key] = true
	return known
}

func sameGroup(a, b tier.GroundGroup) bool {
	return len(a.Nets) == len(b.Nets) && (len(a.Nets) == 0 || &a.Nets[0] == &b.Nets[0] || slices.Equal(a.Nets, b.Nets))
}

// sweep forgets grounds that nobody uses any more.
func (gs *grounds) sweep() {
	for key := range gs.known {
		if !gs.used[key] {
			delete(gs.known, key)
		}
	}
	clear(gs.used)
}

// peersMoved voids what is remembered of known peers' addresses.
func (gs *grounds) peersMoved() {
	for _, g := range gs.known {
		for _, t := range g.terrains {
			t.peers = nil
		}
	}
}

func newGround(key string, g tier.Ground) *ground {
	out := &ground{key: key, groups: g.Groups}
	for i := range families {
		out.terrains[i] = newTerrain(&families[i], key, g)
	}
	return out
}
