//go:build linux

package enforce

import (
	"context"

	"github.com/netpol-project/netpol/pkg/enforce/collect"
	"github.com/netpol-project/netpol/pkg/enforce/nft"
)

const (
	// So many packets of a group in a second make it worth to read the counters:
	// no rule that logs fewer has come to its limit.
	busyRefusals, busyLogs = 500, 50
	// settled is after how many quiet seconds counting starts over, so that
	// counters of chains that are gone do no harm.
	settled = 30
)

// overflow finds out how many packets the limits of rules kept from an nflog
// group: those that the kernel counted beside the limits, less those that it
// sent. It is asked once a second and reads the counters in and after a second
// with many packets, else now and then. It never tells too many; while packets
// come it tells of those of the second before.
type overflow struct {
	log      *collect.Log
	group    uint16
	many     uint64 // in a second
	counters func() (map[nft.LogKey]uint64, error)

	seen    map[nft.LogKey]uint64
	started bool
	base    uint64 // sent before counting began
	counted uint64 // since then
	over    uint64 // since then
	kept    uint64 // before
	sent    uint64 // at the last asking
	busy    int    // askings for which counters are read
	quiet   int    // askings since
}

// lost is how many packets the limits have kept back since the first asking.
func (o *overflow) lost() (uint64, error) {
	sent := o.log.Sent()
	if o.started && o.counted > sent-o.base {
		o.over = max(o.over, o.counted-(sent-o.base))
	}
	if sent-o.sent >= o.many {
		o.busy = 3 // what ends within this second is counted in the next
	}
	o.sent = sent
	o.quiet++
	if o.busy > 0 {
		o.busy--
		o.quiet = 0
	} else if o.started && o.quiet < settled {
		return o.kept + o.over, nil
	} else {
		// Sent is read first: what comes meanwhile is left out rather than told
		// twice.
		o.kept, o.over, o.base, o.counted = o.kept+o.over, 0, sent, 0
		o.started, o.quiet = false, 0
	}
	return o.kept + o.over, o.read()
}

// read adds up what the counters have more than last time.
func (o *overflow) read() error {
	counts, err := o.counters()
	if err != nil {
		return err
	}
	for key, n := range counts {
		if key.Group != o.group || !o.started {
			continue
		}
		before := o.seen[key]
		if before > n { // the counter has begun anew with its chain
			before = 0
		}
		o.counted += n - before
	}
	o.seen, o.started = counts, true
	return nil
}

// noteUnlogged is the step that says how many connections Log rules met that got
// no line, since there were too many at once.
func (a *Agent) noteUnlogged(ctx context.Context, logged *collect.Log) func() {
	over := overflow{log: logged, group: LogGroup, many: busyLogs, counters: a.kernel.Logged}
	told := uint64(0)
	return func() {
		kept, err := over.lost()
		if err != nil && ctx.Err() == nil {
			a.opts.Log.Error("counters of Log rules can't be read", "error", err)
		}
		if kept > told {
			a.opts.Log.Warn("Log rules met more connections than are written", "count", kept-told)
			told = kept
		}
	}
}
