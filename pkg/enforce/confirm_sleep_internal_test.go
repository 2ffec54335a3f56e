//go:build linux

package enforce

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// A machine that sleeps stops timers, and not the clock that trials are counted by:
// what ended meanwhile ends when it wakes up, not a trial's length later.
func TestTrialEndsThoughTheMachineSlept(t *testing.T) {
	root := t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "server.yaml"), []byte(trialOfServer), 0o644); err != nil {
		t.Fatal(err)
	}
	a := newTrialAgent(t, root, "n1", time.Hour)
	a.inForce(t)
	woken := func() bool {
		select {
		case <-a.trials.next.C:
			return a.trials.came()
		case <-time.After(5 * trialTick):
			t.Fatal("nobody asks whether it is over")
			return false
		}
	}
	if woken() {
		t.Error("it is over before its time")
	}
	a.clock.Add(int64(time.Hour)) // asleep
	if !woken() {
		t.Error("it lasts on")
	}
}
