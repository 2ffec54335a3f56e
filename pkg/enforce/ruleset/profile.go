package ruleset

import (
	"fmt"
	"hash/fnv"
	"net/netip"
	"slices"
	"strings"

	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

// local is a pod of this node with the addresses that it owns, at most one of
// each family (Kubernetes gives a pod no more).
type local struct {
	ep    *policy.Endpoint
	iface string
	addrs [2]netip.Addr
	// shared: others are behind the interface, too.
	shared bool
}

func sameLocal(a, b *local) bool {
	return a.iface == b.iface && a.shared == b.shared && a.addrs == b.addrs && a.ep.ID() == b.ep.ID()
}

// profile is the local pods that are judged alike in one direction.
type profile struct {
	key     string
	dir     policy.Direction
	name    string // of its chains and sets: in-vote-db-3fa1
	comment string
	members []*local // sorted by pod
	tables  [2]*table
	// variants are the tables for other classes of source ports than the first,
	// by family and class - 1; sources are all classes, divided says that they
	// are others than last time.
	variants [2][]*table
	sources  [][]policy.PortRange
	divided  bool
	pods     []*Set // by which its members are found
	settled  bool   // pods are those of the present members
	// unchanged says that the tables were judged with this key, and model with
	// which model; nil if there are none yet.
	unchanged bool
	model     *tier.Model
	// sample is the member that the model is asked about.
	sample *local
}

func (p *profile) outward() bool { return p.dir == policy.Egress }

// profiles groups local pods by key, those that no policy selects apart.
// Profiles come sorted by their first pod.
func profiles(in *Input, dir policy.Direction, locals []*local) (list []*profile, open []*local) {
	byKey := map[string]*profile{}
	for _, l := range locals {
		key := in.Model.Profile(in.Scope, dir, l.ep)
		if key == "" {
			open = append(open, l)
			continue
		}
		p := byKey[key]
		if p == nil {
			p = &profile{key: key, dir: dir}
			byKey[key] = p
			list = append(list, p)
		}
		p.members = append(p.members, l)
	}
	return list, open
}

// inherit gives each profile the name and tables of the old profile it goes
// on from: the one with the same key, else one that is gone and had one of its
// pods. So a change of policy changes elements, not the names of everything.
func inherit(now, old []*profile) {
	byKey := make(map[string]*profile, len(old))
	for _, p := range old {
		byKey[p.key] = p
	}
	taken := map[string]bool{} // names, and with them the profiles that had them
	var rest []*profile
	for _, p := range now {
		p.sample = p.members[0]
		if o := byKey[p.key]; o != nil {
			p.succeed(o)
			taken[p.name] = true
		} else {
			rest = append(rest, p)
		}
	}
	if len(rest) == 0 {
		return
	}
	byPod := map[string]*profile{}
	for _, p := range old {
		for _, l := range p.members {
			byPod[l.ep.ID()] = p
		}
	}
	for _, p := range rest {
		for _, l := range p.members {
			if o := byPod[l.ep.ID()]; p.name == "" && o != nil && !taken[o.name] {
				p.succeed(o)
				p.sample = l
				taken[p.name] = true
			}
		}
	}
	for _, p := range rest {
		for salt := 0; p.name == ""; salt++ {
			if n := p.freshName(salt); !taken[n] {
				p.name = n
				taken[n] = true
			}
		}
	}
}

func (p *profile) succeed(o *profile) {
	p.name, p.tables, p.model = o.name, o.tables, o.model
	p.variants, p.sources = o.variants, o.sources
	p.pods, p.settled = o.pods, slices.EqualFunc(p.members, o.members, sameLocal)
	if p.unchanged = o.key == p.key; p.unchanged {
		p.comment = o.comment
	}
}

// freshName is in-vote-db-3fa1: direction, first workload and a hash of the
// first pod, which is in no other profile of the direction.
func (p *profile) freshName(salt int) string {
	ep := p.members[0].ep
	dir := "in"
	if p.outward() {
		dir = "out"
	}
	w := ep.Workload
	if w.Name == "" {
		w.Namespace, w.Name = ep.Namespace, ep.Name
	}
	h := fnv.New32a()
	fmt.Fprintf(h, "%s\x00%d", ep.ID(), salt)
	return fmt.Sprintf("%s-%s-%04x", dir, identifier(w.Namespace+"-"+w.Name), h.Sum32()&0xffff)
}

// identifier keeps what nft takes in a name, and not too much of it.
func identifier(s string) string {
	s = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' {
			return r
		}
		return '_'
	}, s)
	return s[:min(len(s), 48)]
}

// describe is the comment of the profile's chains: who it is about and which
// policies judge it.
func (p *profile) describe(in *Input) string {
	var b strings.Builder
	ep := p.sample.ep
	fmt.Fprintf(&b, "%s of %s/%s", p.dir, ep.Namespace, ep.Name)
	sep := ": "
	for _, pol := range in.Model.Selecting(in.Scope, p.dir, ep) {
		if b.Len() > maxComment {
			break
		}
		b.WriteString(sep + pol.Key.String())
		sep = ", "
	}
	return clip(b.String(), maxComment)
}

// having is a member that has an address of family f, or nil.
func (p *profile) having(f int) *local {
	if p.sample.addrs[f].IsValid() {
		return p.sample
	}
	for _, l := range p.members {
		if l.addrs[f].IsValid() {
			return l
		}
	}
	return nil
}
