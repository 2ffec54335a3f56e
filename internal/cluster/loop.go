package cluster

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
)

// loop follows the directory's events while anybody watches.
type loop struct {
	dir    *Dir
	events *fsnotify.Watcher
	stop   chan struct{}
	done   chan struct{}
	// fences by the path of their file, closed once all before is read.
	// Dir.mu guards it.
	fences map[string]chan struct{}
	// later are the paths to be read once they have been quiet.
	later map[string]time.Time
	// lost: the directory itself is gone. What is known stays in force, and
	// it is looked for until it is back.
	lost bool
}

// retry is how often a directory that is gone is looked for.
const retry = 500 * time.Millisecond

// startLoop watches every directory, then reads what changed before that.
// d.mu is held.
func (d *Dir) startLoop() (*loop, error) {
	w, err := fsnotify.NewBufferedWatcher(256)
	if err != nil {
		return nil, watchError(d.root, err)
	}
	l := &loop{
		dir: d, events: w, stop: make(chan struct{}), done: make(chan struct{}),
		fences: map[string]chan struct{}{}, later: map[string]time.Time{},
	}
	err = l.addDirs(d.root)
	if err == nil {
		err = d.rescan()
	}
	if err != nil {
		w.Close()
		return nil, err
	}
	go l.run()
	return l, nil
}

func (l *loop) addDirs(root string) error {
	var failed error
	err := walk(root, func(path string, isDir bool) {
		if isDir && failed == nil {
			if err := l.events.Add(path); err != nil && !errors.Is(err, os.ErrNotExist) {
				failed = watchError(path, err)
			}
		}
	})
	return errors.Join(err, failed)
}

func watchError(path string, err error) error {
	return fmt.Errorf("%s can't be watched (if it says no space or too many, raise fs.inotify.max_user_watches or max_user_instances): %w", path, err)
}

func (l *loop) run() {
	defer close(l.done)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		var b batch
		select {
		case <-l.stop:
			return
		case ev := <-l.events.Events:
			b.add(ev)
		case <-l.events.Errors: // the queue overflowed: some events are lost
			b.all = true
		case <-timer.C:
		}
		for more := true; more; {
			select {
			case ev := <-l.events.Events:
				b.add(ev)
			default:
				more = false
			}
		}
		l.handle(b)
		timer.Reset(l.wait())
	}
}

// batch is what a burst of events says.
type batch struct {
	changed []fsnotify.Event
	fences  []string
	all     bool // look at everything
}

func (b *batch) add(ev fsnotify.Event) {
	ev.Name = filepath.Clean(ev.Name) // "./x" in a directory given as "."
	name := filepath.Base(ev.Name)
	switch {
	case strings.HasPrefix(name, fencePrefix):
		if ev.Has(fsnotify.Create) {
			b.fences = append(b.fences, ev.Name)
		}
	case name == "..data": // a mounted ConfigMap swaps this link
		b.all = true
	case !isHidden(name): // a change of mode too: it may be readable now
		b.changed = append(b.changed, ev)
	}
}

// wait is how long until the next path has been quiet.
func (l *loop) wait() time.Duration {
	soonest := time.Hour
	if l.lost {
		soonest = retry
	}
	for _, at := range l.later {
		soonest = min(soonest, max(0, time.Until(at)))
	}
	return soonest
}

// handle reads what is due, and tells the watchers and fences.
func (l *loop) handle(b batch) {
	d := l.dir
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, ev := range b.changed {
		b.all = l.note(ev) || b.all
	}
	if l.lost {
		// A watch of the old one would keep the new one from being watched.
		_ = l.events.Remove(d.root)
		_, err := os.Stat(d.root)
		l.lost = err != nil
		b.all = !l.lost
	}
	force := b.all || len(b.fences) > 0
	var due []string
	for path, at := range l.later {
		if force || !time.Now().Before(at) {
			due = append(due, path)
			delete(l.later, path)
		}
	}
	if b.all {
		// An error here is that the directory can't be read at the moment:
		// what is known stays in force.
		_ = l.addDirs(d.root)
		_ = d.rescan()
	} else {
		d.update(due)
	}
	d.broadcast()
	for name, ch := range l.fences {
		// After a look at everything no fence's own event need come: it may be
		// among those that were lost.
		if b.all || slices.Contains(b.fences, name) {
			close(ch)
			delete(l.fences, name)
		}
	}
}

// note puts a path down to be read, now or once it is quiet. It returns true
// for what concerns a directory. d.mu is held.
func (l *loop) note(ev fsnotify.Event) (all bool) {
	if ev.Name == l.dir.root && (ev.Has(fsnotify.Remove) || ev.Has(fsnotify.Rename)) {
		l.lost = true
		return false
	}
	info, err := os.Stat(ev.Name)
	if err != nil { // gone; perhaps it was a directory
		l.later[ev.Name] = time.Now().Add(quiet)
		return false
	}
	if info.IsDir() {
		return ev.Has(fsnotify.Create) || ev.Has(fsnotify.Chmod)
	}
	if !IsManifest(filepath.Base(ev.Name)) {
		return false
	}
	now := stampFrom(info)
	old, known := l.dir.at(ev.Name)
	switch {
	case known && old.stamp == now:
		delete(l.later, ev.Name)
	case known && old.stamp.inode == now.inode, now.size == 0:
		l.later[ev.Name] = time.Now().Add(quiet)
	default:
		// Another file than before was put in place: it is whole.
		l.later[ev.Name] = time.Time{}
	}
	return false
}
