package keep

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"go.etcd.io/bbolt"

	"github.com/netpol-project/netpol/pkg/flow"
)

// commit writes what has changed in one transaction; it needs the turn.
func (s *Store) commit() error {
	if s.closed || s.db == nil {
		return nil
	}
	var c flow.Changes
	gather := func() { c = s.journal.Take(s.opts.Now()) }
	var records []Record
	if s.companion != nil {
		records = s.companion.Keep(gather)
	} else {
		gather()
	}
	for name, value := range c.Records {
		records = append(records, Record{own + name, value})
	}
	if c.Empty() && len(records)+len(s.owed) == 0 {
		return nil
	}
	err := s.write(&c, records)
	if err != nil {
		s.journal.Again(c)
		// What the companion has told is to be written with the rest: later ones
		// of the same name come after.
		s.again(records)
		if errors.Is(err, errDamaged) {
			s.renew(err)
		}
		return s.fail(err)
	}
	s.owed, s.anew = nil, false
	s.measure()
	return s.fail(nil)
}

// again keeps records that could not be written.
func (s *Store) again(records []Record) {
	if s.owed == nil {
		s.owed = map[string][]byte{}
	}
	for _, r := range records {
		if _, ok := cutOwn(r.Name); !ok {
			s.owed[r.Name] = r.Value
		}
	}
}

// write is one transaction. What is found damaged meanwhile is an error too.
func (s *Store) write(c *flow.Changes, records []Record) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", errDamaged, p)
		}
	}()
	for name, value := range s.owed {
		if !slices.ContainsFunc(records, func(r Record) bool { return r.Name == name }) {
			records = append(records, Record{name, value})
		}
	}
	records = append(records, Record{own + recordWritten, []byte(s.opts.Now().UTC().Format(time.RFC3339Nano))})
	slices.SortStableFunc(records, func(x, y Record) int { return cmp.Compare(x.Name, y.Name) })
	return s.db.Update(func(tx *bbolt.Tx) error {
		if s.anew {
			if err := emptied(tx); err != nil {
				return err
			}
		}
		return errors.Join(writeRecords(tx, records), writeHeads(tx, c.Heads), writeCells(tx, c))
	})
}

func writeRecords(tx *bbolt.Tx, records []Record) error {
	b := tx.Bucket(bucketRecords)
	for _, r := range records {
		var err error
		if r.Value == nil {
			err = b.Delete([]byte(r.Name))
		} else {
			err = b.Put([]byte(r.Name), sealed(r.Value))
		}
		if err != nil {
			return fmt.Errorf("record %q: %w", r.Name, err)
		}
	}
	return nil
}

func writeHeads(tx *bbolt.Tx, heads []flow.Head) error {
	b := tx.Bucket(bucketHeads)
	b.FillPercent = 0.9 // later ones come after
	slices.SortFunc(heads, func(x, y flow.Head) int { return cmp.Compare(x.ID, y.ID) })
	for i := range heads {
		key := binary.BigEndian.AppendUint64(nil, uint64(heads[i].ID)) //nolint:gosec // counts from 1
		if heads[i].Gone {
			if err := b.Delete(key); err != nil {
				return err
			}
			continue
		}
		value, err := encodeHead(&heads[i])
		if err != nil {
			return err
		}
		if err := b.Put(key, value); err != nil {
			return err
		}
	}
	return nil
}

// writeCells drops what is old and merges the rest into its chunks.
func writeCells(tx *bbolt.Tx, c *flow.Changes) error {
	for p := range flow.Planes {
		from := c.FineFrom
		if p.Coarse() {
			from = c.CoarseFrom
		}
		if err := dropBefore(tx.Bucket(bucketOf(p)), from); err != nil {
			return err
		}
	}
	slices.SortFunc(c.Cells, func(x, y flow.Cell) int {
		return cmp.Or(cmp.Compare(x.Plane, y.Plane), cmp.Compare(x.Start, y.Start), cmp.Compare(x.ID, y.ID))
	})
	for i := 0; i < len(c.Cells); {
		p, key := c.Cells[i].Plane, keyOf(c.Cells[i].Start, c.Cells[i].ID)
		n := i
		for n < len(c.Cells) && c.Cells[n].Plane == p && keyOf(c.Cells[n].Start, c.Cells[n].ID) == key {
			n++
		}
		b := tx.Bucket(bucketOf(p))
		b.FillPercent = 0.9
		if err := mergeChunk(b, key, c.Cells[i:n]); err != nil {
			return err
		}
		i = n
	}
	return nil
}

// dropBefore deletes the chunks that start before a moment.
func dropBefore(b *bbolt.Bucket, from int64) error {
	if from <= 0 {
		return nil
	}
	end := chunkKey{start: from}.bytes()
	var old [][]byte
	c := b.Cursor()
	for k, _ := c.First(); k != nil && bytes.Compare(k, end) < 0; k, _ = c.Next() {
		old = append(old, bytes.Clone(k))
	}
	for _, k := range old {
		if err := b.Delete(k); err != nil {
			return err
		}
	}
	return nil
}

// mergeChunk replaces the cells of a chunk that have changed, sorted by id.
func mergeChunk(b *bbolt.Bucket, key chunkKey, cells []flow.Cell) error {
	name := key.bytes()
	entries := make([]entry, 0, 1<<chunkBits)
	if before := b.Get(name); before != nil {
		if err := key.decode(before, false, func(id int64, s *flow.Span) { entries = append(entries, entry{id, *s}) }); err != nil {
			return fmt.Errorf("%w: %w", errDamaged, err)
		}
	}
	for i := range cells {
		at, ok := slices.BinarySearchFunc(entries, cells[i].ID, func(e entry, id int64) int { return cmp.Compare(e.id, id) })
		switch {
		case cells[i].Gone && ok:
			entries = slices.Delete(entries, at, at+1)
		case cells[i].Gone:
		case ok:
			entries[at].span = cells[i].Span
		default:
			entries = slices.Insert(entries, at, entry{cells[i].ID, cells[i].Span})
		}
	}
	if len(entries) == 0 {
		return b.Delete(name)
	}
	return b.Put(name, key.encode(entries))
}
