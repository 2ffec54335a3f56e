package kube

import (
	"context"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// A server that is starting or half broken may answer that it does not know an
// API that it has. Taken at its word, all policies of a kind would be gone: so
// how often and how long it has to say so before it is believed.
const (
	absentTimes = 3
	absentFor   = 10 * time.Second
)

// gone: the server does not know the API. There is nothing of that kind, then;
// sure says whether that is so. Before the kind was read once, the server's own
// list of what it serves is enough, if it is up; what was there before is let
// go of only after a while, too.
func (w *follower) gone(ctx context.Context) (sure bool) {
	w.version = ""
	if w.absent == 0 {
		w.since = time.Now()
	}
	w.absent++
	w.following.mu.Lock()
	synced, empty := w.synced, len(w.cache.kind(w.kind).at) == 0
	w.following.mu.Unlock()
	long := w.absent >= absentTimes && time.Since(w.since) >= absentFor
	switch {
	case synced && empty:
		sure = true // there is nothing to lose
	case synced:
		sure = long && w.denies(ctx)
	default: // in the end also one that lists what it denies, or does not tell
		sure = long || w.denies(ctx)
	}
	if !sure {
		return false
	}
	w.following.mu.Lock()
	w.synced, w.trouble = true, ""
	w.following.mu.Unlock()
	if empty {
		w.apply(func(c *cache) bool { c.kind(w.kind).version = ""; return false })
		return true
	}
	w.opts.Log.Warn("the API is gone, and with it its resources", "resource", w.res.String())
	w.apply(func(c *cache) bool { return c.replace(w.kind, nil, "") })
	return true
}

// denies says that a server that is up has the API not in its list.
func (w *follower) denies(ctx context.Context) bool { return w.up(ctx) && !w.serves(ctx, w.res) }

// up says whether the server has all of its APIs by now; true where that can't
// be told.
func (c *core) up(ctx context.Context) bool {
	_, err := c.get(ctx, []string{"/readyz"}, nil)
	return !apierrors.IsInternalError(err) && !apierrors.IsServiceUnavailable(err)
}
