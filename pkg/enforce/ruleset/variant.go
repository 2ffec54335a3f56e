package ruleset

import (
	"fmt"
	"iter"
	"slices"

	"github.com/netpol-project/netpol/pkg/policy"
)

// Rules that look at source ports divide those into classes that are judged
// alike. A profile's chain leads the classes to chains of their own: the first
// class, with the ports that programs get by themselves, has the profile's
// table, and each other one a variant, which says only what differs from that.
// Mostly this is a handful of peers, so what divides ports costs little more
// than what does not. Profiles without such rules have nothing of all this.

// maxSources is how many classes of source ports are told apart in a profile.
// What a policy's author can ask for beyond that would take the node's memory;
// it is refused (IDSource).
const maxSources = 256

// portProtocols have source ports.
var portProtocols = [...]policy.Protocol{policy.TCP, policy.UDP, policy.SCTP}

// divide asks for the classes of source ports.
func (p *profile) divide(in *Input) {
	sources := in.Model.SourcePorts(in.Scope, p.dir, p.sample.ep)
	p.divided = !slices.EqualFunc(sources, p.sources, slices.Equal)
	p.sources = sources
}

// askedPort is the port that the model is asked about for a class; 0, which
// stands for the first class there, if it has no other.
func askedPort(class []policy.PortRange) uint16 { return class[len(class)-1].Max }

// vary brings the variants of a table to the asker's model.
func (p *profile) vary(a *asker, first *table, c *changes, again []int, all bool) {
	list := p.variants[first.fam.index]
	list = list[:min(len(list), max(0, len(p.sources)-1), maxSources-1)]
	for i := 1; i < min(len(p.sources), maxSources); i++ {
		anew := all || p.divided
		if i > len(list) {
			list = append(list, &table{fam: first.fam, class: i, inside: map[class]answerID{}})
			anew = true
		}
		t, port := list[i-1], askedPort(p.sources[i])
		if port == 0 { // nothing to ask, so nothing to say
			*t = table{fam: first.fam, class: i, inside: map[class]answerID{}}
			continue
		}
		anew = anew || t.first != first
		t.first = first
		of := *a
		of.first, of.question.sourcePort = a, port
		t.followFirst(&of, p, c, again, anew)
		t.emit(&of, p, nil)
	}
	p.variants[first.fam.index] = list
}

// followFirst is follow for a variant. It makes all elements anew: most peers
// need none, so there is little to save, and what the first table says of the
// peers before the change is gone.
func (t *table) followFirst(a *asker, p *profile, c *changes, again []int, anew bool) {
	if !anew && p.unchanged && len(again)+len(c.moves) == 0 {
		return
	}
	if anew {
		clear(t.outside)
		clear(t.inside)
	}
	if anew || !p.unchanged {
		t.surround(a)
	}
	for _, id := range slices.Concat(again, c.fresh) {
		t.forget(id)
	}
	t.rebuild(a)
}

// all are the profile's tables that the ruleset needs.
func (p *profile) all() iter.Seq[*table] {
	return func(yield func(*table) bool) {
		for f, t := range p.tables {
			if t == nil {
				continue
			}
			if !yield(t) {
				return
			}
			for _, v := range p.variants[f] {
				if v.says() && !yield(v) {
					return
				}
			}
		}
	}
}

// says tells whether a variant differs from the first table at all.
func (t *table) says() bool { return t.first != nil && (len(t.buckets) > 0 || t.whole()) }

// sourceName is what the names of a class's chains and sets begin with.
func (p *profile) sourceName(class int) string { return fmt.Sprintf("%s-s%d", p.name, class) }

// sourceMap leads the packets of a family to the variants; nil if all are for
// the first table.
func (p *profile) sourceMap(f *family) *Set {
	s := &Set{
		Name: p.name + "-source" + f.suffix, Fields: []Field{L4Proto, SPort}, Map: true,
		Comment: "source ports that are judged in another way than most",
	}
	for i, class := range p.sources {
		switch {
		case i == 0:
		case i >= maxSources || askedPort(class) == 0:
			s.lead(class, to(reserved[p.sourceID()].name))
		case p.variants[f.index][i-1].says():
			s.lead(class, to(p.variants[f.index][i-1].chainName(p)))
		}
	}
	if len(s.Elements) == 0 {
		return nil
	}
	slices.SortFunc(s.Elements, compareElements)
	if s.Interval { // the kernel can't make the one of the other
		s.Name = p.name + "-sources" + f.suffix
	} else {
		for i := range s.Elements {
			s.Elements[i].KeyEnd = ""
		}
	}
	return s
}

// sourceID is the id of what the profile can't tell apart.
func (p *profile) sourceID() uint32 {
	if p.outward() {
		return IDSource
	}
	return IDSourceIn
}

// lead adds a class of source ports.
func (s *Set) lead(class []policy.PortRange, v Verdict) {
	for _, r := range class {
		s.Interval = s.Interval || r.Min != r.Max
		for _, proto := range portProtocols {
			s.Elements = append(s.Elements, Element{
				Key: string(packPort(nil, proto, r.Min)), KeyEnd: string(packPort(nil, proto, r.Max)), Verdict: v,
			})
		}
	}
}
