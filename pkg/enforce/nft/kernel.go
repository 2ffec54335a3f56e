//go:build linux

// Package nft programs a ruleset into the kernel's table inet netpol over
// netlink, without an nft binary, and tells when somebody else changes it.
//
// It decides nothing about packets and keeps no state but what it has
// programmed: a Ruleset goes in, the kernel has it or still has the one
// before.
package nft

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/netpol-project/netpol/pkg/enforce/internal/nfnl"
	"github.com/netpol-project/netpol/pkg/enforce/ruleset"
)

// Table is the name of the table, family inet.
const Table = "netpol"

// Errors that a caller may want to tell apart.
var (
	// ErrNoPermission: CAP_NET_ADMIN is missing in the namespace.
	ErrNoPermission = errors.New("no permission to change packet filter rules (CAP_NET_ADMIN)")
	// ErrInUse: another living process owns the table.
	ErrInUse = errors.New("table inet netpol belongs to another running process")
	// ErrNotProgrammed: there is no ruleset in the kernel yet.
	ErrNotProgrammed = errors.New("no ruleset is programmed yet")
)

// Options say how the kernel is reached.
type Options struct {
	// NetNS is a file descriptor of the network namespace; 0 is the current one.
	NetNS int
	// NoOwner leaves the table open to others even where the kernel could
	// protect it.
	NoOwner bool
	// MaxBatch bounds a batch in bytes; 0 is what the kernel grants.
	MaxBatch int
}

// Stats counts what happened since Open.
type Stats struct {
	Commits uint64 // batches that the kernel took
	Resyncs uint64 // complete rebuilds, the first programming included
	Failed  uint64 // batches that the kernel refused
	// LastCommit is how long the last Apply or Resync took.
	LastCommit time.Duration
}

// Kernel is the table in the kernel. Its methods may be called from several
// goroutines; they take turns.
type Kernel struct {
	opts    Options
	owned   bool
	adopted bool
	found   present // by Open; nothing after the first rules

	mu         sync.Mutex
	conn       *nfnl.Conn
	limit      int              // bytes of a batch
	programmed *ruleset.Ruleset // the last that the kernel took
	uncertain  bool             // and may have lost since
	names      names
	stats      Stats
	answer     []byte
	// fault lets tests break a batch on its way.
	fault func(messages []byte) []byte
}

// wishedBuffer holds the largest batch that is likely in one piece.
const wishedBuffer = 32 << 20

// Open creates the table, or takes over the one that a former process left;
// its rules stay in force until the first Apply or Resync replaces them.
// Where the kernel can (6.9 and later) the table is owned by this process, so
// that nobody else can flush or change it, and stays when the process ends;
// until the next Open adopts it, it is as open to others as any table.
func Open(opts Options) (*Kernel, error) {
	conn, err := nfnl.Open(nfnl.Options{NetNS: opts.NetNS, ReadBuffer: 4 << 20, WriteBuffer: wishedBuffer})
	if err != nil {
		return nil, err
	}
	k := &Kernel{opts: opts, conn: conn, limit: conn.WriteBuffer(), answer: make([]byte, 1<<16)}
	if opts.MaxBatch > 0 {
		k.limit = min(k.limit, opts.MaxBatch)
	}
	// Answers need not carry the batch again.
	err = conn.SetOption(unix.SOL_NETLINK, unix.NETLINK_CAP_ACK, 1)
	if err == nil {
		k.owned, err = k.takeTable()
	}
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return k, nil
}

// Owned tells whether the kernel keeps others from changing the table.
func (k *Kernel) Owned() bool { return k.owned }

// Adopted tells whether Open found rules of a former process, which stay in
// force.
func (k *Kernel) Adopted() bool { return k.adopted }

// Found tells whether Open found a chain among the rules of a former process. It
// is for before the first Apply or Resync.
func (k *Kernel) Found(chain string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	for name := range k.found.chains {
		if base, _ := generation(name); base == chain {
			return true
		}
	}
	return false
}

// MaxBatch is the largest batch in bytes that the kernel granted.
func (k *Kernel) MaxBatch() int { return k.limit }

// Stats returns the counters.
func (k *Kernel) Stats() Stats {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.stats
}

// Close lets go of the table; its rules stay in force.
func (k *Kernel) Close() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.conn.Close()
}

// Remove deletes the table with all its rules.
func (k *Kernel) Remove() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	b := newBatch(k.limit, nil)
	b.addTable(k.tableFlags()) // deleting one that is gone is no error
	b.delTable()
	if err := k.commit(b); err != nil {
		return err
	}
	k.programmed = nil
	return nil
}

// Apply brings the kernel from the ruleset that is programmed to rs, in one
// batch that is taken whole or not at all. If the kernel refuses the batch,
// everything is rebuilt as by Resync; an error means that this failed too and
// that the rules before are still in force. rs must not be changed afterwards.
func (k *Kernel) Apply(ctx context.Context, rs *ruleset.Ruleset) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	defer k.clock(time.Now())
	if k.programmed == nil || k.uncertain {
		return k.resync(ctx, rs)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	c := diff(k.programmed, rs)
	if c.empty() && !c.rebuild {
		k.programmed = rs
		return nil
	}
	if c.rebuild {
		return k.resync(ctx, rs)
	}
	next := k.names.with(c.newChains, c.newSets)
	b := newBatch(k.limit, nil)
	b.change(&c, next)
	if err := k.commit(b); err != nil {
		if rerr := k.resync(ctx, rs); rerr != nil {
			return fmt.Errorf("change: %w; rebuild: %w", err, rerr)
		}
		return nil
	}
	k.programmed, k.names = rs, next
	return nil
}

// Resync rebuilds everything, whatever the kernel has now, without a moment
// in which fewer rules are in force than before or after.
func (k *Kernel) Resync(ctx context.Context, rs *ruleset.Ruleset) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	defer k.clock(time.Now())
	return k.resync(ctx, rs)
}

func (k *Kernel) clock(start time.Time) { k.stats.LastCommit = time.Since(start) }

// change puts the messages in an order that respects references: what is
// referred to comes before and goes after what refers to it.
func (b *batch) change(c *changes, n names) {
	for _, chain := range c.newChains {
		b.addChain(chain, n.kernel(chain.Name))
	}
	for _, set := range c.newSets {
		b.addSet(set, n.kernel(set.Name))
	}
	for _, list := range [][]*ruleset.Chain{c.changedChains, c.goneChains} {
		for _, chain := range list {
			b.flushChain(n.kernel(chain.Name))
		}
	}
	for _, s := range c.changedSets {
		b.delElements(s.set, n.kernel, s.del)
	}
	for _, s := range c.changedSets {
		b.addElements(s.set, n.kernel, s.add)
	}
	for _, set := range c.newSets {
		b.addElements(set, n.kernel, set.Elements)
	}
	for _, list := range [][]*ruleset.Chain{c.newChains, c.changedChains} {
		for _, chain := range list {
			b.addRules(chain, n.kernel)
		}
	}
	for _, set := range c.goneSets {
		b.delSet(n.kernel(set.Name))
	}
	for _, chain := range c.goneChains {
		b.delChain(n.kernel(chain.Name))
	}
}
