package keep

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"time"
)

// round is a commit that several wait for.
type round struct {
	done chan struct{}
	err  error
}

// Sync writes what has changed up to the call. Calls that come while another is
// at it are served by one commit. The error says that it is not on disk; it will
// be tried again.
func (s *Store) Sync() error {
	if !s.opened.Load() {
		return nil // Problem tells
	}
	s.mu.Lock()
	r := s.next
	if r != nil {
		s.mu.Unlock()
		<-r.done
		return r.err
	}
	r = &round{done: make(chan struct{})}
	s.next = r
	s.mu.Unlock()
	s.turn.Lock()
	time.Sleep(s.opts.Pace - time.Since(s.committed)) // not at all for what is negative
	s.mu.Lock()
	s.next = nil
	s.mu.Unlock()
	s.committed = time.Now()
	r.err = s.commit()
	s.turn.Unlock()
	close(r.done)
	return r.err
}

// Run writes every so often, until ctx ends, and tries to open a file that could
// not be opened. It notices when the clock is set ahead.
func (s *Store) Run(ctx context.Context) {
	began := time.Now()
	wait := Every
	t := time.NewTimer(wait)
	defer t.Stop()
	for {
		s.flows.Tick(s.opts.Now(), time.Since(began))
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			wait = s.turnOver(wait)
			t.Reset(wait)
		}
	}
}

// turnOver writes, or tries to open the file, and says how long to wait for the
// next time: longer and longer while the file can't be opened.
func (s *Store) turnOver(wait time.Duration) time.Duration {
	if s.opened.Load() || s.opts.Dir == "" {
		_ = s.Sync() // Problem tells
		return Every
	}
	if s.late() != nil {
		return min(2*wait, mostWait)
	}
	return Every
}

// Close writes the rest, also into a file that can be opened only now.
func (s *Store) Close() error {
	err := s.late()
	if err == nil {
		err = s.Sync()
	}
	s.turn.Lock()
	defer s.turn.Unlock()
	if s.db == nil || s.closed {
		return err
	}
	s.closed = true
	return cmp.Or(err, s.db.Close())
}

// fail notes why nothing is kept, and logs it once; nil takes it back.
func (s *Store) fail(err error) error {
	before := s.Problem()
	if err == nil {
		s.problem.Store(nil)
		if before != "" {
			s.opts.Log.Info("flows are kept on disk again", "dir", s.opts.Dir)
		}
		return nil
	}
	text := fmt.Sprintf("flows are counted in memory alone, and not kept in %s: %v", s.opts.Dir, err)
	s.problem.Store(&text)
	if before != text {
		s.opts.Log.Error("flows are counted in memory alone", "dir", s.opts.Dir, "error", err)
	}
	return err
}

// measure notes how large the file is.
func (s *Store) measure() {
	if info, err := os.Stat(s.path()); err == nil {
		s.size.Store(info.Size())
	}
}
