package ruleset

import (
	"slices"
	"strings"

	"github.com/netpol-project/netpol/pkg/policy"
)

// stage is one of the three things that a profile's chain asks, in order:
// addresses of known peers, nets around them, and what holds for any address.
type stage uint8

const (
	stagePeers stage = iota
	stageNets
	stageRest
)

// bucket names the elements that go into one set: those that one stage and
// level decide alike.
type bucket struct {
	stage stage
	level level
	dec   decision
	// place is what the set's keys end in: DPort or SPort of divisible
	// protocols down to levelRange, else 0.
	place Field
	// Known peers' ranges of ports go into a set of addresses for each range,
	// which is here: sets of plain addresses take a new pod in microseconds, a
	// set of boxes copies itself.
	proto  policy.Protocol
	lo, hi uint16
}

// ranged says whether the bucket is for one range of ports, so that only
// addresses are left for its elements.
func (b *bucket) ranged() bool { return b.stage == stagePeers && b.level == levelRange }

// words are the names of sets by stage and level; empty where there is none.
var words = [...][4]string{
	stagePeers: {levelPort: "exact", levelRange: "range", levelProto: "proto", levelAddr: "addr"},
	stageNets:  {levelRange: "netports", levelProto: "netproto", levelAddr: "net"},
	stageRest:  {levelPort: "port", levelRange: "ports", levelProto: "l4proto"},
}

// word is the part of the set's name that tells stage and level.
func (b *bucket) word() string {
	w := words[b.stage][b.level]
	if b.place == SPort {
		w = typeWords[w]
	}
	return w
}

// typeWords are the words for sets of ICMP's and ICMPv6's types and codes.
var typeWords = map[string]string{"exact": "type", "range": "types", "netports": "nettypes", "port": "anytype", "ports": "anytypes"}

// interval says whether the elements are boxes.
func (b *bucket) interval() bool {
	return b.stage == stageNets || b.stage == stageRest && b.level == levelRange
}

// fields are what the set's key is made of; peer is the field with the peer's
// address. What is in the place of a port is never without its protocol in the key: th dport of ICMP
// reads bytes that are no port, but then the protocol can't match. On a
// fragment that has no ports the load fails and the kernel goes on with the
// next rule; conntrack reassembles packets before any chain of ours sees them.
func (b *bucket) fields(peer Field) []Field {
	if b.ranged() {
		return []Field{peer}
	}
	var f []Field
	if b.stage != stageRest {
		f = append(f, peer)
	}
	if b.level <= levelProto {
		f = append(f, L4Proto)
	}
	if b.level <= levelRange {
		f = append(f, b.place)
	}
	return f
}

func compareElements(a, b Element) int { return strings.Compare(a.Key, b.Key) }

// join merges neighbours in a sorted list of address ranges.
func join(list []Element) []Element {
	out := list[:0]
	for _, e := range list {
		if n := len(out); n > 0 && follows(out[n-1].KeyEnd, e.Key) {
			out[n-1].KeyEnd = e.KeyEnd
			continue
		}
		out = append(out, e)
	}
	return out
}

// follows says whether b is the number after a.
func follows(a, b string) bool {
	x := []byte(a)
	for i := len(x) - 1; i >= 0; i-- {
		x[i]++
		if x[i] != 0 {
			return string(x) == b
		}
	}
	return false
}

// merge is old without the elements of gone and with those of come. All are
// sorted; old is left as it is, since a ruleset may share it.
func merge(old, gone, come []Element) []Element {
	out := make([]Element, 0, len(old)+len(come))
	for len(gone)+len(come) > 0 {
		remove := len(gone) > 0 && (len(come) == 0 || gone[0].Key <= come[0].Key)
		var key string
		if remove {
			key = gone[0].Key
		} else {
			key = come[0].Key
		}
		i, found := slices.BinarySearchFunc(old, Element{Key: key}, compareElements)
		out = append(out, old[:i]...)
		old = old[i:]
		if remove {
			if found {
				old = old[1:]
			}
			gone = gone[1:]
			continue
		}
		if found { // replaced
			old = old[1:]
		}
		out = append(out, come[0])
		come = come[1:]
	}
	return append(out, old...)
}
