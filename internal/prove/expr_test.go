package prove

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/netpol-project/netpol/pkg/policy/selector"
)

// TestS25_SelectorsAgreeWithOracle: a selector that is parsed from text means
// what the tree means that the text was written from, and so does its
// canonical form, which is its own canonical form.
func TestS25_SelectorsAgreeWithOracle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := gen{t}
		e := g.expr(policySubjectKeys, 4)
		parsed, err := selector.Parse(e.String())
		if err != nil {
			t.Fatalf("%s: %v", e, err)
		}
		canon, err := selector.Parse(parsed.String())
		if err != nil {
			t.Fatalf("%s: canonical form %s: %v", e, parsed, err)
		}
		if canon.String() != parsed.String() {
			t.Fatalf("%s: canonical form %s has the canonical form %s", e, parsed, canon)
		}
		for range 20 {
			p := Pod{Namespace: pick(g, namespaceNames), ServiceAccount: pick(g, accountNames), Labels: g.labels(podKeys)}
			want := e.Matches(p.labels())
			if got := parsed.Matches(p.labels()); got != want {
				t.Fatalf("%s on %v is %v, want %v", e, p.labels(), got, want)
			}
			if got := canon.Matches(p.labels()); got != want {
				t.Fatalf("%s, canonical %s, on %v is %v, want %v", e, canon, p.labels(), got, want)
			}
		}
	})
}
