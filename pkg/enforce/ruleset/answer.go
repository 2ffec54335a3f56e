package ruleset

import (
	"encoding/binary"
	"slices"

	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

// answer is what a peer gets from a profile, for every protocol and port: a
// function, in canonical form, so that equal answers have equal encodings.
type answer struct {
	rest   decision // protocols that are not listed
	protos []protoAnswer
}

// protoAnswer is the answer for one protocol.
type protoAnswer struct {
	proto policy.Protocol
	steps []step // first one starts at port 0; no two neighbours are alike
}

// step says that from a port on (to the next step's) the decision is dec.
type step struct {
	from uint16 // of ICMP and ICMPv6 a policy.ICMPPort
	dec  decision
}

// divisible says whether the kernel can tell apart what rules tell apart
// within the protocol: destination ports, or types and codes.
func divisible(p policy.Protocol) bool { return p.HasPorts() || p.HasTypes() || p == policy.UDPLite }

// placeOf is where the kernel reads that of a divisible protocol. Type and code
// are the first two bytes of the header, where others have the source port.
func placeOf(p policy.Protocol) Field {
	if p.HasTypes() {
		return SPort
	}
	return DPort
}

// answerID numbers distinct answers, from 1; 0 is not judged yet.
type answerID int32

// answers numbers distinct answers and remembers the plan for each pair of
// them. What it holds depends on hits and ports alone, never on who asks, so
// it is shared by all profiles and kept from one compilation to the next.
type answers struct {
	ids   map[string]answerID
	list  []*answer // by id - 1
	steps int       // of all of them, for their size
	plans map[[2]answerID]plan
	key   []byte
	union []policy.Protocol
	draft answer
	pool  []step
}

func newAnswers() *answers {
	return &answers{ids: map[string]answerID{}, plans: map[[2]answerID]plan{}}
}

func (a *answers) get(id answerID) *answer { return a.list[id-1] }

// judge asks the model for every protocol and port interval of one peer.
func (a *answers) judge(q *question, d *decisions, peer tier.Peer) answerID {
	pair := q.pair(peer)
	ask := func(p policy.Protocol, port uint16) decision {
		v := pair.Judge(p, port)
		return d.of(&v, q.dir)
	}
	cuts := pair.Cuts()
	a.union = append(a.union[:0], cuts.Protocols...)
	for p := range cuts.Ports {
		a.union = append(a.union, p)
	}
	slices.Sort(a.union)
	a.union = slices.Compact(a.union)

	a.draft.protos, a.pool = a.draft.protos[:0], a.pool[:0]
	a.draft.rest = ask(unlisted(a.union), 0)
	for _, p := range a.union {
		first := len(a.pool)
		// Of other protocols nothing is looked at: what the kernel would read
		// in the place of a port is none (S22).
		if ports := cuts.Ports[p]; divisible(p) && len(ports) > 0 {
			pair.JudgePorts(p, ports, func(i int, v tier.Verdict) {
				if dec := d.of(&v, q.dir); i == 0 || dec != a.pool[len(a.pool)-1].dec {
					a.pool = append(a.pool, step{ports[i], dec})
				}
			})
		} else {
			a.pool = append(a.pool, step{0, ask(p, 0)})
		}
		steps := a.pool[first:]
		if len(steps) == 1 && steps[0].dec == a.draft.rest {
			a.pool = a.pool[:first]
			continue
		}
		a.draft.protos = append(a.draft.protos, protoAnswer{p, steps})
	}
	return a.intern()
}

// unlisted is a protocol that stands for all that are not in the sorted list.
func unlisted(list []policy.Protocol) policy.Protocol {
	for p := policy.Protocol(253); p > 0; p-- {
		if _, found := slices.BinarySearch(list, p); !found {
			return p
		}
	}
	return 0
}

// intern numbers the draft, copying it if it is new.
func (a *answers) intern() answerID {
	k := binary.BigEndian.AppendUint32(a.key[:0], uint32(a.draft.rest))
	for _, p := range a.draft.protos {
		k = append(k, byte(p.proto))
		k = binary.BigEndian.AppendUint16(k, uint16(len(p.steps)))
		for _, s := range p.steps {
			k = binary.BigEndian.AppendUint16(k, s.from)
			k = binary.BigEndian.AppendUint32(k, uint32(s.dec))
		}
	}
	a.key = k
	if id, ok := a.ids[string(k)]; ok {
		return id
	}
	c := &answer{rest: a.draft.rest, protos: slices.Clone(a.draft.protos)}
	for i := range c.protos {
		c.protos[i].steps = slices.Clone(c.protos[i].steps)
		a.steps += len(c.protos[i].steps)
	}
	a.steps++
	a.list = append(a.list, c)
	a.ids[string(k)] = answerID(len(a.list))
	return answerID(len(a.list))
}

// steps is the answer for one protocol, listed or not.
func (a *answer) steps(p policy.Protocol) []step {
	for i := range a.protos {
		if a.protos[i].proto == p {
			return a.protos[i].steps
		}
	}
	return []step{{0, a.rest}}
}

// question is one side of what the model is asked: for whom, in which direction.
type question struct {
	model *tier.Model
	scope tier.Scope
	dir   policy.Direction
	local tier.Peer
	// sourcePort stands for a class of source ports; 0 for the first.
	sourcePort uint16
	// many is shared by the questions about one profile: asking about many
	// peers is worth an index of the rules by peer.
	many *many
}

// many counts peers asked about and has the index once they are many.
type many struct {
	asked int
	pairs *tier.Pairs
	// byIdentity are the answers for known peers, for the other family to
	// share; nil where policies look at addresses.
	byIdentity map[sourced]answerID
}

// sourced is an identity and a class of source ports.
type sourced struct {
	identity int
	port     uint16
}

// enoughPeers is when the index pays.
const enoughPeers = 16

func (q *question) pair(peer tier.Peer) *tier.Pair {
	local := q.local
	if q.dir == policy.Ingress {
		peer.Port = q.sourcePort
	} else {
		local.Port = q.sourcePort
	}
	if q.many.asked++; q.many.asked < enoughPeers {
		return q.model.Pair(q.scope, q.dir, local, peer)
	}
	if q.many.pairs == nil {
		q.many.pairs = q.model.Pairs(q.scope, q.dir, q.local.Endpoint)
	}
	return q.many.pairs.With(local, peer)
}
