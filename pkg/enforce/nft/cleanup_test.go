//go:build linux

package nft

import (
	"errors"
	"os"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/netpol-project/netpol/internal/netnstest"
)

// addTableOf adds a table of a family, as an agent does for bridges.
func addTableOf(t *testing.T, w *world, family uint8) {
	t.Helper()
	k := stranger(t, w)
	b := newBatch(k.limit, nil)
	b.family = family
	b.addTable(0)
	if err := k.commit(b); err != nil {
		t.Fatal(err)
	}
}

// Rules that an agent left go with Cleanup, and traffic flows again; tables of
// others stay.
func TestCleanupRemovesWhatAgentsLeft(t *testing.T) {
	if os.Getenv(childEnv) != "" {
		holdTable(t)
		return
	}
	netnstest.Run(t, func(t *testing.T) {
		w := newWorld(t)
		w.serve(t, server4, port)
		here := Options{NetNS: w.router.FD()}
		if removed, err := Cleanup(here); err != nil || len(removed) > 0 {
			t.Fatalf("with no table: %v, %v", removed, err)
		}
		child := startHolder(t, w)
		w.want(t, port, false)
		if _, err := Cleanup(here); !errors.Is(err, ErrInUse) {
			// Without owners (before 6.9) nothing tells that an agent lives.
			k := w.open(t, Options{})
			needOwner(t, k)
			t.Fatalf("while an agent lives: %v, want ErrInUse", err)
		}
		w.want(t, port, false)
		if err := child.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = child.Wait()
		w.want(t, port, false)
		addTableOf(t, w, unix.NFPROTO_BRIDGE)
		addTableOf(t, w, unix.NFPROTO_IPV4) // not ours, whatever its name

		removed, err := Cleanup(here)
		slices.Sort(removed)
		if err != nil || !slices.Equal(removed, []string{"bridge netpol", "inet netpol"}) {
			t.Fatalf("%v, %v", removed, err)
		}
		w.want(t, port, true)
		left, err := stranger(t, w).tables()
		if err != nil || len(left) != 1 || left[0].family != unix.NFPROTO_IPV4 {
			t.Errorf("left: %v, %v", left, err)
		}
	})
}
