//go:build linux

package enforce

import (
	"context"
	"io"
	"net"
	"strconv"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/netpol-project/netpol/pkg/enforce/collect"
	"github.com/netpol-project/netpol/pkg/enforce/ruleset"
	"github.com/netpol-project/netpol/pkg/policy"
)

// LogLines say how the agent writes what Log rules see (S7): one line for each
// connection and rule.
type LogLines struct {
	// Out is where the lines go; nil: nowhere.
	Out io.Writer
	// Prefix begins each line, after the time; empty is DefaultLogPrefix.
	Prefix string
	// PerSecond lines are written in the long run, and Burst at once; what is
	// more is counted and told. 0 is the default.
	PerSecond, Burst int
}

// What LogLines are unless they say otherwise.
const (
	DefaultLogPrefix    = "netpol-packet"
	DefaultLogPerSecond = 100
	DefaultLogBurst     = 200
)

// logAttempts bounds the connections whose further packets are not written.
const logAttempts = 20_000

// logWriter writes the lines. It is safe for use by several goroutines.
type logWriter struct {
	opts LogLines
	now  func() time.Time
	// hit tells the rule of a number in a prefix.
	hit func(uint32) (policy.Hit, policy.Direction, bool)
	// name is an interface's.
	name func(uint32) string

	mu         sync.Mutex
	limit      *rate.Limiter
	attempts   *collect.Attempts
	suppressed uint64
	failed     error
	news       chan struct{} // something of these is there for keep
}

func (a *Agent) newLogWriter() *logWriter {
	o := a.opts.LogLines
	if o.Prefix == "" {
		o.Prefix = DefaultLogPrefix
	}
	if o.PerSecond == 0 {
		o.PerSecond = DefaultLogPerSecond
	}
	if o.Burst == 0 {
		o.Burst = DefaultLogBurst
	}
	attempts := collect.NewAttempts(logAttempts)
	attempts.ByPrefix = true
	return &logWriter{
		opts: o, now: a.opts.Now, hit: a.history.hitOf, name: newInterfaceNames().find,
		news:  make(chan struct{}, 1),
		limit: rate.NewLimiter(rate.Limit(o.PerSecond), o.Burst), attempts: attempts,
	}
}

// packet writes the line of a packet, if it is the first of its connection.
func (w *logWriter) packet(d *collect.Denied) {
	if w.opts.Out == nil {
		return
	}
	id, ok := ruleset.ParseLogPrefix(d.Prefix)
	if !ok {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.attempts.First(d) {
		return
	}
	hit, dir, ok := w.hit(id)
	if !ok {
		return
	}
	if !w.limit.AllowN(w.now(), 1) {
		w.suppressed++
		w.tell()
		return
	}
	w.tellSuppressed()
	line := logLine{prefix: w.opts.Prefix, in: w.name(d.IIf), out: w.name(d.OIf), packet: d.Packet, hit: hit, dir: dir}
	w.write(d.Time, line.String())
}

// tellSuppressed writes how many lines were left out, in order with the others.
func (w *logWriter) tellSuppressed() {
	if w.suppressed > 0 {
		w.write(w.now(), suppressedLine(w.opts.Prefix, w.suppressed))
		w.suppressed = 0
	}
}

func (w *logWriter) write(at time.Time, line string) {
	// That a line can't be written is told once; the next one is tried again.
	if _, err := io.WriteString(w.opts.Out, stamped(at, line)); err != nil {
		w.failed = err
		w.tell()
	}
}

func (w *logWriter) tell() {
	select {
	case w.news <- struct{}{}:
	default:
	}
}

// keep tells of suppressed lines also where no other follows, and hands errors
// to failed, until ctx ends.
func (w *logWriter) keep(ctx context.Context, failed func(error)) {
	told := false
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-w.news:
			pause(ctx, time.Second) // many lines may be too many in it
		}
		w.mu.Lock()
		w.tellSuppressed()
		err := w.failed
		w.mu.Unlock()
		if err != nil && !told {
			failed(err)
			told = true
		}
	}
}

// interfaceNames remembers the names of interfaces by their numbers, which are
// not given out again soon.
type interfaceNames struct {
	known map[uint32]string
	ask   func(uint32) (string, error)
}

// maxInterfaceNames bounds what is remembered; past it it starts over.
const maxInterfaceNames = 4096

func newInterfaceNames() *interfaceNames {
	return &interfaceNames{known: map[uint32]string{}, ask: func(index uint32) (string, error) {
		link, err := net.InterfaceByIndex(int(index))
		if err != nil {
			return "", err
		}
		return link.Name, nil
	}}
}

// find is the name, or the number of an interface that is gone; none is empty.
func (n *interfaceNames) find(index uint32) string {
	if index == 0 {
		return ""
	}
	if name, ok := n.known[index]; ok {
		return name
	}
	name, err := n.ask(index)
	if err != nil {
		name = "if" + strconv.FormatUint(uint64(index), 10)
	}
	if len(n.known) >= maxInterfaceNames {
		clear(n.known)
	}
	n.known[index] = name
	return name
}
