//go:build linux

package nft

import (
	"encoding/binary"
	"time"

	"golang.org/x/sys/unix"

	"github.com/netpol-project/netpol/pkg/enforce/internal/nfnl"
	"github.com/netpol-project/netpol/pkg/enforce/ruleset"
)

// nftDataVerdict is the data type of verdict maps.
const nftDataVerdict = 0xffffff00

// setFlags are the kernel's flags of a set.
func setFlags(s *ruleset.Set) uint32 {
	var flags uint32
	if s.Interval {
		flags |= unix.NFT_SET_INTERVAL
		if len(s.Fields) > 1 {
			flags |= nftSetConcat
		}
	}
	if s.Map {
		flags |= unix.NFT_SET_MAP
	}
	if s.Timeout {
		flags |= unix.NFT_SET_TIMEOUT
	}
	return flags
}

// nftSetConcat makes the kernel look at the fields of an interval one by one.
const nftSetConcat = 0x80

func (b *batch) addSet(s *ruleset.Set, name string) {
	typ, err := keyType(s.Fields)
	if err != nil || len(s.Fields) == 0 {
		b.fail("set %s: no or unknown fields: %w", s.Name, err)
		return
	}
	b.setID++
	b.begin(unix.NFT_MSG_NEWSET, unix.NLM_F_CREATE|unix.NLM_F_EXCL, "set "+name)
	b.enc.String(unix.NFTA_SET_TABLE, Table)
	b.enc.String(unix.NFTA_SET_NAME, name)
	b.enc.Uint32(unix.NFTA_SET_FLAGS, setFlags(s))
	b.enc.Uint32(unix.NFTA_SET_KEY_TYPE, typ)
	b.enc.Uint32(unix.NFTA_SET_KEY_LEN, uint32(keyLen(s.Fields)))
	b.enc.Uint32(unix.NFTA_SET_ID, b.setID)
	if s.Map {
		b.enc.Uint32(unix.NFTA_SET_DATA_TYPE, nftDataVerdict)
	}
	if s.Interval && len(s.Fields) > 1 {
		b.enc.Nest(unix.NFTA_SET_DESC)
		b.enc.Nest(nftaSetDescConcat)
		for _, f := range s.Fields {
			b.enc.Nest(unix.NFTA_LIST_ELEM)
			b.enc.Uint32(nftaSetFieldLen, uint32(f.Len()))
			b.enc.Unnest()
		}
		b.enc.Unnest()
		b.enc.Unnest()
	}
	b.setData(s)
	b.end()
}

// setData is what nft keeps beside a set: a comment, and that the keys are in
// the machine's byte order, without which it lists names of interfaces as "".
func (b *batch) setData(s *ruleset.Set) {
	var data []byte
	if in, _ := info(s.Fields[0]); len(s.Fields) == 1 && in.datatype == typeIfname {
		const hostOrder = 1
		data = binary.NativeEndian.AppendUint32([]byte{udataSetKeyOrder, 4}, hostOrder)
	}
	if data = append(data, commentData(udataSetComment, s.Comment)...); len(data) > 0 {
		b.enc.Put(unix.NFTA_SET_USERDATA, data)
	}
}

// Attributes that x/sys does not name.
const (
	nftaSetDescConcat  = 2
	nftaSetFieldLen    = 1
	nftaSetElemKeyEnd  = 10
	nftSetElemInterEnd = 1
)

func (b *batch) delSet(name string) {
	b.begin(unix.NFT_MSG_DELSET, 0, "delete set "+name)
	b.enc.String(unix.NFTA_SET_TABLE, Table)
	b.enc.String(unix.NFTA_SET_NAME, name)
	b.end()
}

// elements adds or deletes elements, in messages that netlink can carry.
type elements struct {
	b       *batch
	set     *ruleset.Set
	name    string // the kernel's
	kname   func(string) string
	kind    uint16
	timeout time.Duration
	open    bool
}

func (b *batch) addElements(s *ruleset.Set, kname func(string) string, list []ruleset.Element) {
	e := elements{b: b, set: s, name: kname(s.Name), kname: kname, kind: unix.NFT_MSG_NEWSETELEM}
	e.all(list)
}

func (b *batch) delElements(s *ruleset.Set, kname func(string) string, list []ruleset.Element) {
	e := elements{b: b, set: s, name: kname(s.Name), kname: kname, kind: unix.NFT_MSG_DELSETELEM}
	e.all(list)
}

func (e *elements) all(list []ruleset.Element) {
	for i := range list {
		e.one(&list[i])
	}
	e.finish()
}

func (e *elements) finish() {
	if e.open {
		e.b.enc.Unnest()
		e.b.end()
		e.open = false
	}
}

// next makes room for one element.
func (e *elements) next() {
	room := min(maxNest, e.b.limit/4)
	if e.open && e.b.enc.NestLen()+elementRoom > room {
		e.finish()
	}
	if e.open {
		return
	}
	flags, label := uint16(unix.NLM_F_CREATE), "elements of "
	if e.kind == unix.NFT_MSG_DELSETELEM {
		flags, label = 0, "delete elements of "
	}
	e.b.begin(e.kind, flags, label+e.name)
	e.b.enc.String(unix.NFTA_SET_ELEM_LIST_TABLE, Table)
	e.b.enc.String(unix.NFTA_SET_ELEM_LIST_SET, e.name)
	e.b.enc.Nest(unix.NFTA_SET_ELEM_LIST_ELEMENTS)
	e.open = true
}

func (e *elements) one(el *ruleset.Element) {
	key, err := nativeKey(e.set.Fields, el.Key)
	if err != nil {
		e.b.fail("set %s: %w", e.set.Name, err)
		return
	}
	keyEnd := ""
	if e.set.Interval {
		if keyEnd, err = nativeKey(e.set.Fields, el.KeyEnd); err != nil {
			e.b.fail("set %s: end of interval: %w", e.set.Name, err)
			return
		}
	}
	e.next()
	enc := &e.b.enc
	enc.Nest(unix.NFTA_LIST_ELEM)
	value(enc, unix.NFTA_SET_ELEM_KEY, key)
	concat := e.set.Interval && len(e.set.Fields) > 1
	if concat {
		value(enc, nftaSetElemKeyEnd, keyEnd)
	}
	if e.set.Map && e.kind == unix.NFT_MSG_NEWSETELEM {
		e.verdict(el.Verdict)
	}
	if e.timeout > 0 {
		enc.Uint64(unix.NFTA_SET_ELEM_TIMEOUT, uint64(e.timeout.Milliseconds()))
	}
	enc.Unnest()
	if e.set.Interval && !concat {
		e.intervalEnd(keyEnd)
	}
}

// intervalEnd marks where an interval of one field ends: one past its last
// value, or nowhere if that was the highest there is.
func (e *elements) intervalEnd(last string) {
	after, ok := increment(last)
	if !ok {
		return
	}
	enc := &e.b.enc
	enc.Nest(unix.NFTA_LIST_ELEM)
	value(enc, unix.NFTA_SET_ELEM_KEY, after)
	enc.Uint32(unix.NFTA_SET_ELEM_FLAGS, nftSetElemInterEnd)
	enc.Unnest()
}

func (e *elements) verdict(v ruleset.Verdict) {
	code, err := verdictCode(v.Kind)
	if err != nil {
		e.b.fail("set %s: %w", e.set.Name, err)
	}
	enc := &e.b.enc
	enc.Nest(unix.NFTA_SET_ELEM_DATA)
	enc.Nest(unix.NFTA_DATA_VERDICT)
	enc.Uint32(unix.NFTA_VERDICT_CODE, uint32(code))
	if chain := chainOf(v, e.kname); chain != "" {
		enc.String(unix.NFTA_VERDICT_CHAIN, chain)
	}
	enc.Unnest()
	enc.Unnest()
}

func value(enc *nfnl.Encoder, attr uint16, key string) {
	enc.Nest(attr)
	enc.Raw(unix.NFTA_DATA_VALUE, key)
	enc.Unnest()
}

// increment adds one to a big-endian number; ok is false if it overflows.
func increment(key string) (string, bool) {
	b := []byte(key)
	for i := len(b) - 1; i >= 0; i-- {
		b[i]++
		if b[i] != 0 {
			return string(b), true
		}
	}
	return "", false
}
