package kube

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/netpol-project/netpol/internal/cluster"
	"github.com/netpol-project/netpol/pkg/policy"
)

// follower keeps the resources of one kind up to date: it reads all of them
// once, then the changes. What it has stays until it has something newer,
// whatever happens to the connection.
type follower struct {
	*following
	kind policy.Kind
	res  Resource
	// version is how far it has come; empty: all is to be read (again).
	version string
	// noWatchList: the server can't send what there is as part of a watch.
	noWatchList bool
	absent      int       // times in a row that the server did not know the API
	since       time.Time // the first of them

	// guarded by following.mu
	synced  bool
	trouble string
}

func newFollower(f *following, kind policy.Kind, res Resource) *follower {
	return &follower{following: f, kind: kind, res: res}
}

const (
	firstRetry  = 100 * time.Millisecond
	lastRetry   = 3 * time.Second
	slowRetry   = 10 * time.Second // where somebody has to change something
	watchFor    = 5 * time.Minute  // at least, and up to twice that
	readBuffer  = 16 << 10
	patience    = 10 * time.Second
	initialEnds = "k8s.io/initial-events-end"
)

// errEnded is the normal end of a watch.
var errEnded = errors.New("the watch ended")

func (w *follower) run(ctx context.Context) {
	retry := firstRetry
	for ctx.Err() == nil {
		start := time.Now()
		err := w.once(ctx)
		if ctx.Err() != nil {
			return
		}
		if errors.Is(err, errEnded) && time.Since(start) > time.Second {
			retry = firstRetry
			continue
		}
		if time.Since(start) > slowRetry {
			retry = firstRetry
		}
		wait := w.after(ctx, err, retry)
		if !pause(ctx, wait/2+rand.N(wait)) {
			return
		}
		retry = min(2*retry, lastRetry)
	}
}

// after says how long to wait after an error, and notes what it means.
func (w *follower) after(ctx context.Context, err error, retry time.Duration) time.Duration {
	if !apierrors.IsNotFound(err) {
		w.absent = 0
	}
	switch {
	case errors.Is(err, errEnded):
		return retry
	case apierrors.IsNotFound(err):
		sure := w.gone(ctx)
		if !sure {
			w.tell(err)
		}
		if sure || w.synced {
			return slowRetry
		}
		return retry
	case apierrors.IsForbidden(err), apierrors.IsUnauthorized(err):
		w.tell(err)
		return max(retry, time.Second)
	}
	if seconds, ok := apierrors.SuggestsClientDelay(err); ok {
		retry = max(retry, time.Duration(seconds)*time.Second)
	}
	w.tell(err)
	return retry
}

// sayAgain is how often the same trouble is logged.
const sayAgain = time.Minute

// tell notes what is wrong, and logs it if it is news: an API server that is
// away is one piece of news, not one of every kind.
func (w *follower) tell(err error) {
	var f *cluster.Failure
	text := err.Error()
	if errors.As(w.fail(request{verb: "watch", resource: w.res}, err), &f) {
		text = f.What + ": " + f.Where[0]
	}
	now := time.Now()
	w.following.mu.Lock()
	w.trouble = text
	news := now.Sub(w.logged[text]) > sayAgain
	if len(w.logged) > 100 {
		clear(w.logged)
	}
	w.logged[text] = now
	w.following.mu.Unlock()
	if news {
		w.opts.Log.Warn("watching resources; what is known of them stays in force", "resource", w.res.String(), "error", text)
	}
}

// well ends what tell began.
func (w *follower) well() {
	w.absent = 0
	w.following.mu.Lock()
	was := w.trouble
	w.trouble = ""
	_, first := w.logged[was]
	delete(w.logged, was)
	w.following.mu.Unlock()
	if first {
		w.opts.Log.Info("watching resources again", "resource", w.res.String())
	}
}

// once reads everything if that is needed, and then changes until the watch
// breaks.
func (w *follower) once(ctx context.Context) error {
	if w.version == "" && !w.noWatchList {
		err := w.watch(ctx, params{"sendInitialEvents": "true", "resourceVersionMatch": string(metav1.ResourceVersionMatchNotOlderThan)})
		if w.version != "" || !apierrors.IsInvalid(err) && !apierrors.IsBadRequest(err) {
			return err
		}
		w.noWatchList = true
	}
	if w.version == "" {
		l, err := w.listKind(ctx, w.res, "")
		if err != nil {
			return err
		}
		w.take(l.items, l.version)
	}
	return w.watch(ctx, params{"resourceVersion": w.version})
}

// take puts all resources of the kind into force at once.
func (w *follower) take(items []policy.Served, version string) {
	w.version = version
	w.well()
	w.apply(func(c *cache) bool {
		w.synced = true
		return c.replace(w.kind, items, version)
	})
}

// watch follows changes. With sendInitialEvents what there is comes first.
func (w *follower) watch(ctx context.Context, query params) error {
	query["watch"], query["allowWatchBookmarks"] = "true", "true"
	lasts := w.opts.watchFor + rand.N(w.opts.watchFor)
	query["timeoutSeconds"] = fmt.Sprint(int(lasts.Seconds()))
	// The server ends it. Where nothing is heard of that, the connection is dead,
	// which not every transport finds out by itself.
	ctx, cancel := context.WithTimeout(ctx, lasts+w.opts.watchFor/10)
	defer cancel()
	body, err := query.on(w.client.Get().AbsPath(w.res.path("", "")...).MaxRetries(0)).Stream(ctx)
	if err != nil {
		if apierrors.IsResourceExpired(err) || apierrors.IsGone(err) {
			w.version = ""
		}
		return err
	}
	defer body.Close()
	s := stream{follower: w, initial: query["sendInitialEvents"] != ""}
	if !s.initial {
		w.well()
		return s.read(body)
	}
	// A server that does not know what was asked for never says that the list
	// is at its end.
	s.silence = time.AfterFunc(w.opts.patience, cancel)
	defer s.silence.Stop()
	err = s.read(body)
	if s.initial && ctx.Err() != nil {
		w.noWatchList = true
	}
	return err
}

// catchUp compares what is known with what there is.
func (w *follower) catchUp(ctx context.Context) error {
	l, err := w.listKind(ctx, w.res, "")
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return w.fail(request{verb: "list", resource: w.res}, err)
	}
	w.apply(func(c *cache) bool {
		kc := c.kind(w.kind)
		if kc.version != "" && older(l.version, kc.version) {
			return false // the watch is further already
		}
		return c.replace(w.kind, l.items, l.version)
	})
	return nil
}
