package keep

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.etcd.io/bbolt"

	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
)

// inTheWay puts a file where the store's directory should be, so that nothing can
// be opened there, and says how to take it away.
func inTheWay(t *testing.T, dir string) (away func()) {
	t.Helper()
	hidden := dir + ".hidden"
	if err := os.Rename(dir, hidden); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		if err := os.Remove(dir); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(hidden, dir); err != nil {
			t.Fatal(err)
		}
	}
}

// late is a store that could not be opened when it began, an hour and a half
// after another one ended that had counted on the same node.
func late(t *testing.T, c *clock, opts Options) (s *Store, away func()) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "store")
	former := c.open(t, dir, flow.DefaultLimits())
	former.Counts("node-1")
	former.Flows().Staged(&policy.Snapshot{Policies: []*policy.Policy{{Key: policy.Key{Kind: policy.KindStagedNetworkPolicy, Namespace: "vote", Name: "db"}}}}, c.at)
	former.Flows().Denied(key(1), ends(1), flow.Counters{BytesIn: 10}, c.at)
	former.Flows().Denied(key(2), ends(2), flow.Counters{BytesIn: 10}, c.at)
	if err := former.Close(); err != nil {
		t.Fatal(err)
	}
	away = inTheWay(t, dir)
	c.at = c.at.Add(90 * time.Minute)
	opts.Dir, opts.Owner, opts.Limits, opts.Now = dir, "node-1", flow.DefaultLimits(), c.now
	s = Open(opts)
	t.Cleanup(func() { _ = s.Close() })
	s.Counts("node-1")
	if s.Problem() == "" || s.Durable() {
		t.Fatalf("it could be opened: %q", s.Problem())
	}
	s.Flows().Denied(key(2), ends(3), flow.Counters{BytesIn: 10}, c.at)
	s.Flows().Denied(key(3), ends(3), flow.Counters{BytesIn: 10}, c.at)
	return s, away
}

func connections(a *flow.Aggregator, now time.Time) map[string]int64 {
	out := map[string]int64{}
	for _, f := range list(a, flow.Filter{}, now) {
		out[f.Key.Source.Workload.Name] += f.Connections
	}
	return out
}

// A file that can be opened only later gets what was counted meanwhile, beside
// what it had; nothing is lost and nothing counted twice.
func TestFileThatOpensLater(t *testing.T) {
	c := &clock{t0}
	s, away := late(t, c, Options{})
	if s.late() == nil || s.Problem() == "" {
		t.Fatal("it can be opened though it is not there")
	}
	away()
	if err := s.late(); err != nil || s.Problem() != "" || !s.Durable() || s.Aside() != "" {
		t.Fatal(err, s.Problem(), s.Aside())
	}
	want := map[string]int64{"w1": 1, "w2": 2, "w3": 1}
	if d := cmp.Diff(want, connections(s.Flows(), c.at)); d != "" {
		t.Error("in memory:", d)
	}
	s.Flows().Denied(key(2), ends(3), flow.Counters{BytesIn: 10}, c.at)
	want["w2"]++
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	again := c.open(t, s.opts.Dir, flow.DefaultLimits())
	defer again.Close()
	if d := cmp.Diff(want, connections(again.Flows(), c.at)); d != "" {
		t.Error("on disk:", d)
	}
	for _, f := range list(again.Flows(), flow.Filter{}, c.at) {
		if f.Key.Source.Workload.Name == "w2" && (f.BytesIn != 30 || !f.FirstSeen.Equal(t0) || !f.LastSeen.Equal(c.at) || len(f.SourceLabels) != 1) {
			t.Errorf("%+v", f)
		}
	}
}

// The node's window goes on from before, with a gap between what was kept last
// and the process that began without the file; all hours of that are in doubt.
// What is staged has been since before.
func TestWindowOfAFileThatOpensLater(t *testing.T) {
	c := &clock{t0}
	s, away := late(t, c, Options{})
	away()
	if err := s.late(); err != nil {
		t.Fatal(err)
	}
	cov := s.Flows().Coverage(flow.Filter{}, c.at)
	n := cov.Nodes[0]
	if !n.From.Equal(t0) || !n.To.Equal(c.at) || len(n.Gaps) != 1 || !n.Gaps[0].From.Equal(t0) || !n.Gaps[0].To.Equal(c.at) {
		t.Errorf("%+v", n)
	}
	for hour := range 2 {
		f := flow.Filter{Since: t0.Add(time.Duration(hour) * time.Hour), Until: t0.Add(time.Duration(hour+1)*time.Hour - 1)}
		if !s.Flows().Coverage(f, c.at).LostUnknown {
			t.Errorf("hour %d is not in doubt", hour)
		}
	}
	if len(cov.Policies) != 1 || !cov.Policies[0].Since.Equal(t0) {
		t.Errorf("%+v", cov.Policies)
	}
}

// What a file has that is known to be told again has nothing to add: it would
// count twice.
func TestFileThatOpensLaterAndIsRetold(t *testing.T) {
	c := &clock{t0}
	s, away := late(t, c, Options{Retold: true})
	away()
	if err := s.late(); err != nil || !strings.Contains(s.Aside(), "superseded") {
		t.Fatal(err, s.Aside())
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	again := c.open(t, s.opts.Dir, flow.DefaultLimits())
	defer again.Close()
	if d := cmp.Diff(map[string]int64{"w2": 1, "w3": 1}, connections(again.Flows(), c.at)); d != "" {
		t.Error(d)
	}
	if info, err := os.Stat(s.Aside()); err != nil || info.Size() == 0 {
		t.Error("the file from before:", err)
	}
}

// notes is a companion that keeps one record, told once.
type notes struct {
	told bool
	have map[string][]byte
}

func (n *notes) Keep(gather func()) (out []Record) {
	gather()
	if !n.told {
		out = []Record{{"note", []byte("mine")}}
	}
	n.told = true
	return out
}

func (n *notes) Anew(have map[string][]byte) { n.told, n.have = false, have }

// A companion is asked for everything when the file becomes another one, and told
// what is in it.
func TestCompanionTellsAFileThatOpensLater(t *testing.T) {
	c := &clock{t0}
	dir := filepath.Join(t.TempDir(), "store")
	former := c.open(t, dir, flow.DefaultLimits())
	former.With(&notes{})
	if err := former.Close(); err != nil {
		t.Fatal(err)
	}
	away := inTheWay(t, dir)
	s := Open(Options{Dir: dir, Owner: "node-1", Limits: flow.DefaultLimits(), Now: c.now})
	n := &notes{told: true}
	s.With(n)
	away()
	if err := s.Close(); err != nil { // a last try
		t.Fatal(err)
	}
	if string(n.have["note"]) != "mine" || !n.told {
		t.Errorf("%+v", n)
	}
}

// The file is tried again by itself, at longer and longer intervals.
func TestOpeningIsTriedAgain(t *testing.T) {
	c := &clock{t0}
	s, away := late(t, c, Options{})
	wait := Every
	for _, want := range []time.Duration{4 * time.Second, 8 * time.Second, 16 * time.Second, 32 * time.Second, time.Minute, time.Minute} {
		if wait = s.turnOver(wait); wait != want {
			t.Errorf("waits %v, want %v", wait, want)
		}
	}
	away()
	if wait = s.turnOver(wait); wait != Every || !s.Durable() {
		t.Errorf("waits %v, durable %v", wait, s.Durable())
	}
	memory := Open(Options{Limits: flow.DefaultLimits()})
	if wait = memory.turnOver(Every); wait != Every || memory.Durable() || memory.Problem() != "" {
		t.Errorf("without a directory: waits %v, problem %q", wait, memory.Problem())
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s.Run(ctx) // ends
}

// What is damaged while it is open is put aside, and all that is in memory, which
// is all that it had, written into a new file.
func TestFileDamagedWhileOpen(t *testing.T) {
	dir, c := t.TempDir(), &clock{t0}
	s := c.open(t, dir, flow.DefaultLimits())
	n := &notes{}
	s.With(n)
	s.Counts("node-1")
	for i := range 10 {
		s.Flows().Denied(key(i), ends(i), flow.Counters{}, t0)
	}
	if err := s.Sync(); err != nil {
		t.Fatal(err)
	}
	err := s.db.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket(bucketOf(flow.PlaneFine))
		k, _ := b.Cursor().First()
		return b.Put(k, []byte("spoiled"))
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Flows().Denied(key(1), ends(1), flow.Counters{}, t0)
	if s.Sync() == nil || s.Problem() == "" || s.Durable() {
		t.Fatal("nobody noticed")
	}
	s.Flows().Denied(key(1), ends(1), flow.Counters{}, t0)
	if wait := s.turnOver(Every); wait != Every || s.Problem() != "" || s.Aside() == "" {
		t.Fatal(wait, s.Problem(), s.Aside())
	}
	if !n.told || len(n.have) != 0 {
		t.Errorf("the companion: %+v", n)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	again := c.open(t, dir, flow.DefaultLimits())
	defer again.Close()
	if got := total(again.Flows()); got != 12 || string(again.Record("note")) != "mine" {
		t.Errorf("%d on disk, record %q", got, again.Record("note"))
	}
}

// Opening writes nothing, so that a full disk keeps nobody from reading what is
// there.
func TestOpeningWritesNothing(t *testing.T) {
	dir, c := t.TempDir(), &clock{t0}
	s := c.open(t, dir, flow.DefaultLimits())
	s.Flows().Denied(key(1), ends(1), flow.Counters{}, t0)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, file)
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	s = c.open(t, dir, flow.DefaultLimits())
	after, err := os.ReadFile(path)
	if err != nil || string(before) != string(after) {
		t.Error("opening writes", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// A disk that could not be written leaves in doubt every hour since what was kept
// last, not the present one alone.
func TestHoursSinceTheLastWriteAreInDoubt(t *testing.T) {
	dir, c := t.TempDir(), &clock{t0}
	s := c.open(t, dir, flow.DefaultLimits())
	s.Counts("node-1")
	s.Flows().Denied(key(1), ends(1), flow.Counters{}, t0)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	c.at = t0.Add(5*time.Hour + time.Minute)
	s = c.open(t, dir, flow.DefaultLimits())
	defer s.Close()
	s.Counts("node-1")
	if !s.Before().Equal(t0) {
		t.Errorf("written last at %v", s.Before())
	}
	for hour := -1; hour <= 5; hour++ {
		at := t0.Add(time.Duration(hour) * time.Hour)
		got := s.Flows().Coverage(flow.Filter{Since: at, Until: at.Add(time.Hour - 1)}, c.at).LostUnknown
		if want := hour >= 0; got != want {
			t.Errorf("hour %d in doubt: %v", hour, got)
		}
	}
}

// A file that another process makes at the same moment is not taken from it.
func TestFileOfAnotherProcessIsLeft(t *testing.T) {
	dir := t.TempDir()
	one := Open(Options{Dir: dir, Owner: "node-1", Limits: flow.DefaultLimits()})
	defer one.Close()
	two := &Store{opts: Options{Dir: dir, Owner: "node-1", Limits: flow.DefaultLimits(), Now: time.Now}}
	_, err := two.read(10 * time.Millisecond)
	_, missing := os.Lstat(filepath.Join(dir, "no"))
	if err == nil || missing == nil || halfMade(missing, err) {
		t.Errorf("%v: it would be removed", err)
	}
	if !halfMade(missing, os.ErrInvalid) || halfMade(nil, err) || halfMade(missing, nil) {
		t.Error("what is half made stays, or what is not is removed")
	}
}
