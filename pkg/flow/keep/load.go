package keep

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"time"

	"go.etcd.io/bbolt"
	"google.golang.org/protobuf/proto"

	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/flow/flowpb"
)

// load reads everything.
func (s *Store) load(tx *bbolt.Tx, c *content) error {
	r := flow.NewRestorer(s.opts.Now(), s.opts.Limits)
	err := tx.Bucket(bucketRecords).ForEach(func(k, v []byte) error {
		value, err := unsealed(v)
		if err != nil {
			return fmt.Errorf("record %q: %w", k, err)
		}
		switch name, ok := cutOwn(string(k)); {
		case ok && name == recordWritten:
			c.written, err = time.Parse(time.RFC3339Nano, string(value))
			return err
		case ok:
			return r.Record(name, value)
		}
		c.records[string(k)] = append([]byte(nil), value...)
		return nil
	})
	if err != nil {
		return err
	}
	err = tx.Bucket(bucketHeads).ForEach(func(k, v []byte) error {
		h, err := decodeHead(k, v)
		if err == nil {
			r.Head(h)
		}
		return err
	})
	if err != nil {
		return err
	}
	for p := range flow.Planes {
		err := tx.Bucket(bucketOf(p)).ForEach(func(k, v []byte) error {
			key, err := parseKey(k)
			if err != nil {
				return err
			}
			return key.decode(v, p.Coarse(), func(id int64, span *flow.Span) { r.Cell(p, id, span) })
		})
		if err != nil {
			return err
		}
	}
	c.flows = r
	return nil
}

// The records of the flows have a name of their own before that of companions'.
// recordWritten says when the last transaction was.
const recordWritten = "written"

const own = "flows:"

func cutOwn(name string) (string, bool) {
	if len(name) > len(own) && name[:len(own)] == own {
		return name[len(own):], true
	}
	return "", false
}

// sealed has a checksum before it.
func sealed(v []byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, crc32.Checksum(v, checksums)), v...)
}

var errSeal = errors.New("it is not as it was written")

func unsealed(v []byte) ([]byte, error) {
	if len(v) < 4 || binary.BigEndian.Uint32(v) != crc32.Checksum(v[4:], checksums) {
		return nil, errSeal
	}
	return v[4:], nil
}

// The bits of a head's first byte.
const (
	headWhole = 1 << iota
	headSource
	headDestination
)

// encodeHead writes a head: what is set, then the rest as a flow of the wire.
func encodeHead(h *flow.Head) ([]byte, error) {
	var set byte
	if h.Whole {
		set |= headWhole
	}
	if h.SourceLabels != nil {
		set |= headSource
	}
	if h.DestinationLabels != nil {
		set |= headDestination
	}
	w := &flowpb.Flow{
		Key: flow.KeyToWire(h.Key), SourceLabels: flow.LabelsToWire(h.SourceLabels), DestLabels: flow.LabelsToWire(h.DestinationLabels),
	}
	b, err := proto.MarshalOptions{Deterministic: true}.MarshalAppend([]byte{set}, w)
	return sealed(b), err
}

func decodeHead(k, v []byte) (flow.Head, error) {
	v, err := unsealed(v)
	if err != nil || len(v) == 0 || len(k) != 8 {
		return flow.Head{}, fmt.Errorf("a flow: %w", errSeal)
	}
	var w flowpb.Flow
	if err := proto.Unmarshal(v[1:], &w); err != nil {
		return flow.Head{}, err
	}
	h := flow.Head{ID: int64(binary.BigEndian.Uint64(k)), Key: flow.KeyFromWire(w.GetKey()), Whole: v[0]&headWhole != 0} //nolint:gosec // counts from 1
	if v[0]&headSource != 0 {
		h.SourceLabels = labels(w.GetSourceLabels())
	}
	if v[0]&headDestination != 0 {
		h.DestinationLabels = labels(w.GetDestLabels())
	}
	return h, nil
}

func labels(l []string) map[string]string {
	if len(l) == 0 {
		return map[string]string{}
	}
	return flow.LabelsFromWire(l)
}
