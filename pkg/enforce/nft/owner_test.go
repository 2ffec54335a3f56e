//go:build linux

package nft

import (
	"errors"
	"os"
	"os/exec"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/netpol-project/netpol/internal/netnstest"
	"github.com/netpol-project/netpol/pkg/enforce/internal/nfnl"
	"github.com/netpol-project/netpol/pkg/enforce/ruleset"
)

func closedRules() *ruleset.Ruleset { return rules([]*ruleset.Chain{forwardChain()}) }

func openRules() *ruleset.Ruleset { return rules([]*ruleset.Chain{forwardChain(rule(accept, isTCP))}) }

// foreign deletes the table from another socket, as another process would.
func foreign(t *testing.T, w *world) error {
	t.Helper()
	conn, err := nfnl.Open(nfnl.Options{NetNS: w.router.FD()})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	other := &Kernel{conn: conn, limit: conn.WriteBuffer(), answer: make([]byte, 1<<16)}
	b := newBatch(other.limit, nil)
	b.delTable()
	return other.commit(b)
}

// needOwner skips where the kernel is too old to own tables.
func needOwner(t *testing.T, k *Kernel) {
	t.Helper()
	if !k.Owned() {
		netnstest.Skip(t, "the kernel can't protect a table (6.9 and later can)")
	}
}

const childEnv = "NETPOL_NFT_TEST_CHILD"

// The rules of a process that was killed stay, and the next process takes
// them over, protected again, without an open moment.
func TestOwnedTableOutlivesItsProcess(t *testing.T) {
	if os.Getenv(childEnv) != "" {
		holdTable(t)
		return
	}
	netnstest.Run(t, func(t *testing.T) {
		w := newWorld(t)
		w.serve(t, server4, port)
		w.want(t, port, true)
		child := startHolder(t, w)
		w.want(t, port, false)
		if _, err := Open(Options{NetNS: w.router.FD()}); !errors.Is(err, ErrInUse) {
			t.Fatalf("while its owner lives: %v, want ErrInUse", err)
		}
		if err := child.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = child.Wait()
		w.want(t, port, false)

		stop := w.watchClosed(t)
		k := w.open(t, Options{})
		needOwner(t, k)
		flush(t, w)
		if err := foreign(t, w); !errors.Is(err, ErrNoPermission) {
			t.Errorf("another's delete: %v, want ErrNoPermission", err)
		}
		for range 20 {
			if err := k.Resync(t.Context(), closedRules()); err != nil {
				t.Fatal(err)
			}
		}
		stop()
		apply(t, k, openRules())
		w.want(t, port, true)
	})
}

// startHolder runs this test again in the router, where it programs closed
// rules and waits to be killed.
func startHolder(t *testing.T, w *world) *exec.Cmd {
	t.Helper()
	// The parent-death signal is the forking thread's.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	ready, theirs, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer ready.Close()
	child := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
	child.Env = append(os.Environ(), childEnv+"=1")
	ns := os.NewFile(uintptr(must(unix.Dup(w.router.FD()))), "ns")
	defer ns.Close()
	child.ExtraFiles = []*os.File{ns, theirs}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	_ = theirs.Close()
	if n, err := ready.Read(make([]byte, 1)); n != 1 {
		t.Fatalf("the holder did not get ready: %v", err)
	}
	return child
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// holdTable is the other process: descriptor 3 is the namespace, 4 says that
// the rules are in force.
func holdTable(t *testing.T) {
	k, err := Open(Options{NetNS: 3})
	if err != nil {
		t.Fatal(err)
	}
	apply(t, k, closedRules())
	if _, err := os.NewFile(4, "ready").Write([]byte{1}); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Minute) // killed long before
}

// flush is what any administrator may type.
func flush(t *testing.T, w *world) {
	t.Helper()
	nft, err := exec.LookPath("nft")
	if err != nil {
		t.Log("no nft binary: not flushed")
		return
	}
	w.router.Must(t, func() error { return exec.Command(nft, "flush", "ruleset").Run() })
}

// watchClosed sends connection attempts all the time; none may get through
// until the returned function is called.
func (w *world) watchClosed(t *testing.T) (stop func()) {
	t.Helper()
	done, ended := make(chan struct{}), make(chan int)
	go func() {
		through := 0
		for {
			select {
			case <-done:
				ended <- through
				return
			default:
			}
			if w.syn() {
				through++
			}
		}
	}()
	return func() {
		t.Helper()
		close(done)
		if through := <-ended; through > 0 {
			t.Errorf("%d connections got through closed rules", through)
		}
	}
}

// syn tries for a moment only: one packet is enough.
func (w *world) syn() bool {
	err := w.client.Do(func() error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		err = unix.Connect(fd, &unix.SockaddrInet4{Port: port, Addr: [4]byte{10, 2, 0, 2}})
		if !errors.Is(err, unix.EINPROGRESS) {
			return err
		}
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}, 2)
		if err == nil && n == 0 {
			return unix.ETIMEDOUT
		}
		return err
	})
	return err == nil
}

// With the kernel's protection neither a flush nor a delete does anything.
func TestForeignFlushLeavesAnOwnedTable(t *testing.T) {
	netnstest.Run(t, func(t *testing.T) {
		w := newWorld(t)
		w.serve(t, server4, port)
		k := w.open(t, Options{})
		needOwner(t, k)
		apply(t, k, closedRules())
		stop := w.watchClosed(t)
		for range 5 {
			flush(t, w)
			if err := foreign(t, w); !errors.Is(err, ErrNoPermission) {
				t.Errorf("another's delete: %v, want ErrNoPermission", err)
			}
		}
		stop()
		apply(t, k, openRules())
		w.want(t, port, true)
		if s := k.Stats(); s.Failed > 0 || s.Resyncs != 1 {
			t.Errorf("want a change in place afterwards, got %+v", s)
		}
		if err := k.Remove(); err != nil {
			t.Fatal(err)
		}
		w.want(t, port, true)
	})
}

// Without it a removal is told at once, and the rules are back within 100 ms.
func TestWatchTellsOfOthersOnly(t *testing.T) {
	netnstest.Run(t, func(t *testing.T) {
		w := newWorld(t)
		w.serve(t, server4, port)
		k := w.open(t, Options{NoOwner: true})
		if k.Owned() {
			t.Fatal("NoOwner owns")
		}
		apply(t, k, closedRules())
		events, ended := make(chan Event, 100), make(chan error, 1)
		ctx, cancel := contextOf(t)
		go func() { ended <- k.Watch(ctx, func(e Event) { events <- e }) }()
		awaitListener(t, w)

		// Our own commits and other tables are not told: the first event is
		// the removal that comes after them.
		apply(t, k, openRules())
		apply(t, k, closedRules())
		otherTable(t, w)
		// A queue, or looking now and then, would hold back each of them; a busy
		// machine only some.
		soonest := time.Hour
		for try := 0; try < 3 || try < 20 && soonest > 100*time.Millisecond; try++ {
			start := time.Now()
			if err := foreign(t, w); err != nil {
				t.Fatal(err)
			}
			if e := <-events; e != Removed {
				t.Fatalf("event %s, want removed", e)
			}
			told := time.Since(start)
			if err := k.Resync(t.Context(), closedRules()); err != nil {
				t.Fatal(err)
			}
			repaired := time.Since(start)
			soonest = min(soonest, repaired)
			t.Logf("told after %s, repaired after %s", told, repaired)
			w.want(t, port, false)
		}
		if soonest > 100*time.Millisecond {
			t.Errorf("repaired after %s at the soonest, want 100 ms", soonest)
		}
		otherRule(t, w)
		if e := <-events; e != Changed {
			t.Fatalf("event %s, want changed", e)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("watch ended with %v", err)
		}
		if len(events) > 0 {
			t.Errorf("more events than expected: %s", <-events)
		}
	})
}
