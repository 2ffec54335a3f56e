package keep

import (
	"errors"
	"os"
	"time"

	"go.etcd.io/bbolt"
)

// compactFrom is the size of a file from which on it is worth to look whether
// most of it is free.
const compactFrom = 16 << 20

// compacted rewrites a file that is mostly free. Whatever goes wrong, the file
// stays as it was.
func (s *Store) compacted(db *bbolt.DB) (*bbolt.DB, error) {
	info, err := os.Stat(s.path())
	if err != nil || info.Size() < compactFrom {
		return db, nil //nolint:nilerr // it is only larger than it need be
	}
	free := int64(db.Stats().FreePageN) * int64(db.Info().PageSize)
	if err := db.View(func(tx *bbolt.Tx) error { free += info.Size() - tx.Size(); return nil }); err != nil {
		return db, err
	}
	if free < info.Size()*3/4 {
		return db, nil
	}
	tmp := s.path() + ".compact"
	if err := os.RemoveAll(tmp); err != nil {
		return db, nil //nolint:nilerr // as above
	}
	to, err := bbolt.Open(tmp, 0o600, &bbolt.Options{Timeout: time.Second, NoSync: true})
	if err != nil {
		return db, nil //nolint:nilerr // as above
	}
	if err := errors.Join(bbolt.Compact(to, db, 1<<20), to.Sync(), to.Close()); err != nil {
		s.opts.Log.Warn("the file of flows can't be made smaller", "error", err)
		return db, os.RemoveAll(tmp)
	}
	if err := os.Rename(tmp, s.path()); err != nil {
		return db, os.RemoveAll(tmp)
	}
	// What comes is written into the new file: its name has to outlast a crash.
	if err := errors.Join(syncDir(s.opts.Dir), db.Close()); err != nil {
		return nil, err
	}
	if db, err = bbolt.Open(s.path(), 0o600, boltOptions(s.opts.LockWait)); err != nil {
		return nil, openError(err)
	}
	return db, nil
}
