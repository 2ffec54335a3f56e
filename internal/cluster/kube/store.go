package kube

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/netpol-project/netpol/internal/cluster"
	"github.com/netpol-project/netpol/pkg/policy"
)

// Options say how a store reads and writes.
type Options struct {
	// Namespaces are those that the user looks at. Where there is no right to
	// list all namespaces, these are listed.
	Namespaces []string
	// Warn tells what a user should know: the server's warnings, and what the
	// answer can't know for lack of rights.
	Warn func(string)
	// Log gets what goes wrong while watching.
	Log *slog.Logger
	// Timeout bounds each request; zero: 30 s.
	Timeout time.Duration
	// Form is how the cluster keeps its resources; nil: as they are public.
	Form Form
	// Manager is the field manager; empty: netpol.
	Manager string

	// Tests set how long a server may be silent that lists by watching, how long a
	// resource may be ahead of another one that it needs, and how long a watch lasts.
	patience, hold, watchFor time.Duration
}

// Store is a cluster.Store in a Kubernetes API server.
//
// Without a watch every Snapshot is read anew. Once Watch was called, all that
// verdicts depend on is followed until the context of OpenStore ends, and kept
// in memory as it was decoded.
type Store struct {
	*core
	kinds []policy.Kind // that Snapshot and Keys read
}

// core is what stores of one cluster share.
type core struct {
	*api
	opts Options
	form Form
	ctx  context.Context

	mu sync.Mutex
	// read is what Snapshot read last, until something is written.
	read  *reading
	rev   uint64
	given map[policy.Key]given
	dec   *policy.Decoder

	following *following
}

// given is which object was handed out under a key.
type given struct{ uid, version string }

var _ cluster.Store = (*Store)(nil)

// OpenStore opens the resources of a cluster; nothing is sent yet. What Watch
// starts ends with ctx.
func OpenStore(ctx context.Context, conn *Conn, opts Options) (*Store, error) {
	a, err := newAPI(conn, opts)
	if err != nil {
		return nil, err
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	if opts.hold == 0 {
		opts.hold = longestHold
	}
	if opts.patience == 0 {
		opts.patience = patience
	}
	if opts.watchFor == 0 {
		opts.watchFor = watchFor
	}
	if opts.Manager == "" {
		opts.Manager = "netpol"
	}
	c := &core{api: a, opts: opts, form: opts.Form, ctx: ctx, given: map[policy.Key]given{}, dec: policy.NewDecoder()}
	if c.form == nil {
		c.form = native{}
	}
	return &Store{core: c, kinds: allKinds()}, nil
}

// Only is the store with a Snapshot of some kinds alone, for commands that
// need not read the whole cluster.
func (s *Store) Only(kinds ...policy.Kind) cluster.Store {
	kinds = slices.Clone(kinds)
	slices.Sort(kinds)
	return &Store{core: s.core, kinds: slices.Compact(kinds)}
}

// Snapshot is everything now or, while watched, as far as the watch has come.
func (s *Store) Snapshot(ctx context.Context) (*policy.Snapshot, policy.Faults, error) {
	if f := s.follows(); f != nil {
		state, err := f.first(ctx)
		return state.Snapshot, state.Faults, err
	}
	r, err := s.readAll(ctx, s.kinds)
	if err != nil {
		return nil, nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rev++
	snap, more := policy.NewSnapshot(s.rev, r.cache.flat, nil)
	s.read = r
	return snap, append(r.cache.allFaults(), more...), nil
}

// Keys are the keys of all resources; of those that Snapshot read, if it was
// called before.
func (s *Store) Keys(ctx context.Context) ([]policy.Key, error) {
	if f := s.follows(); f != nil {
		if _, err := f.first(ctx); err != nil {
			return nil, err
		}
		return f.keys(), nil
	}
	s.mu.Lock()
	r := s.read
	s.mu.Unlock()
	if r == nil || !r.covers(s.kinds) {
		if _, _, err := s.Snapshot(ctx); err != nil {
			return nil, err
		}
		s.mu.Lock()
		r = s.read
		s.mu.Unlock()
	}
	if r == nil {
		return nil, errors.New("the cluster changed while it was read")
	}
	return r.cache.keys(), nil
}

// forget drops what was read before something was written.
func (c *core) forget() {
	c.mu.Lock()
	c.read = nil
	c.mu.Unlock()
}

func (c *core) follows() *following {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.following
}
