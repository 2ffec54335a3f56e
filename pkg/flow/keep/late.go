package keep

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/bbolt"
)

// errDamaged: what is in the file is not what was written.
var errDamaged = errors.New("the file is damaged")

const (
	// lateWait is how long it is waited for a process that has the file open when
	// it is tried once more.
	lateWait = time.Second
	// maxRenewed bounds how often a damaged file is replaced: what damages one
	// after another is not to fill the disk with them.
	maxRenewed = 3
)

// late opens a file that could not be opened before, and writes into it what was
// counted meanwhile.
func (s *Store) late() error {
	s.turn.Lock()
	defer s.turn.Unlock()
	if s.opts.Dir == "" || s.db != nil || s.closed {
		return nil
	}
	kept, err := s.open(min(s.opts.LockWait, lateWait))
	if err == nil && kept.flows != nil && s.whole {
		kept, err = s.supersede()
	}
	if err != nil {
		return s.fail(err)
	}
	return s.begin(kept)
}

// supersede puts a file aside that has nothing which the memory has not.
func (s *Store) supersede() (*content, error) {
	s.shut()
	if err := s.putAside("superseded", errors.New("what it has was told again before it could be opened")); err != nil {
		return nil, err
	}
	return s.open(min(s.opts.LockWait, lateWait))
}

// begin goes on with a file that is open now. It is written anew as a whole, in
// one transaction: before that it is what it was.
func (s *Store) begin(kept *content) error {
	if kept.flows != nil {
		kept.flows.Into(s.flows, s.opts.Now())
	}
	s.journal = s.flows.Journal()
	s.anew, s.whole = true, true
	s.owed = nil
	if s.companion != nil {
		s.companion.Anew(kept.records)
	}
	return s.commit()
}

// renew replaces a damaged file: all that it had is in memory.
func (s *Store) renew(why error) {
	if s.renewed++; s.renewed > maxRenewed {
		return
	}
	s.shut()
	if err := s.putAside("unreadable", why); err != nil {
		s.opts.Log.Error("a damaged file of flows stays where it is", "error", err)
	}
}

// shut closes the file, which may be damaged.
func (s *Store) shut() {
	s.opened.Store(false)
	_ = closeQuietly(s.db)
	s.db = nil
}

// emptied drops all flows that a file has, and what is known of them.
func emptied(tx *bbolt.Tx) error {
	for _, name := range bucketsOfFlows() {
		if err := tx.DeleteBucket(name); err != nil {
			return fmt.Errorf("%w: %w", errDamaged, err)
		}
		if _, err := tx.CreateBucket(name); err != nil {
			return err
		}
	}
	var old [][]byte
	b := tx.Bucket(bucketRecords)
	err := b.ForEach(func(k, _ []byte) error {
		if _, ok := cutOwn(string(k)); ok {
			old = append(old, bytes.Clone(k))
		}
		return nil
	})
	for _, k := range old {
		err = errors.Join(err, b.Delete(k))
	}
	return err
}
