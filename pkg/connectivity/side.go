package connectivity

import (
	"slices"

	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

// side is what the policies of one end, in one direction, say about one peer:
// what decides each protocol and port.
type side struct {
	other  policy.Hit // protocols that are not listed
	protos []protoSide
}

// protoSide is one protocol: segs begin at port 0 and go on to the next.
type protoSide struct {
	protocol policy.Protocol
	segs     []seg
}

type seg struct {
	from uint16
	by   policy.Hit
}

// open is the side of an end that no policy selects, or that is outside (S9).
var open = &side{other: policy.Hit{Rule: policy.NoPolicy, Action: policy.Allow}}

func (s *side) segs(proto policy.Protocol) []seg {
	for i := range s.protos {
		if s.protos[i].protocol == proto {
			return s.protos[i].segs
		}
	}
	return nil
}

// at is what decides a connection.
func (s *side) at(proto policy.Protocol, port uint16) *policy.Hit {
	segs := s.segs(proto)
	for i := len(segs) - 1; i >= 0; i-- {
		if segs[i].from <= port {
			return &segs[i].by
		}
	}
	return &s.other
}

// newSide asks a pair about everything.
func newSide(p *tier.Pair) *side {
	cuts := p.Cuts()
	s := &side{other: p.Judge(unlisted(cuts.Protocols), 0).By}
	for _, proto := range cuts.Protocols {
		starts := cuts.Ports[proto]
		if len(starts) == 0 {
			starts = []uint16{0}
		}
		segs := make([]seg, 0, len(starts))
		each := func(i int, v tier.Verdict) {
			if n := len(segs); n == 0 || segs[n-1].by != v.By {
				segs = append(segs, seg{starts[i], v.By})
			}
		}
		if len(starts) == 1 {
			each(0, p.Judge(proto, 0))
		} else {
			p.JudgePorts(proto, starts, each)
		}
		if len(segs) > 1 || segs[0].by != s.other {
			s.protos = append(s.protos, protoSide{proto, segs})
		}
	}
	return s
}

// unlisted is a protocol that no rule singles out, without ports.
func unlisted(listed []policy.Protocol) policy.Protocol {
	for p := policy.Protocol(253); p > 0; p-- {
		if !p.HasPorts() && !p.HasTypes() && !slices.Contains(listed, p) {
			return p
		}
	}
	return 0
}

// judge makes sides under one scope, each once for all who can't be told
// apart. It is for one goroutine.
type judge struct {
	m        *tier.Model
	scope    tier.Scope
	profiles map[profileKey]*profile
	byLocal  [2][]*profile // by direction and party.sort
}

type profileKey struct {
	dir policy.Direction
	key string
}

// profile is what judges some locals alike.
type profile struct {
	pairs     *tier.Pairs
	byAddress bool
	none      bool // no policy at all
	// sides by peer: three for each sort, without a family and of each.
	sides []*side
}

// newJudge is for parties of those sorts that there are by now.
func newJudge(s *sorts, scope tier.Scope) *judge {
	n := len(s.byKey)
	return &judge{
		m: s.m, scope: scope, profiles: map[profileKey]*profile{},
		byLocal: [2][]*profile{make([]*profile, n), make([]*profile, n)},
	}
}

func (j *judge) profile(dir policy.Direction, local *party) *profile {
	if p := j.byLocal[dir][local.sort]; p != nil {
		return p
	}
	k := profileKey{dir, j.m.Profile(j.scope, dir, local.ep)}
	p, ok := j.profiles[k]
	if !ok {
		p = &profile{none: k.key == ""}
		if !p.none {
			p.sides = make([]*side, 3*len(j.byLocal[dir]))
			p.byAddress = j.m.ByAddress(j.scope, dir, local.ep)
			p.pairs = j.m.Pairs(j.scope, dir, local.ep)
		}
		j.profiles[k] = p
	}
	j.byLocal[dir][local.sort] = p
	return p
}

// side is what local's policies say about peer, by one family's addresses.
func (j *judge) side(dir policy.Direction, local, peer *party, family int) *side {
	if local.ep == nil {
		return open
	}
	p := j.profile(dir, local)
	if p.none {
		return open
	}
	slot := &p.sides[3*int(peer.sort)+1+family]
	if !p.byAddress {
		slot = &p.sides[3*int(peer.plain)]
	}
	if *slot == nil {
		*slot = newSide(p.pairs.With(local.peer(family), peer.peer(family)))
	}
	return *slot
}

// cell is some pairs of pods of two groups that are judged alike.
type cell struct {
	egress, ingress *side
	pairs           int
}

func (c *cell) allows(proto policy.Protocol, port uint16) bool {
	return c.egress.at(proto, port).Action == policy.Allow && c.ingress.at(proto, port).Action == policy.Allow
}

// by is what decides: what denies, the source's end first, or what allows at
// the end that decides last.
func (c *cell) by(proto policy.Protocol, port uint16) (*policy.Hit, policy.Direction) {
	e, i := c.egress.at(proto, port), c.ingress.at(proto, port)
	if e.Action != policy.Allow || i.Rule == policy.NoPolicy {
		return e, policy.Egress
	}
	return i, policy.Ingress
}

// cells judges two groups. A pod is not paired with itself (S32).
func (j *judge) cells(src, dst *group, into []cell) []cell {
	same := src.node == dst.node
	for i := range src.parties {
		for k := range dst.parties {
			s, d := &src.parties[i], &dst.parties[k]
			pairs := s.pods * d.pods
			if same && s.sort == d.sort {
				pairs -= s.pods
			}
			if pairs == 0 {
				continue
			}
			for _, f := range families(s, d) {
				into = j.cell(s, d, f, pairs, into)
			}
		}
	}
	return into
}

func (j *judge) cell(s, d *party, family, pairs int, into []cell) []cell {
	e := j.side(policy.Egress, s, d, family)
	g := j.side(policy.Ingress, d, s, family)
	for i := range into {
		if into[i].egress == e && into[i].ingress == g {
			if family != 1 { // both families of a pair are one pair
				into[i].pairs += pairs
			}
			return into
		}
	}
	return append(into, cell{e, g, pairs})
}
