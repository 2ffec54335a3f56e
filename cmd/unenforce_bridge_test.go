package cmd

import (
	"slices"
	"strings"
	"testing"
)

// unenforceBoth runs netpol unenforce where both are enforced.
func (s *steppedStore) unenforceBoth(b *clusterBench) (stderr string, code int) {
	_, stderr, code = b.run("unenforce", "from-b", "from-c", "--ns", "gap")
	return stderr, code
}

var bothStaged = []string{"StagedNetworkPolicy gap/from-b", "StagedNetworkPolicy gap/from-c"}

// Taking back two policies for one pod opens it; until it is open b and c, which
// are allowed before and after, may connect at every moment. Wherever the command
// dies, the same one goes on and leaves nothing behind.
func TestUnenforceBridgesTwoPoliciesForOnePod(t *testing.T) {
	for dies := range 8 {
		b, s := bridgeBench(t)
		if stderr, code := s.enforceBoth(b); code != 0 {
			t.Fatalf("exit code %d: %s", code, stderr)
		}
		s.allowed = nil
		s.dies = dies
		stderr, code := s.unenforceBoth(b)
		switch {
		case dies == 0 && (code != 0 || !strings.Contains(stderr, "note: NetworkPolicy gap/zzz-netpol-bridge-")):
			t.Fatalf("exit code %d: %s", code, stderr)
		case dies > 0 && code == 0 && dies < 6:
			t.Errorf("it is done after %d changes: %s", dies, stderr)
		case code != 0:
			s.dies = 0
			if stderr, code := s.unenforceBoth(b); code != 0 {
				t.Fatalf("died after %d changes, then exit code %d: %s", dies, code, stderr)
			}
		}
		for i, who := range s.allowed {
			if !strings.HasPrefix(who, "bc") {
				t.Errorf("died after %d changes: after change %d only %q may connect", dies, i+1, who)
			}
		}
		if last := s.whoMay(); last != "bcd" || !slices.Equal(s.names(), bothStaged) {
			t.Errorf("died after %d changes: in the end %q may connect, and there is %v", dies, last, s.names())
		}
	}
}
