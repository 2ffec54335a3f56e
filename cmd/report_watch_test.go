package cmd

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/internal/cluster"
	"github.com/netpol-project/netpol/internal/output"
	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// followed are flows that go on: what is sent on more is told to who follows.
type followed struct {
	fakeFlows
	more chan func()
	fail *atomic.Bool // to list them
}

func (s followed) List(ctx context.Context, f flow.Filter) ([]flow.Flow, flow.Coverage, error) {
	if s.fail.Load() {
		return nil, flow.Coverage{}, status.Error(codes.Unavailable, "gone")
	}
	return s.fakeFlows.List(ctx, f)
}

func (s followed) Follow(ctx context.Context, _ flow.Filter, each func(flow.Flow) error) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case f := <-s.more:
			f()
			if err := each(flow.Flow{}); err != nil {
				return err
			}
		}
	}
}

// told is a stream that can be waited for.
type told struct {
	mu   sync.Mutex
	text bytes.Buffer
	more chan struct{}
}

func (w *told) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	close(w.more)
	w.more = make(chan struct{})
	return w.text.Write(p)
}

func (w *told) until(t *testing.T, what string) string {
	t.Helper()
	for {
		w.mu.Lock()
		text, more := w.text.String(), w.more
		w.mu.Unlock()
		if strings.Contains(text, what) {
			return text
		}
		select {
		case <-more:
		case <-time.After(30 * time.Second):
			t.Fatalf("waited in vain for %q in:\n%s", what, text)
		}
	}
}

// watch runs report --watch on the bench until the test cancels it.
func (b *bench) watch(format output.Format, width int) (out *told, more chan func(), end func() error) {
	b.t.Helper()
	out, _, source, end := b.watchAll(format, width)
	return out, source.more, end
}

// watchAll is watch, with stderr and the source of flows.
func (b *bench) watchAll(format output.Format, width int) (out, errs *told, source followed, end func() error) {
	b.t.Helper()
	b.t.Setenv("NETPOL_CONFIG", "")
	b.t.Setenv("NETPOL_DIR", b.dir)
	out, errs = &told{more: make(chan struct{})}, &told{more: make(chan struct{})}
	config, err := cli.NewConfig()
	if err != nil {
		b.t.Fatal(err)
	}
	f := cli.New(&cli.Streams{In: strings.NewReader(""), Out: out, Err: errs, Width: width}, config)
	f.Now = func() time.Time { return testNow }
	source = followed{fakeFlows{b.agg}, make(chan func()), &atomic.Bool{}}
	f.Flows = func(context.Context) (flow.Source, error) { return source, nil }
	opts := &ReportOptions{
		Factory: f, Least: time.Hour, Watch: true, Format: format,
		pace: watchPace{least: time.Microsecond, idle: time.Hour},
	}
	ctx, cancel := context.WithCancel(b.t.Context())
	done := make(chan error, 1)
	go func() { done <- reportRun(ctx, opts) }()
	return out, errs, source, func() error { cancel(); return <-done }
}

func TestReportWatchPrintsALineAChange(t *testing.T) {
	b := newBench(t).sawVote()
	out, more, end := b.watch(output.Text, 0)
	text := out.until(t, "Nothing is staged: 0 of 10 flows would be blocked\n")
	if strings.Count(text, "\n") != 1 {
		t.Errorf("more than a line: %s", text)
	}
	b.write("deny.yaml", stagedDeny)
	out.until(t, "2026-03-01T12:00:00Z If the one staged policy, default-deny, were enforced: 9 of 10 flows would be blocked\n")
	text = out.until(t, "coverage: ready\n")
	contains(t, text, "2026-03-01T12:00:00Z vote/worker → vote/redis TCP/6379 would be blocked: both ends default: StagedGlobalNetworkPolicy default-deny, end of tier (10 connections, last seen 2026-03-01T11:39:00Z)\n")
	more <- func() { b.sawFrom(benchPeer("192.0.2.77"), "vote/vote", 8080) }
	text = out.until(t, "192.0.2.77 → vote/vote TCP/8080 would be blocked")
	if n := strings.Count(text, "vote/redis TCP/6379"); n != 2 { // the worker's and vote's, once each
		t.Errorf("what did not change is told %d times:\n%s", n, text)
	}
	b.write("deny.yaml", "# nothing\n")
	out.until(t, "192.0.2.77 → vote/vote TCP/8080 would no longer be blocked\n")
	if err := end(); !errors.Is(err, context.Canceled) || cli.Code(err) != cli.ExitInterrupted {
		t.Errorf("it ended with %v", err)
	}
}

func TestReportWatchPrintsADocumentAChange(t *testing.T) {
	b := newBench(t).sawVote()
	b.write("deny.yaml", stagedDeny)
	out, more, end := b.watch(output.JSON, 0)
	out.until(t, `"wouldBlock": 9`)
	more <- func() {} // nothing new
	more <- func() { b.sawFrom(benchPeer("192.0.2.77"), "vote/vote", 8080) }
	text := out.until(t, `"wouldBlock": 10,
      "wouldAllow": 0,
      "gone": 0`)
	if err := end(); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	var blocked []int
	for dec := json.NewDecoder(strings.NewReader(text)); ; {
		var doc struct {
			Kind    string
			Summary struct{ Flows struct{ WouldBlock int } }
		}
		if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		blocked = append(blocked, doc.Summary.Flows.WouldBlock)
	}
	if len(blocked) != 2 || blocked[0] != 9 || blocked[1] != 10 {
		t.Errorf("documents of %v flows, want 9 and 10", blocked)
	}
}

func TestReportWatchRedrawsATerminal(t *testing.T) {
	b := newBench(t).sawVote()
	b.write("deny.yaml", stagedDeny)
	out, more, end := b.watch(output.Text, 80)
	out.until(t, "9 of 10 flows would be blocked")
	more <- func() { b.sawFrom(benchPeer("192.0.2.77"), "vote/vote", 8080) }
	text := out.until(t, "10 of 11 flows would be blocked")
	if err := end(); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	for _, frame := range strings.Split(text, home)[1:] {
		if !strings.HasPrefix(frame, "12:00:00 Ctrl-C ends\n") {
			t.Errorf("a frame begins with %.30q", frame)
		}
		for _, line := range strings.Split(frame, "\n") {
			if len([]rune(line)) > 80 {
				t.Errorf("wider than the terminal: %s", line)
			}
		}
	}
}

func TestReportWatchOutlivesAnOutage(t *testing.T) {
	b := newBench(t).sawVote()
	out, errs, source, end := b.watchAll(output.Text, 0)
	out.until(t, "Nothing is staged")
	source.fail.Store(true)
	b.write("deny.yaml", stagedDeny)
	errs.until(t, "error: the agent's flows can't be read\n")
	source.fail.Store(false)
	out.until(t, "9 of 10 flows would be blocked\n")
	if err := end(); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	source.fail.Store(true)
	_, _, code := b.run("report", "--watch", "--flows", "none.log")
	if code != cli.ExitFailed {
		t.Errorf("what fails at the beginning: exit code %d", code)
	}
}

func TestReportWatchRefusesWhatCantBeWatched(t *testing.T) {
	b := newBench(t)
	for args, want := range map[string]string{
		"--exit-code":         "--exit-code says nothing with it",
		"--flows flows.log":   "flows in a file do not change",
		"-o sarif":            "--watch and -o sarif can't be given together",
		"default-deny -A -nx": "-n and -A can't be given together",
	} {
		_, errs := b.must(2, append([]string{"report", "--watch"}, strings.Fields(args)...)...)
		contains(t, errs, want)
	}
}

// countingStore counts how often it is read.
type countingStore struct {
	cluster.Store
	snapshots int
	snap      *policy.Snapshot
}

func (s *countingStore) Snapshot(context.Context) (*policy.Snapshot, policy.Faults, error) {
	s.snapshots++
	return s.snap, nil, nil
}

func (s *countingStore) Keys(context.Context) ([]policy.Key, error) { return nil, nil }

func (s *countingStore) Only(...policy.Kind) cluster.Store { return s }

func (s *countingStore) ChangeWith(context.Context, []cluster.Change, cluster.ChangeOptions) ([]cluster.Result, error) {
	return nil, errors.New("not here")
}

func TestReportWatchReadsAClusterSeldom(t *testing.T) {
	store := &countingStore{snap: &policy.Snapshot{Policies: []*policy.Policy{{Tier: "default"}}}}
	r := remember(store)
	for range 5 {
		if _, _, err := r.Snapshot(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Keys(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if store.snapshots != 1 {
		t.Errorf("read %d times", store.snapshots)
	}
	other := &policy.Snapshot{Policies: []*policy.Policy{{Tier: "default"}}}
	if changedPolicies(store.snap, other) {
		t.Error("what is the same is taken for a change")
	}
	other.Policies[0].Tier = "platform"
	if !changedPolicies(store.snap, other) {
		t.Error("a change is not seen")
	}
	r.mu.Lock()
	r.forget()
	r.mu.Unlock()
	if _, _, err := r.Snapshot(t.Context()); err != nil || store.snapshots != 2 {
		t.Errorf("after a change it was read %d times, %v", store.snapshots, err)
	}
}
