package chain

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

// Plugin is what is put on a node.
type Plugin struct {
	// Program is the file that is copied to Bin under Name, which is also the
	// type of the plugin.
	Program, Bin, Name string
	// Conf is the node's directory of network configurations.
	Conf Dir
	// Entry is the plugin's part of a list, in JSON.
	Entry []byte
	// Tell, if not nil, is told each time that Keep has looked: the configuration
	// that names the plugin, or why it is not in force.
	Tell func(ctx context.Context, name string, err error)
}

// Put puts it there: the program first, then the entry.
func (p Plugin) Put() (name string, changed bool, err error) {
	copied, err := Program(p.Program, p.Bin, p.Name)
	if err != nil {
		return "", false, err
	}
	name, changed, err = p.Conf.Put(p.Entry)
	return name, changed || copied, err
}

// Take takes it away: the entry first, and the program only if that is gone
// everywhere.
func (p Plugin) Take() (names []string, err error) {
	names, err = p.Conf.Take(p.Name)
	if err != nil {
		return names, err
	}
	return names, RemoveProgram(p.Bin, p.Name)
}

// InForce is the configuration that names the plugin on this node, or why it is
// not in force.
func (p Plugin) InForce() (name string, err error) {
	if _, err := os.Stat(filepath.Join(p.Bin, p.Name)); err != nil {
		return "", err
	}
	return p.Conf.Has(p.Name)
}

const (
	// settle is how long a change of a directory is waited with: whoever writes
	// it may not be done.
	settle = 200 * time.Millisecond
	// again is how often is looked without a change, and after a failure.
	again      = 30 * time.Second
	afterFault = 2 * time.Second
)

// Keep puts the plugin there and keeps it there until ctx ends: who owns the
// configuration writes it anew when it likes. A directory without configurations
// gets one when the node's network comes.
func (p Plugin) Keep(ctx context.Context, log *slog.Logger) error {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return err
	}
	defer w.Close()
	for _, dir := range []string{p.Conf.Path, p.Bin} {
		if err := w.Add(dir); err != nil {
			return err
		}
	}
	told := ""
	for ctx.Err() == nil {
		wait := again
		name, changed, err := p.Put()
		now := name
		switch {
		case errors.Is(err, ErrNoNetwork):
			now, wait = err.Error(), afterFault
		case errors.Is(err, errChanged):
			now, wait = told, settle
		case err != nil:
			return err
		}
		switch {
		case now != told && err != nil:
			log.Warn("the CNI plugin is not in force yet", "reason", err)
		case now != told || changed:
			log.Info("the CNI plugin is in force", "directory", p.Conf.Path, "file", name)
		}
		told = now
		if p.Tell != nil && !errors.Is(err, errChanged) {
			p.Tell(ctx, name, err)
		}
		if err := idle(ctx, w, wait); err != nil {
			return err
		}
	}
	return nil
}

// idle returns when a directory has changed and settled, or after a time.
func idle(ctx context.Context, w *fsnotify.Watcher, wait time.Duration) error {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
			return nil
		case err := <-w.Errors:
			if !errors.Is(err, fsnotify.ErrEventOverflow) {
				return err
			}
			timer.Reset(settle)
		case e := <-w.Events:
			if !e.Has(fsnotify.Chmod) {
				timer.Reset(settle)
			}
		}
	}
}
