package stage

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/netpol-project/netpol/pkg/flow"
)

// drawStaged is a staged policy that allows or refuses something, in one of two
// tiers.
func drawStaged(t *rapid.T, i int) string {
	app := rapid.SampledFrom([]string{"web", "robot", "hook", "prometheus", "metrics-server", "coredns"})
	tierName := rapid.SampledFrom([]string{"default", "security"}).Draw(t, "tier")
	name := fmt.Sprintf("p%d", i)
	if tierName != "default" {
		name = tierName + "." + name
	}
	picks := "app == '" + app.Draw(t, "selects") + "'"
	if rapid.IntRange(0, 2).Draw(t, "all") == 0 {
		picks = "all()"
	}
	direction := rapid.SampledFrom([]string{"Ingress", "Egress"}).Draw(t, "direction")
	peer := map[string]string{"Ingress": "source", "Egress": "destination"}[direction]
	var rules []string
	for range rapid.IntRange(0, 2).Draw(t, "rules") {
		action := rapid.SampledFrom([]string{"Allow", "Deny", "Pass"}).Draw(t, "action")
		proto := rapid.SampledFrom([]string{"TCP", "UDP"}).Draw(t, "protocol")
		rules = append(rules, fmt.Sprintf("{action: %s, protocol: %s, %s: {selector: app == '%s', namespaceSelector: all()}}", action, proto, peer, app.Draw(t, "peer")))
	}
	return fmt.Sprintf("{apiVersion: projectcalico.org/v3, kind: StagedGlobalNetworkPolicy, metadata: {name: %s}, spec: {tier: %s, order: %d, selector: \"%s\", types: [%s], %s: [%s]}}",
		name, tierName, 10+i, picks, direction, strings.ToLower(direction), strings.Join(rules, ", "))
}

// The rules that a preflight names are enough: promoted together with them, the
// same policies cut nothing.
func TestPropertyPreflightPassesWithTheRulesItNames(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		world := []string{`{apiVersion: projectcalico.org/v3, kind: Tier, metadata: {name: security}, spec: {order: 10}}`}
		if rapid.Bool().Draw(t, "cache") {
			world = append(world, cache)
		}
		for i := range rapid.IntRange(1, 3).Draw(t, "policies") {
			world = append(world, drawStaged(t, i))
		}
		facts := Facts{Blind: rapid.Bool().Draw(t, "blind"), Calls: hookCalls, Scrapes: []Scrape{
			{Who: "pods", Namespace: "ops", Pod: "hook"}, {Who: "ServiceMonitor", Namespace: "ops", Service: "hook", PortName: "https"}, {Who: "all", Namespace: "vote", Port: 80},
		}}
		if !facts.Blind {
			facts.Flows = []flow.Flow{webToHook()}
		}
		m := preflightWorld(t, world...)
		before := Preflight(m, stagedKeys(m), facts)
		for _, p := range before.Problems {
			if p.Class != ClassObserved && p.Class != ClassWebhooks && p.Refuses != facts.Blind {
				t.Fatalf("%s refuses: %v, where traffic can be seen: %v", p.Class, p.Refuses, !facts.Blind)
			}
		}
		m = preflightWorld(t, append(world, rulesOf(t, before)...)...)
		keys := stagedKeys(m)
		after := Preflight(m, keys, facts)
		if len(after.Problems) > 0 || len(after.Refusals()) > 0 {
			t.Fatalf("with the rules of\n%s\nthere still is\n%s", strings.Join(told(before), "\n"), strings.Join(told(after), "\n"))
		}
		for _, c := range after.Checks {
			if c.Cut > 0 {
				t.Fatalf("%s: %d cut, and no problem is told", c.Class, c.Cut)
			}
		}
		if len(after.Plan().Order()) != len(keys) {
			t.Fatal("the order is of other policies")
		}
	})
}
