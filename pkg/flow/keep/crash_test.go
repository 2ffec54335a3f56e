//go:build unix

package keep

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/netpol-project/netpol/pkg/flow"
)

// TestMain is also the process that is killed.
func TestMain(m *testing.M) {
	if dir := os.Getenv("NETPOL_KEEP_TEST_DIR"); dir != "" {
		countForEver(dir)
	}
	os.Exit(m.Run())
}

// countForEver counts and writes, and says how much is on disk.
func countForEver(dir string) {
	s := Open(Options{Dir: dir, Owner: "node-1", Limits: flow.DefaultLimits()})
	s.Counts("node-1")
	n := total(s.Flows())
	for {
		for range 40 {
			s.Flows().Denied(key(int(n%700)), ends(int(n%3)), flow.Counters{BytesOut: 60}, time.Now())
			n++
		}
		if err := s.Sync(); err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		fmt.Println(n)
	}
}

func total(a *flow.Aggregator) (n int64) {
	for _, f := range list(a, flow.Filter{}, time.Now()) {
		n += f.Connections
	}
	return n
}

// A process that is killed in the middle of writing leaves what it had said to be
// on disk, and at most what it counted since; the time until the next one is a
// gap, and what is missing is told to be unknown.
func TestKilledWhileWriting(t *testing.T) {
	dir := t.TempDir()
	var before int64
	for round := range 8 {
		child := exec.Command(os.Args[0])
		child.Env = append(os.Environ(), "NETPOL_KEEP_TEST_DIR="+dir)
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		var said int64
		lines := bufio.NewScanner(out)
		for range 3 + 7*round {
			if !lines.Scan() {
				t.Fatal("the process has ended by itself")
			}
			if said, err = strconv.ParseInt(lines.Text(), 10, 64); err != nil {
				t.Fatal(lines.Text())
			}
		}
		if err := child.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		for lines.Scan() { // what it had said before it died
			if said, err = strconv.ParseInt(lines.Text(), 10, 64); err != nil {
				t.Fatal(lines.Text())
			}
		}
		_ = child.Wait()
		s := Open(Options{Dir: dir, Owner: "node-1", Limits: flow.DefaultLimits()})
		if s.Aside() != "" || s.Problem() != "" || !s.Existed() {
			t.Fatalf("round %d: put aside as %q, problem %q", round, s.Aside(), s.Problem())
		}
		s.Counts("node-1")
		got := total(s.Flows())
		if got < said || got > said+40 || said <= before {
			t.Fatalf("round %d: %d on disk, %d said before, %d the time before", round, got, said, before)
		}
		before = got
		c := s.Flows().Coverage(flow.Filter{}, time.Now())
		if len(c.Nodes) != 1 || len(c.Nodes[0].Gaps) == 0 || !c.LostUnknown || !c.Nodes[0].LostUnknown {
			t.Fatalf("round %d: %+v", round, c)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// spoiled makes a store with something in it, spoils its file and opens it again.
func spoiled(t *testing.T, spoil func(path string)) *Store {
	t.Helper()
	dir, c := t.TempDir(), &clock{t0}
	s := c.open(t, dir, flow.DefaultLimits())
	s.Counts("node-1")
	for n := range 2000 {
		s.Flows().Denied(key(n), ends(n), flow.Counters{}, t0)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	spoil(filepath.Join(dir, file))
	s = Open(Options{Dir: dir, Owner: "node-1", Limits: flow.DefaultLimits(), Now: c.now})
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// A file that is no good is put aside, whole, and counting begins anew.
func TestUnreadableFileIsPutAside(t *testing.T) {
	edit := func(f func(b []byte) []byte) func(string) {
		return func(path string) {
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, f(b), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, spoil := range map[string]func(string){
		"cut off within its pages": edit(func(b []byte) []byte { return b[:len(b)/4] }),
		"cut off after its start":  edit(func(b []byte) []byte { return b[:5000] }),
		"a text":                   edit(func([]byte) []byte { return []byte(strings.Repeat("not a database\n", 3000)) }),
		"zeros":                    edit(func(b []byte) []byte { return make([]byte, len(b)) }),
		"a page of zeros everywhere but at the start": edit(func(b []byte) []byte {
			clear(b[2*4096:])
			return b
		}),
		"a bit of a flow": edit(func(b []byte) []byte {
			i := strings.Index(string(b), "Deployment")
			b[i] ^= 1
			for j := i + 1; j < len(b)-10; j++ { // in older copies of the page too
				if string(b[j:j+10]) == "Deployment" {
					b[j] ^= 1
				}
			}
			return b
		}),
	} {
		t.Run(name, func(t *testing.T) {
			s := spoiled(t, spoil)
			if s.Aside() == "" || s.Problem() != "" || s.Existed() || total(s.Flows()) != 0 {
				t.Fatalf("aside %q, problem %q, existed %v, %d flows", s.Aside(), s.Problem(), s.Existed(), s.Flows().Len())
			}
			if info, err := os.Stat(s.Aside()); err != nil || info.Size() == 0 {
				t.Errorf("put aside: %v", err)
			}
			s.Counts("node-1")
			if c := s.Flows().Coverage(flow.Filter{}, t0.Add(time.Second)); !c.LostUnknown {
				t.Error("nothing is said to be missing")
			}
			s.Flows().Denied(key(1), ends(1), flow.Counters{}, t0)
			if err := s.Sync(); err != nil || s.Size() == 0 {
				t.Error(err)
			}
		})
	}
}

// Another node's file, as of a copied disk, is not this one's evidence; and one
// file is put aside after another.
func TestAnothersFileIsPutAside(t *testing.T) {
	s := spoiled(t, func(string) {})
	dir := filepath.Dir(s.path())
	if s.Aside() != "" || s.Flows().Len() != 2000 {
		t.Fatal("its own is not")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, owner := range []string{"node-2", "node-3", "node-4"} {
		s := Open(Options{Dir: dir, Owner: owner, Limits: flow.DefaultLimits(), Now: (&clock{t0}).now})
		if s.Aside() == "" || seen[s.Aside()] || s.Flows().Len() != 0 {
			t.Errorf("%s: %q", owner, s.Aside())
		}
		seen[s.Aside()] = true
		s.Flows().Denied(key(1), ends(1), flow.Counters{}, t0)
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// Where another process has the file, or the directory can't be had, counting
// goes on in memory and says so.
func TestCountingGoesOnInMemory(t *testing.T) {
	s := spoiled(t, func(string) {})
	second := Open(Options{Dir: filepath.Dir(s.path()), Owner: "node-1", Limits: flow.DefaultLimits(), LockWait: time.Millisecond})
	if !strings.Contains(second.Problem(), "another process") || second.Durable() || second.Flows() == nil {
		t.Errorf("problem %q", second.Problem())
	}
	second.Flows().Denied(key(1), ends(1), flow.Counters{}, t0)
	if err := second.Sync(); err != nil {
		t.Error(err)
	}
	if second.Close() == nil {
		t.Error("nothing is kept, and nobody is told")
	}
	noDir := Open(Options{Dir: s.path(), Owner: "node-1", Limits: flow.DefaultLimits()})
	if noDir.Problem() == "" || noDir.Flows() == nil {
		t.Errorf("a file for a directory: %q", noDir.Problem())
	}
}

// While the disk is full counting goes on, and all of it is written once there is
// room again.
func TestFullDisk(t *testing.T) {
	signal.Ignore(syscall.SIGXFSZ)
	defer signal.Reset(syscall.SIGXFSZ)
	var was syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &was); err != nil {
		t.Fatal(err)
	}
	dir, c := t.TempDir(), &clock{t0}
	s := c.open(t, dir, flow.DefaultLimits())
	limit := func(n uint64) {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: n, Max: was.Max}); err != nil {
			t.Fatal(err)
		}
	}
	defer limit(was.Cur)
	limit(256 << 10)
	failed := 0
	for n := range 5000 {
		s.Flows().Denied(key(n), ends(n), flow.Counters{}, t0)
		if n%500 == 499 && s.Sync() != nil {
			failed++
			if !strings.Contains(s.Problem(), "memory alone") {
				t.Errorf("problem %q", s.Problem())
			}
		}
	}
	if failed == 0 || total(s.Flows()) != 5000 {
		t.Fatalf("%d commits failed, %d counted", failed, total(s.Flows()))
	}
	limit(was.Cur)
	if err := s.Sync(); err != nil || s.Problem() != "" {
		t.Fatal(err, s.Problem())
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = c.open(t, dir, flow.DefaultLimits())
	defer s.Close()
	if got := total(s.Flows()); got != 5000 {
		t.Errorf("%d on disk", got)
	}
}

// A clock that was set back makes nothing old, and no window that ends before it
// begins.
func TestClockThatWentBack(t *testing.T) {
	dir, c := t.TempDir(), &clock{t0}
	s := c.open(t, dir, flow.DefaultLimits())
	s.Counts("node-1")
	s.Flows().Denied(key(1), ends(1), flow.Counters{}, t0)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	c.at = t0.Add(-30 * 24 * time.Hour)
	s = c.open(t, dir, flow.DefaultLimits())
	s.Counts("node-1")
	s.Flows().Denied(key(1), ends(1), flow.Counters{}, c.at)
	cov := s.Flows().Coverage(flow.Filter{}, c.at)
	if total(s.Flows()) != 2 || cov.To.Before(cov.From) || !cov.LostUnknown {
		t.Errorf("%d, %+v", total(s.Flows()), cov)
	}
	if n := cov.Nodes[0]; n.To.Before(n.From) {
		t.Errorf("%+v", n)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	c.at = t0.Add(time.Hour)
	s = c.open(t, dir, flow.DefaultLimits())
	defer s.Close()
	s.Counts("node-1")
	cov = s.Flows().Coverage(flow.Filter{}, c.at)
	if n := cov.Nodes[0]; !n.From.Equal(t0) || len(n.Gaps) != 1 || !n.Gaps[0].To.Equal(c.at) {
		t.Errorf("the clock is right again: %+v", n)
	}
}
