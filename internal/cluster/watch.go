package cluster

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/netpol-project/netpol/pkg/policy"
)

// quiet is how long a file that is written in place (not renamed into it), or
// that vanished, is left alone before it is read: editors write in several
// steps, and half a file must not be taken for the whole.
const quiet = 10 * time.Millisecond

// fencePrefix begins the names of the files by which fence knows that all
// earlier events have been seen.
const fencePrefix = ".netpol-fence-"

// fenceLate is when fence gives up: the directory may be another one now than
// the one that is watched (something was mounted over it).
const fenceLate = 2 * time.Second

// watchState is what a Dir needs while it is watched; Dir.mu guards it.
type watchState struct {
	watchers map[chan State]bool
	loop     *loop
	sent     *policy.Snapshot
	fences   int // made so far, for their names
}

// Watch sends the State at once and after every change.
func (d *Dir) Watch(ctx context.Context) (<-chan State, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.watch.loop == nil {
		l, err := d.startLoop()
		if err != nil {
			return nil, err
		}
		d.watch.loop = l
		d.watch.watchers = map[chan State]bool{}
	}
	ch := make(chan State, 1)
	ch <- d.state()
	d.broadcast() // to the others, if this brought news
	d.watch.watchers[ch] = true
	context.AfterFunc(ctx, func() { d.unwatch(ch) })
	return ch, nil
}

// unwatch ends one watch, and the loop with the last.
func (d *Dir) unwatch(ch chan State) {
	d.mu.Lock()
	delete(d.watch.watchers, ch)
	close(ch)
	var last *loop
	if len(d.watch.watchers) == 0 {
		last, d.watch.loop = d.watch.loop, nil
	}
	d.mu.Unlock()
	if last != nil {
		close(last.stop)
		<-last.done
		last.events.Close()
	}
}

// broadcast sends the State if it is another than the last one sent; one that
// was not taken yet is replaced. d.mu is held.
func (d *Dir) broadcast() {
	s := d.state()
	if s.Snapshot == d.watch.sent {
		return
	}
	d.watch.sent = s.Snapshot
	for ch := range d.watch.watchers {
		select {
		case <-ch:
		default:
		}
		ch <- s
	}
}

// fence waits until the loop has read all that was written before: events come
// in order, so the event of a file made now comes after all others. watching
// is false if there is no loop, no file can be made, or its event does not come.
func (d *Dir) fence(ctx context.Context) (watching bool, err error) {
	d.mu.Lock()
	l := d.watch.loop
	if l == nil {
		d.mu.Unlock()
		return false, nil
	}
	d.watch.fences++
	path := filepath.Join(d.root, fmt.Sprintf("%s%d-%d", fencePrefix, os.Getpid(), d.watch.fences))
	passed := make(chan struct{})
	l.fences[path] = passed
	d.mu.Unlock()
	defer func() {
		d.mu.Lock()
		delete(l.fences, path)
		d.mu.Unlock()
	}()
	h, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return false, nil
	}
	defer os.Remove(path)
	h.Close()
	select {
	case <-passed:
		return true, nil
	case <-l.done:
		return false, nil
	case <-time.After(fenceLate):
		return false, nil
	case <-ctx.Done():
		return true, ctx.Err()
	}
}
