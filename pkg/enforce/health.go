//go:build linux

package enforce

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/netpol-project/netpol/pkg/enforce/collect"
)

// stuckAfter is how long the programming loop may be at one change. The first
// one of a large cluster takes seconds.
const stuckAfter = 2 * time.Minute

// begins and ends say since when the programming loop is at work.
func (a *Agent) begins() { a.busySince.Store(a.opts.Now().UnixNano()) }
func (a *Agent) ends()   { a.busySince.Store(0) }

// alive is nil unless the programming loop is stuck.
func (a *Agent) alive() error {
	since := a.busySince.Load()
	if since == 0 {
		return nil
	}
	if took := a.opts.Now().Sub(time.Unix(0, since)); took > stuckAfter {
		return fmt.Errorf("programming has not come to an end for %s", took.Round(time.Second))
	}
	return nil
}

// isReady is nil once the first full sync is in the kernel and connections are
// counted, and as long as the kernel takes what it is given.
func (a *Agent) isReady() error {
	switch {
	case !a.ready.Load():
		err := errors.New("the first full sync is not done; rules of an agent before stay in force")
		if why := a.waiting(); len(why) > 0 {
			return fmt.Errorf("%w\n%s", err, strings.Join(why, "\n"))
		}
		return err
	case a.behind.Load():
		return errors.New("the kernel refuses the newest rules; the former ones stay in force")
	}
	return nil
}

// waiting are the resources that can't be read at present, and why.
func (a *Agent) waiting() []string {
	if w, ok := a.opts.Source.(Waiter); ok {
		return w.Waiting()
	}
	return nil
}

// newsAt notes that there is something to program, lag how long ago the oldest
// of it came.
func (a *Agent) newsAt(t time.Time) { a.lagSince.CompareAndSwap(0, t.UnixNano()) }

func (a *Agent) lag() time.Duration {
	since := a.lagSince.Load()
	if since == 0 {
		return 0
	}
	return max(0, a.opts.Now().Sub(time.Unix(0, since)))
}

// fillEvery is how often the table of connections is looked at, fullAt from
// which part of it on that is a warning.
const (
	fillEvery = 5 * time.Second
	fullAt    = 0.8
)

// noteFill keeps an eye on the table of connections: what does not fit there
// is lost, whatever policies say.
func (a *Agent) noteFill(ctx context.Context) {
	for ; ctx.Err() == nil; pause(ctx, fillEvery) {
		f, err := a.conns.Fill()
		if err != nil {
			if ctx.Err() == nil {
				a.opts.Log.Warn("the table of connections can't be looked at", "error", err)
			}
			continue
		}
		a.fill.Store(&f)
	}
}

// fullness warns of a table of connections that is nearly full.
func fullness(f *collect.Fill) []string {
	if f == nil || f.Max == 0 || float64(f.Entries) < fullAt*float64(f.Max) {
		return nil
	}
	return []string{fmt.Sprintf(
		"warning: the node's table of connections is %d %% full (%d of %d): what does not fit is dropped (%d so far, %d pushed out early); raise net.netfilter.nf_conntrack_max",
		uint64(f.Entries)*100/uint64(f.Max), f.Entries, f.Max, f.Dropped, f.EarlyDropped)}
}
