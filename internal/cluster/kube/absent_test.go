package kube_test

import (
	"testing"
	"time"

	"github.com/netpol-project/netpol/internal/cluster"
	"github.com/netpol-project/netpol/pkg/policy"
)

// S31: a server that is starting may deny an API that it has. An agent that
// starts does not take that for a cluster without policies.
func TestWatchDoubtsThatAnAPIIsAbsent(t *testing.T) {
	for what, broken := range map[string]func(*fake){
		"it lists what it denies": func(f *fake) { f.listed = true },
		"it is not up yet":        func(f *fake) { f.starting = true },
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			f.put(t, np("vote", "one", 1))
			f.absent[collection(policy.KindNetworkPolicy)] = true
			broken(f)
			s, ch := watch(t, f)
			never(t, ch, 1500*time.Millisecond, "a cluster without policies", func(cluster.State) bool { return true })
			if w := s.Waiting(); len(w) != 1 {
				t.Errorf("waiting for %v", w)
			}
			f.set(func() { f.absent = map[string]bool{}; f.starting = false })
			await(t, ch, "the API is there", has("one:1"))
		})
	}
}

// A server that goes on denying what it lists is believed after a while, so
// that one broken API does not stop an agent from starting for ever.
func TestWatchBelievesAnAbsentAPIInTheEnd(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.put(t, np("vote", "one", 1))
	f.absent[collection(policy.KindTier)] = true
	f.listed = true
	start := time.Now()
	_, ch := watch(t, f)
	await(t, ch, "without tiers", has("one:1"))
	if d := time.Since(start); d < 10*time.Second {
		t.Errorf("after %s", d)
	}
}
