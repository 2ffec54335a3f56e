package ruleset

import (
	"fmt"
	"testing"

	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

// Answers that no peer gets any more are forgotten in time: an agent lives
// long and policies change often.
func TestOldAnswersAreForgotten(t *testing.T) {
	w := newWorld()
	w.namespace("a")
	w.pod("a/x", "10.0.0.2 fd00::2", "app=x")
	w.remote("a/peer", "10.0.0.3 fd00::3", "app=peer")
	const policies = 400
	for i := range policies {
		w.policy("a", fmt.Sprintf("p%03d", i), "app == 'x'", policy.Ingress,
			from(policy.Allow, "app == 'peer'", policy.TCP, single(uint16(2*i+1))))
	}
	in := w.input(nil)
	c := mustCompile(t, in, nil)
	enough := leastRoom + 4*policies
	for i := range 2 * leastRoom / (2 * policies) {
		w.editPolicy(i%policies, i)
		in.Model = tier.New(w.snapshot(), in.Model)
		c = mustCompile(t, in, c)
		if steps := c.state.answers.steps; steps > enough {
			t.Fatalf("%d steps after %d changes, want at most %d", steps, i+1, enough)
		}
	}
	if Text(c.Ruleset) != Text(mustCompile(t, in, nil).Ruleset) {
		t.Error("the rules differ from those made anew")
	}
}
