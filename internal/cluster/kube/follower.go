package kube

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/resourceversion"

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
	absent      int // times in a row that the server did not know the API

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
	watchFor    = 5 * time.Minute
	readBuffer  = 16 << 10
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
		wait := w.after(err, retry)
		if !pause(ctx, wait/2+rand.N(wait)) {
			return
		}
		retry = min(2*retry, lastRetry)
	}
}

// after says how long to wait after an error, and notes what it means.
func (w *follower) after(err error, retry time.Duration) time.Duration {
	switch {
	case errors.Is(err, errEnded):
		return retry
	case apierrors.IsNotFound(err):
		w.gone()
		return slowRetry
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

// gone: the server does not know the API. There is nothing of that kind, then;
// what was there before is let go of only when that is sure, since a server
// that is starting or half broken may say so too.
func (w *follower) gone() {
	w.version = ""
	w.absent++
	w.following.mu.Lock()
	first := !w.synced
	empty := len(w.cache.kind(w.kind).at) == 0
	w.synced, w.trouble = true, ""
	w.following.mu.Unlock()
	switch {
	case first, empty:
		w.apply(func(c *cache) bool { c.kind(w.kind).version = ""; return false })
	case w.absent >= 3:
		w.opts.Log.Warn("the API is gone, and with it its resources", "resource", w.res.String())
		w.apply(func(c *cache) bool { return c.replace(w.kind, nil, "") })
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
	query["timeoutSeconds"] = fmt.Sprint(int((watchFor + rand.N(watchFor)).Seconds()))
	ctx, cancel := context.WithCancel(ctx)
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
	}
	return s.read(body)
}

// stream is one watch.
type stream struct {
	*follower
	initial bool // what comes is what there is, not what changed
	items   []policy.Served
	at      map[name]int // in items
}

// read handles events, which are one a line.
func (s *stream) read(body io.Reader) error {
	in := bufio.NewReaderSize(body, readBuffer)
	var long []byte
	for {
		line, err := in.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			long = append(long, line...)
			continue
		}
		if len(long) > 0 {
			long = append(long, line...)
			line = long
		}
		if err != nil {
			if errors.Is(err, io.EOF) && len(line) == 0 {
				return errEnded
			}
			return fmt.Errorf("the watch broke: %w", err)
		}
		if err := s.event(line); err != nil {
			return err
		}
		if cap(long) > 1<<20 {
			long = nil
		}
		long = long[:0]
	}
}

// event handles one event.
func (s *stream) event(line []byte) error {
	event, item, err := s.dec.ServedEvent(line)
	if err != nil {
		return err
	}
	switch event {
	case "ADDED", "MODIFIED", "DELETED":
		s.form.Read(&item)
		s.resource(event, item)
	case "BOOKMARK":
		return s.bookmark(line)
	case "ERROR":
		return s.refused(line)
	}
	return nil
}

func (s *stream) resource(event string, item policy.Served) {
	id := name{item.Namespace, item.Name}
	if s.initial {
		s.collect(event, id, item)
		return
	}
	s.apply(func(c *cache) bool {
		kc := c.kind(s.kind)
		if older(item.Version, kc.version) {
			return false // catchUp was ahead of the watch
		}
		s.version, kc.version = item.Version, item.Version
		if event == "DELETED" {
			return c.remove(s.kind, id, item.Version)
		}
		return c.put(s.kind, item)
	})
}

// collect notes what there is. Changes may come in between already.
func (s *stream) collect(event string, id name, item policy.Served) {
	if s.at == nil {
		s.at = map[name]int{}
	}
	i, known := s.at[id]
	switch {
	case event == "DELETED" && known:
		last := len(s.items) - 1
		s.items[i] = s.items[last]
		s.at[name{s.items[i].Namespace, s.items[i].Name}] = i
		s.items = s.items[:last]
		delete(s.at, id)
	case event == "DELETED":
	case known:
		s.items[i] = item
	default:
		s.at[id] = len(s.items)
		s.items = append(s.items, item)
	}
}

// older says whether a version is not newer than another.
func older(version, than string) bool {
	c, err := resourceversion.CompareResourceVersion(version, than)
	return err == nil && c <= 0
}

// bookmark notes a version that was reached without a change.
func (s *stream) bookmark(line []byte) error {
	var b struct {
		Object struct {
			Metadata struct {
				ResourceVersion string
				Annotations     map[string]string
			}
		}
	}
	if err := json.Unmarshal(line, &b); err != nil {
		return err
	}
	meta := b.Object.Metadata
	switch {
	case meta.Annotations[initialEnds] == "true" && s.initial:
		s.initial = false
		s.take(s.items, meta.ResourceVersion)
		s.items, s.at = nil, nil
	case !s.initial && !older(meta.ResourceVersion, s.version):
		s.version = meta.ResourceVersion
		// Nobody waits for it, so there is nothing to send.
		s.following.mu.Lock()
		s.cache.kind(s.kind).version = meta.ResourceVersion
		s.following.mu.Unlock()
	}
	return nil
}

// refused is the error that a server ends a watch with.
func (s *stream) refused(line []byte) error {
	var e struct{ Object metav1.Status }
	if err := json.Unmarshal(bytes.TrimSpace(line), &e); err != nil {
		return err
	}
	err := &apierrors.StatusError{ErrStatus: e.Object}
	if apierrors.IsResourceExpired(err) || apierrors.IsGone(err) {
		s.version = "" // all is read again; what is known stays until then
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
