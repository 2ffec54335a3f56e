package recording

import (
	"hash/maphash"

	"github.com/netpol-project/netpol/pkg/flow"
)

// known are subjects by the bytes of the lines that say what they are. The bytes
// themselves take more room than all else, so two hashes stand for them, with
// seeds that no file can know.
type known struct {
	table *flow.Table
	seeds seeds
	at    map[hash]int32
	pages [][]subjectUse
	n     int
}

const knownPage = 1024

// hash stands for the bytes that say what a record counts.
type hash [2]uint64

// seeds are what hashes are made with.
type seeds [2]maphash.Seed

func (s seeds) hash(data []byte) hash {
	return hash{maphash.Bytes(s[0], data), maphash.Bytes(s[1], data)}
}

// subjectUse is what a flow is of, and what was made of it.
type subjectUse struct {
	flow.Subject
	passes passes
	sum    int // its number, if it passes
}

// passes says whether a subject passes a filter.
type passes uint8

const (
	unknown passes = iota
	yes
	no
)

func newKnown() *known {
	return &known{
		table: flow.NewTable(), seeds: seeds{maphash.MakeSeed(), maphash.MakeSeed()}, at: map[hash]int32{},
	}
}

// find is the subject of the bytes, which have the hash; they are read if they
// were not before.
func (k *known) find(h hash, data []byte) (*subjectUse, error) {
	if i, ok := k.at[h]; ok {
		return &k.pages[i/knownPage][i%knownPage], nil
	}
	f, err := decodeSubject(data)
	if err != nil {
		return nil, err
	}
	if k.n >= maxKnown {
		k.at, k.pages, k.n = map[hash]int32{}, nil, 0
	}
	if k.n%knownPage == 0 {
		k.pages = append(k.pages, make([]subjectUse, knownPage))
	}
	s := &k.pages[k.n/knownPage][k.n%knownPage]
	s.Subject = k.table.Subject(f)
	k.at[h] = int32(k.n)
	k.n++
	return s, nil
}
