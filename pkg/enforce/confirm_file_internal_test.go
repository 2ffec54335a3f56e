//go:build linux

package enforce

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/stage"
)

// What is kept lies where flows do; what an agent without such a place kept
// counts too, and of both the earlier end.
func TestTrialFilePlaces(t *testing.T) {
	run, data := t.TempDir(), t.TempDir()
	in := func(data string) trialFile {
		return trialFileIn(&Options{Socket: filepath.Join(run, "agent.sock"), Data: data})
	}
	id := func(name string) stage.TrialID {
		return stage.TrialID{Key: policy.Key{Kind: policy.KindNetworkPolicy, Namespace: "vote", Name: name}, Revision: 1, By: time.Unix(1, 0).UTC(), Within: time.Minute}
	}
	write := func(f trialFile, known map[stage.TrialID]stage.Sighting) {
		t.Helper()
		if err := f.write(known); err != nil {
			t.Fatal(err)
		}
	}
	write(in(""), map[stage.TrialID]stage.Sighting{id("old"): {First: 1, Lasts: 10}, id("both"): {First: 1, Lasts: 10}})
	write(in(data), map[stage.TrialID]stage.Sighting{id("new"): {First: 5, Lasts: 10}, id("both"): {First: 3, Lasts: 10}})
	got, err := in(data).read()
	if err != nil || len(got) != 3 || got[id("both")].First != 1 {
		t.Errorf("read %v, %v", got, err)
	}
	// A spoilt one hides nothing of the other.
	if err := os.WriteFile(filepath.Join(data, trialFileName), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := in(data).read(); err == nil || len(got) != 2 {
		t.Errorf("read %v, %v", got, err)
	}
	// A directory that can't be written is no reason to keep nothing.
	file := filepath.Join(data, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	write(in(file), map[stage.TrialID]stage.Sighting{id("else"): {First: 2, Lasts: 10}})
	if got, _ := in("").read(); len(got) != 1 || got[id("else")].First != 2 {
		t.Errorf("read %v", got)
	}
}
