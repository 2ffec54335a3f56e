package keep

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/netpol-project/netpol/pkg/flow"
)

// file is the name of the file in its directory; format is what is in it.
const (
	file   = "flows.db"
	format = "netpol flows 1"
)

// The buckets of the file, those of cells by their plane.
var (
	bucketAbout   = []byte("about") // format and owner
	bucketHeads   = []byte("heads")
	bucketRecords = []byte("records")
)

func bucketOf(p flow.Plane) []byte { return []byte{'p', '0' + byte(p)} }

// bucketsOfFlows are those that hold nothing but flows.
func bucketsOfFlows() [][]byte {
	names := [][]byte{bucketHeads}
	for p := range flow.Planes {
		names = append(names, bucketOf(p))
	}
	return names
}

// errUnreadable: the file is not of ours, or not as we left it.
var errUnreadable = errors.New("it can't be read")

var errHeld = errors.New("another process has the file open")

func (s *Store) path() string { return filepath.Join(s.opts.Dir, file) }

// content is what a file has.
type content struct {
	flows   *flow.Restorer // nil: nothing yet
	records map[string][]byte
	written time.Time // last
}

// open opens or makes the file, waits so long for a process that has it open, and
// reads what is in it.
func (s *Store) open(lockWait time.Duration) (*content, error) {
	if err := os.MkdirAll(s.opts.Dir, 0o700); err != nil {
		return nil, err
	}
	c, err := s.read(lockWait)
	if errors.Is(err, errUnreadable) {
		if err = s.putAside("unreadable", err); err == nil {
			c, err = s.read(lockWait)
		}
	}
	s.opened.Store(err == nil)
	return c, err
}

// putAside renames a file that is of no use, so that whoever knows better can
// look at it.
func (s *Store) putAside(word string, why error) error {
	name := s.path() + "." + word + "-" + s.opts.Now().UTC().Format("20060102T150405Z")
	for i := 1; ; i++ {
		if _, err := os.Lstat(name); errors.Is(err, os.ErrNotExist) {
			break
		}
		name = fmt.Sprintf("%s.%d", strings.TrimSuffix(name, fmt.Sprintf(".%d", i-1)), i)
	}
	if err := os.Rename(s.path(), name); err != nil {
		return fmt.Errorf("%w, nor put aside: %w", why, err)
	}
	s.aside.Store(&name)
	s.opts.Log.Error("the file of flows can't be used; it was put aside and a new one begun", "file", name, "error", why)
	return nil
}

// read opens the file and reads what is in it. What is damaged shows as a panic
// or a fault of memory in bbolt, which reads the file through a mapping.
func (s *Store) read(lockWait time.Duration) (c *content, err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	var db *bbolt.DB
	_, missing := os.Lstat(s.path())
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", errUnreadable, p)
		}
		if err != nil && db != nil {
			_ = closeQuietly(db)
		}
		if halfMade(missing, err) {
			_ = os.Remove(s.path())
		}
	}()
	if db, err = bbolt.Open(s.path(), 0o600, boltOptions(lockWait)); err != nil {
		return nil, openError(err)
	}
	if missing != nil { // else what is written would be gone with the name
		if err = syncDir(s.opts.Dir); err != nil {
			return nil, err
		}
	}
	if db, err = s.compacted(db); err != nil {
		return nil, err
	}
	about, err := s.about(db)
	if err != nil {
		return nil, err
	}
	c = &content{records: map[string][]byte{}}
	if about {
		if err := db.View(func(tx *bbolt.Tx) error { return s.load(tx, c) }); err != nil {
			return nil, fmt.Errorf("%w: %w", errUnreadable, err)
		}
	}
	s.db = db
	s.measure()
	return c, nil
}

// halfMade says of a file that was missing, and could not be opened, that it is there
// half made, as on a full disk. One that another process has begun meanwhile is that
// one's.
func halfMade(missing, err error) bool {
	return err != nil && errors.Is(missing, os.ErrNotExist) && !errors.Is(err, errHeld)
}

// syncDir has a directory's names on disk, as its files' contents are.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, errors.ErrUnsupported) {
		err = nil // a file system that knows no such thing
	}
	return errors.Join(err, d.Close())
}

func boltOptions(lockWait time.Duration) *bbolt.Options {
	return &bbolt.Options{Timeout: lockWait, FreelistType: bbolt.FreelistMapType}
}

// closeQuietly closes what may be broken.
func closeQuietly(db *bbolt.DB) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%v", p)
		}
	}()
	return db.Close()
}

// openError tells a file that is no good from one that can't be had now.
func openError(err error) error {
	if errors.Is(err, bolterrors.ErrTimeout) {
		return errHeld
	}
	var path *os.PathError
	if errors.As(err, &path) || errors.Is(err, os.ErrPermission) {
		return err
	}
	for _, bad := range []error{
		bolterrors.ErrInvalid, bolterrors.ErrVersionMismatch, bolterrors.ErrChecksum, bolterrors.ErrInvalidMapping,
	} {
		if errors.Is(err, bad) {
			return fmt.Errorf("%w: %w", errUnreadable, err)
		}
	}
	if text := err.Error(); strings.Contains(text, "file size too small") {
		return fmt.Errorf("%w: %w", errUnreadable, err)
	}
	return err
}

// about says whether the file has something of ours; an empty one has not, and
// is made ours. Only that writes, so that a full disk keeps nobody from reading.
func (s *Store) about(db *bbolt.DB) (full bool, err error) {
	err = db.View(func(tx *bbolt.Tx) error {
		if info, err := os.Stat(db.Path()); err == nil && info.Size() < tx.Size() {
			return fmt.Errorf("%w: it was cut off at %d of %d bytes", errUnreadable, info.Size(), tx.Size())
		}
		b := tx.Bucket(bucketAbout)
		if b == nil {
			if name, _ := tx.Cursor().First(); name != nil {
				return fmt.Errorf("%w: another program's file, with %q in it", errUnreadable, name)
			}
			return nil
		}
		full = true
		if got := string(b.Get([]byte("format"))); got != format {
			return fmt.Errorf("%w: its format is %q, not %q", errUnreadable, got, format)
		}
		if got := string(b.Get([]byte("owner"))); got != s.opts.Owner {
			return fmt.Errorf("%w: the flows are of %q, not %q", errUnreadable, got, s.opts.Owner)
		}
		return nil
	})
	if err == nil && !full {
		err = db.Update(s.found)
	}
	return full, err
}

// found makes the buckets.
func (s *Store) found(tx *bbolt.Tx) error {
	for _, name := range append(bucketsOfFlows(), bucketAbout, bucketRecords) {
		if _, err := tx.CreateBucket(name); err != nil {
			return err
		}
	}
	b := tx.Bucket(bucketAbout)
	return errors.Join(b.Put([]byte("format"), []byte(format)), b.Put([]byte("owner"), []byte(s.opts.Owner)))
}
