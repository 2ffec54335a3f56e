package cluster

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/netpol-project/netpol/pkg/policy"
)

// TestDirConcurrentWritersAndReaders: several stores on one directory change
// and read it at once; every change is kept, and no reader ever sees a half.
func TestDirConcurrentWritersAndReaders(t *testing.T) {
	const writers, each = 4, 8
	d := tree(t, map[string]string{"all.yaml": np("seed", 1)})
	var wg sync.WaitGroup
	done := make(chan struct{})
	for range 2 {
		wg.Go(func() {
			r, err := OpenDir(d.root)
			if err != nil {
				t.Error(err)
				return
			}
			for seen := 0; ; {
				select {
				case <-done:
					return
				default:
				}
				s, faults, err := r.Snapshot(t.Context())
				if err != nil || len(faults) > 0 || len(s.Policies) < seen {
					t.Errorf("%v, %v, %d after %d", err, faults, len(s.Policies), seen)
					return
				}
				seen = len(s.Policies)
			}
		})
	}
	var writing sync.WaitGroup
	for w := range writers {
		writing.Go(func() {
			s, err := OpenDir(d.root)
			if err != nil {
				t.Error(err)
				return
			}
			for i := range each {
				port := int64(w*each + i + 1)
				// All fight for the rules of one policy, besides one of their own.
				seed, err := s.Get(t.Context(), npKey("seed"))
				if err != nil {
					t.Error(err)
					return
				}
				spec := seed.Object["spec"].(map[string]any)
				spec["ingress"] = append(spec["ingress"].([]any), map[string]any{
					"action": "Allow", "protocol": "TCP", "destination": map[string]any{"ports": []any{port + 100}}})
				_, err = s.Change(t.Context(), []Change{{Object: seed}, {Object: object(t, np(fmt.Sprintf("p%d", port), int(port)))}}, false)
				for errors.Is(err, ErrConflict) {
					if seed, err = s.Get(t.Context(), npKey("seed")); err != nil {
						break
					}
					spec := seed.Object["spec"].(map[string]any)
					spec["ingress"] = append(spec["ingress"].([]any), map[string]any{
						"action": "Allow", "protocol": "TCP", "destination": map[string]any{"ports": []any{port + 100}}})
					_, err = s.Change(t.Context(), []Change{{Object: seed}, {Object: object(t, np(fmt.Sprintf("p%d", port), int(port)))}}, false)
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	writing.Wait()
	close(done)
	wg.Wait()
	s := snapshot(t, d)
	if len(s.Policies) != writers*each+1 {
		t.Errorf("%d policies, want %d", len(s.Policies), writers*each+1)
	}
	if n := len(s.Policy(npKey("seed")).Rules[policy.Ingress]); n != writers*each+1 {
		t.Errorf("%d rules, want %d: updates were lost", n, writers*each+1)
	}
}
