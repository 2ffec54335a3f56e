// Package keep keeps what a flow.Aggregator counts on disk, in a bbolt file.
//
// What has changed is written every so often (Every) in one transaction: a
// process that is killed, or a machine that loses power, loses what was counted
// since the last one, and the file is always that of some transaction. bbolt
// writes pages that nobody uses, syncs them, and then one page that says which
// are in force, with a checksum; it has no log to replay, so that to open it
// takes no longer after a crash. Pages that became free are used again, so the
// file grows no larger than what it held at most, and it is rewritten when it is
// opened and is mostly free.
//
// A file that can't be read is put aside and never deleted. While nothing can be
// written, or the file can't be opened, counting goes on in memory and is written
// once that is possible again.
package keep

import (
	"cmp"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"

	"github.com/netpol-project/netpol/pkg/flow"
)

// Every is how often changes are written at least: what a crash loses at most.
const Every = 2 * time.Second

// mostWait is how long after a failure it is tried at the latest to open the file
// again.
const mostWait = time.Minute

// Options say what is kept and where.
type Options struct {
	// Dir is the directory of the file flows.db; it is made if there is none.
	// Empty: nothing is kept.
	Dir string
	// Owner is whose flows these are. A file of another is put aside.
	Owner  string
	Limits flow.Limits
	Log    *slog.Logger // nil: nothing is logged
	Now    func() time.Time
	// LockWait is how long to wait for a process that has the file open (0: 10 s).
	LockWait time.Duration
	// Retold: what is counted here others tell, and tell again to a process that
	// begins with nothing. A file that can be opened only after that has nothing
	// to add, and is put aside.
	Retold bool
	// Pace is how long after a commit the next one comes at the earliest.
	Pace time.Duration
}

// Record is something that is kept beside the flows, by name; a nil Value deletes
// it.
type Record struct {
	Name  string
	Value []byte
}

// Companion keeps something beside the flows.
type Companion interface {
	// Keep adds records to a transaction. It calls gather, which takes what has
	// changed of the flows, while nothing can come between that and its records.
	Keep(gather func()) []Record
	// Anew says that the file is another one from here on: all is to be written
	// again that Keep told before. have are the records that are in it, by name.
	Anew(have map[string][]byte)
}

// Store is an Aggregator that is kept. Its methods are safe for use by several
// goroutines.
type Store struct {
	opts    Options
	flows   *flow.Aggregator
	journal *flow.Journal // nil: nothing is kept
	records map[string][]byte
	existed bool
	before  time.Time // when a process before wrote last
	aside   atomic.Pointer[string]

	turn      sync.Mutex // held by who commits
	db        *bbolt.DB  // nil while the file is not open
	companion Companion
	committed time.Time         // when the last commit began
	owed      map[string][]byte // records that could not be written
	anew      bool              // what the file has of flows is to go
	whole     bool              // the memory has all that a file may have
	renewed   int               // how often a damaged file was replaced

	mu      sync.Mutex
	next    *round // that who comes now joins
	problem atomic.Pointer[string]
	size    atomic.Int64
	opened  atomic.Bool // db is there
	closed  bool
}

// Open reads what was kept. It never fails: what can't be kept is counted in
// memory alone, and Problem says why.
func Open(opts Options) *Store {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	opts.LockWait = cmp.Or(opts.LockWait, 10*time.Second)
	s := &Store{opts: opts, records: map[string][]byte{}}
	kept := &content{}
	if opts.Dir != "" {
		var err error
		if kept, err = s.open(opts.LockWait); err != nil {
			_ = s.fail(err)
		}
	}
	s.whole = opts.Retold || s.db != nil
	if kept != nil && kept.flows != nil {
		s.flows, s.journal = kept.flows.Aggregator(opts.Now())
		s.records, s.before, s.existed = kept.records, kept.written, true
		return s
	}
	s.flows = flow.NewAggregator(opts.Now(), opts.Limits)
	if s.db != nil {
		s.journal = s.flows.Journal()
	}
	return s
}

// Flows are what is kept.
func (s *Store) Flows() *flow.Aggregator { return s.flows }

// Existed says that there were flows from before.
func (s *Store) Existed() bool { return s.existed }

// Before is when a process before this one wrote last; zero if none did, or the
// file could not be opened when this one began.
func (s *Store) Before() time.Time { return s.before }

// Aside is where a file was put that could not be used; empty if none was.
func (s *Store) Aside() string {
	if p := s.aside.Load(); p != nil {
		return *p
	}
	return ""
}

// Record is what a Companion kept when the store was open last; nil if nothing.
func (s *Store) Record(name string) []byte { return s.records[name] }

// Records are all of them, not to be changed.
func (s *Store) Records() map[string][]byte { return s.records }

// With has a companion add to all transactions from here on.
func (s *Store) With(c Companion) {
	s.turn.Lock()
	defer s.turn.Unlock()
	s.companion = c
}

// Counts begins or goes on with the window of the node that is counted on here.
// From when the store was written last until now nobody counted.
func (s *Store) Counts(node string) {
	now := s.opts.Now()
	until := s.flows.KeptUntil(node)
	s.flows.Own(node)
	switch {
	case !until.IsZero():
		s.flows.Gap(node, until, now)
	case s.Aside() != "":
		s.flows.Lost(0, true, now)
	}
}

// Durable says that the file is open, so that what is counted is kept at all.
func (s *Store) Durable() bool { return s.opened.Load() }

// Problem is why nothing is kept at present, or empty.
func (s *Store) Problem() string {
	if p := s.problem.Load(); p != nil {
		return *p
	}
	return ""
}

// Warnings are what somebody should know of the store, each in a sentence.
func (s *Store) Warnings() (out []string) {
	if p := s.Problem(); p != "" {
		out = append(out, p)
	}
	if aside := s.Aside(); aside != "" {
		out = append(out, "a file of flows could not be used, and was put aside as "+aside)
	}
	return out
}

// Size is the file's, in bytes, as of the last commit.
func (s *Store) Size() int64 { return s.size.Load() }
