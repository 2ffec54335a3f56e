package ruleset

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/netpol-project/netpol/pkg/policy"
)

// load collects elements of many buckets as raw keys, all of one bucket alike
// in size, so that a set of ten thousand costs two strings.
type load map[bucket]*raw

type raw struct {
	lo, hi []byte // keys and, for boxes, their inclusive ends
	width  int
}

func (l *load) raw(b bucket) *raw {
	if *l == nil {
		*l = load{}
	}
	r := (*l)[b]
	if r == nil {
		r = &raw{}
		(*l)[b] = r
	}
	return r
}

// add puts the elements of a plan for the addresses lo to hi into their
// buckets. Addresses are invalid in stageRest.
func (l *load) add(s stage, lo, hi netip.Addr, p plan) {
	for i := range p {
		it := &p[i]
		b := bucketOf(s, it)
		if words[s][b.level] == "" {
			continue // the rest's own default is the chain's last rule
		}
		r := l.raw(b)
		before := len(r.lo)
		r.lo = packKey(r.lo, b, lo, it.proto, it.lo)
		if r.width = len(r.lo) - before; b.interval() {
			r.hi = packKey(r.hi, b, hi, it.proto, it.hi)
		}
	}
}

// addPeers adds the elements of a plan for each member.
func (l *load) addPeers(members []member, p plan) {
	if len(p) == 0 {
		return
	}
	for i := range members {
		l.add(stagePeers, members[i].addr, members[i].addr, p)
	}
}

// bucketOf is where an item's elements go.
func bucketOf(s stage, it *item) bucket {
	b := bucket{stage: s, level: it.level, dec: it.dec}
	if it.level <= levelRange {
		b.place = placeOf(it.proto)
	}
	if b.ranged() {
		b.proto, b.lo, b.hi = it.proto, it.lo, it.hi
	}
	if s == stageNets && it.level == levelPort {
		b.level = levelRange
	}
	return b
}

func packKey(k []byte, b bucket, a netip.Addr, p policy.Protocol, port uint16) []byte {
	if b.stage != stageRest {
		k = append(k, a.AsSlice()...)
	}
	if b.ranged() {
		return k
	}
	switch {
	case b.level <= levelRange:
		return packPort(k, p, port)
	case b.level == levelProto:
		return append(k, byte(p), 0, 0, 0)
	}
	return k
}

func packPort(k []byte, p policy.Protocol, port uint16) []byte {
	return append(binary.BigEndian.AppendUint16(append(k, byte(p), 0, 0, 0), port), 0, 0)
}

// elements are the bucket's, sorted.
func (r *raw) elements() []Element {
	lo, hi := string(r.lo), string(r.hi)
	out := make([]Element, 0, len(lo)/r.width)
	for i := 0; i < len(lo); i += r.width {
		e := Element{Key: lo[i : i+r.width]}
		if hi != "" {
			e.KeyEnd = hi[i : i+r.width]
		}
		out = append(out, e)
	}
	slices.SortFunc(out, compareElements)
	return out
}
