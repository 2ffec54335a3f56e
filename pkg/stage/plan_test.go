package stage

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

func noConns(*tier.Model) []Connection { return nil }

func enforcedPolicy(name, spec string) string {
	return fmt.Sprintf(`{apiVersion: projectcalico.org/v3, kind: NetworkPolicy, metadata: {name: %s, namespace: n}, spec: {%s}}`, name, spec)
}

func TestPlanBridgesWhatNoOrderCan(t *testing.T) {
	allow := func(app, from string) string {
		return fmt.Sprintf("selector: app == '%s', types: [Ingress], ingress: [{action: Allow, source: {selector: app == '%s'}}]", app, from)
	}
	for name, tc := range map[string]struct {
		policies []string
		bridge   []string // what it selects and does; nil: none
		gap      bool
	}{
		"an order is enough": {[]string{
			stagedPolicy("a", allow("a", "b")), stagedPolicy("deny", "selector: all(), types: [Ingress]"),
		}, nil, false},
		"two for one pod": {[]string{
			stagedPolicy("a", allow("a", "b")), stagedPolicy("b", allow("a", "c")),
		}, []string{`NetworkPolicy n/zzz-netpol-bridge-X selector="app == \"a\"" [Ingress] Pass`}, false},
		"two for one pod, beside another that is closed": {[]string{
			enforcedPolicy("old", "selector: app == 'b', types: [Ingress]"),
			stagedPolicy("a", allow("a", "b")), stagedPolicy("b", "types: [Ingress], ingress: [{action: Allow, source: {selector: app == 'c'}}]"),
		}, []string{`NetworkPolicy n/zzz-netpol-bridge-X selector="app == \"a\" && !app == \"b\"" [Ingress] Pass`}, false},
		"the default-deny is there, so that allows may come one by one": {[]string{
			enforcedPolicy("deny", "selector: all(), types: [Ingress]"), stagedPolicy("a", allow("a", "b")), stagedPolicy("b", allow("a", "c")),
		}, nil, false},
		"two that change places": {[]string{
			enforcedPolicy("a", allow("a", "b")), enforcedPolicy("b", allow("a", "c")),
			stagedPolicy("a", allow("a", "c")), stagedPolicy("b", allow("a", "b")),
		}, []string{`NetworkPolicy n/a-netpol-bridge selector="app == \"a\"" [Ingress] Allow`}, false},
		"of another tier": {[]string{
			`{apiVersion: projectcalico.org/v3, kind: Tier, metadata: {name: web}, spec: {order: 5}}`,
			stagedPolicy("web.a", "tier: web, "+allow("a", "b")), stagedPolicy("web.b", "tier: web, "+allow("a", "c")),
		}, []string{`NetworkPolicy n/zzz-netpol-bridge-X selector="app == \"a\"" [Ingress] Pass`}, false},
	} {
		t.Run(name, func(t *testing.T) {
			m := promoteWorld(t, tc.policies...)
			plan := NewPlan(m, stagedKeys(m), noConns)
			var got []string
			for _, step := range plan.Steps {
				u := step.Bridge
				if u == nil {
					continue
				}
				value, faults := policy.ValidateObject(u)
				p, ok := value.(*policy.Policy)
				if faults.Err() != nil || !ok {
					t.Fatal(faults)
				}
				d := policy.Ingress
				name := p.Key.String()
				if i := strings.Index(name, "bridge-"); i >= 0 {
					name = name[:i] + "bridge-X"
				}
				got = append(got, fmt.Sprintf("%s selector=%q [%s] %s", name, p.Selector, d, p.Rules[d][0].Action))
				if u.GetLabels()[LabelBridge] == "" || !IsBridge(p.Key) {
					t.Errorf("nobody would find %s again", p.Key)
				}
			}
			if !slices.Equal(got, tc.bridge) || (plan.Gap != nil) != tc.gap || len(plan.Order()) != len(stagedKeys(m)) {
				t.Errorf("got %q, gap %v, order %v", got, plan.Gap, plan.Order())
			}
			checkPlan(t, m, plan, true)
		})
	}
}

// checkPlan walks all states of a plan: no connection is refused that is allowed
// before and after, and none is allowed that is refused before and after, unless
// it is told and need not be strict. The states are made as a cluster has them: of enforced
// policies alone.
func checkPlan(t interface{ Fatalf(string, ...any) }, m *tier.Model, plan Plan, strict bool) {
	if plan.Gap != nil {
		return
	}
	now := map[policy.Key]*policy.Policy{}
	for _, p := range m.Snapshot().Policies {
		if !p.Kind.Staged() {
			now[p.Key] = p
		}
	}
	state := func() *tier.Model {
		var list []*policy.Policy
		for _, p := range now {
			list = append(list, p)
		}
		return tier.New(m.Snapshot().WithPolicies(list), nil)
	}
	states := []*tier.Model{state()}
	for _, step := range plan.Steps {
		switch {
		case step.Bridge != nil:
			value, _ := policy.ValidateObject(step.Bridge)
			p := value.(*policy.Policy)
			now[p.Key] = p
		case step.Unbridge != policy.Key{}:
			delete(now, step.Unbridge)
		default:
			twin, _ := Twin(step.Promote)
			p := *m.Snapshot().Policy(step.Promote)
			delete(now, twin)
			if p.StagedAction != policy.StagedDelete {
				p.Key, p.StagedAction = twin, ""
				now[twin] = &p
			}
		}
		states = append(states, state())
	}
	for k := range now {
		if IsBridge(k) {
			t.Fatalf("%s is left", k)
		}
	}
	peers := []tier.Peer{{Addr: netip.MustParseAddr("198.51.100.7")}}
	for _, ep := range m.Snapshot().Endpoints {
		peers = append(peers, tier.Peer{Endpoint: ep})
	}
	allowed := func(m *tier.Model, src, dst tier.Peer) bool {
		return (src.Endpoint == nil || m.Judge(tier.Enforced(), policy.Egress, src, dst, policy.TCP, 80).Action == policy.Allow) &&
			(dst.Endpoint == nil || m.Judge(tier.Enforced(), policy.Ingress, dst, src, policy.TCP, 80).Action == policy.Allow)
	}
	for _, src := range peers {
		for _, dst := range peers {
			before, after := allowed(states[0], src, dst), allowed(states[len(states)-1], src, dst)
			for i, s := range states {
				switch got := allowed(s, src, dst); {
				case before && after && !got:
					t.Fatalf("state %d of %d refuses %v → %v, which is allowed before and after (bridge %v)", i, len(states), src, dst, plan.Bridges())
				case !before && !after && got && (strict || plan.Opens == nil):
					t.Fatalf("state %d of %d allows %v → %v, which is refused before and after (bridge %v)", i, len(states), src, dst, plan.Bridges())
				}
			}
		}
	}
}

// drawPromotion is a world with some staged policies, of one tier or two, beside
// enforced ones; denies says whether there are rules that refuse.
func drawPromotion(t *rapid.T, denies bool) *tier.Model {
	texts := []string{`{apiVersion: projectcalico.org/v3, kind: Tier, metadata: {name: web}, spec: {order: 5}}`}
	actions := []string{"Allow"}
	if denies {
		actions = []string{"Allow", "Allow", "Deny", "Pass"}
	}
	spec := func(label string) string {
		of := func(what string) string {
			return rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, label+" "+what)
		}
		out := "selector: app == '" + of("selects") + "'"
		if rapid.IntRange(0, 3).Draw(t, label+" all") == 0 {
			out = "selector: all()"
		}
		d := rapid.SampledFrom([]string{"Ingress", "Egress"}).Draw(t, label+" direction")
		peer := map[string]string{"Ingress": "source", "Egress": "destination"}[d]
		var rules []string
		for range rapid.IntRange(0, 2).Draw(t, label+" rules") {
			entity := "{selector: app == '" + of("peer") + "'}"
			if rapid.IntRange(0, 4).Draw(t, label+" outside") == 0 {
				entity = "{nets: [198.51.100.0/24]}"
			}
			rules = append(rules, fmt.Sprintf("{action: %s, %s: %s}", rapid.SampledFrom(actions).Draw(t, label+" action"), peer, entity))
		}
		if denies && rapid.Bool().Draw(t, label+" ordered") {
			out += fmt.Sprintf(", order: %d", rapid.IntRange(1, 3).Draw(t, label+" order"))
		}
		return fmt.Sprintf("%s, types: [%s], %s: [%s]", out, d, strings.ToLower(d), strings.Join(rules, ", "))
	}
	for i := range rapid.IntRange(2, 4).Draw(t, "policies") {
		label := string(rune('p' + i))
		name, in := label, ""
		if rapid.IntRange(0, 3).Draw(t, label+" tier") == 0 {
			name, in = "web."+label, "tier: web, "
		}
		staged := true
		if rapid.Bool().Draw(t, label+" enforced") {
			texts = append(texts, enforcedPolicy(name, in+spec(label+" was")))
			staged = rapid.IntRange(0, 2).Draw(t, label+" stays") > 0
		}
		switch {
		case staged && len(texts) > 1 && strings.Contains(texts[len(texts)-1], "name: "+name+",") && rapid.IntRange(0, 2).Draw(t, label+" goes") == 0:
			texts = append(texts, stagedPolicy(name, in+"stagedAction: Delete"))
		case staged:
			texts = append(texts, stagedPolicy(name, in+spec(label)))
		}
	}
	return promoteWorld(t, texts...)
}

// At every moment of a plan a connection has the verdict of before or of after.
func TestPropertyPlanLeavesNoGapAndOpensNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		denies := rapid.Bool().Draw(t, "denies")
		m := drawPromotion(t, denies)
		checkPlan(t, m, NewPlan(m, stagedKeys(m), noConns), false)
	})
}

// A policy that stays may allow what a tier before it closes: what it tells apart
// counts too.
func TestPlanHoldsWhatPoliciesThatStayTellApart(t *testing.T) {
	m := promoteWorld(t,
		`{apiVersion: projectcalico.org/v3, kind: Tier, metadata: {name: web}, spec: {order: 5}}`,
		enforcedPolicy("stays", "selector: all(), types: [Ingress], ingress: [{action: Allow, source: {nets: [198.51.100.0/24]}}]"),
		enforcedPolicy("web.goes", "tier: web, selector: app == 'a', types: [Ingress]"),
		stagedPolicy("web.goes", "tier: web, stagedAction: Delete"),
		stagedPolicy("web.instead", "tier: web, selector: all(), types: [Ingress], ingress: [{action: Allow, source: {selector: app == 'a'}}]"),
	)
	plan := NewPlan(m, stagedKeys(m), noConns)
	checkPlan(t, m, plan, true)
	if got := plan.Order(); plan.Gap != nil || len(got) != 2 || got[0].Name != "web.instead" {
		t.Errorf("%v, gap %v", got, plan.Gap)
	}
}

// Where every way opens something for a moment, one over a bridge is still better
// than an order that refuses something, and it tells what it opens.
func TestPlanOpensRatherThanRefuses(t *testing.T) {
	m := promoteWorld(t,
		`{apiVersion: projectcalico.org/v3, kind: Tier, metadata: {name: web}, spec: {order: 5}}`,
		enforcedPolicy("web.p", "tier: web, selector: app == 'a', types: [Ingress]"),
		stagedPolicy("web.p", "tier: web, selector: all(), types: [Ingress], ingress: [{action: Allow, source: {selector: app == 'b'}}, {action: Allow, source: {nets: [198.51.100.0/24]}}]"),
		stagedPolicy("q", "selector: all(), types: [Egress], egress: [{action: Allow, destination: {nets: [198.51.100.0/24]}}]"),
		enforcedPolicy("r", "selector: app == 'a', types: [Egress]"),
		stagedPolicy("r", "selector: all(), types: [Egress], egress: [{action: Allow, destination: {selector: app == 'b'}}]"),
	)
	plan := NewPlan(m, stagedKeys(m), noConns)
	if plan.Gap != nil || plan.Opens == nil || len(plan.Bridges()) == 0 {
		t.Errorf("gap %v, opens %v, bridges %v", plan.Gap, plan.Opens, plan.Bridges())
	}
	checkPlan(t, m, plan, false)
}

// Policies that only allow can always be promoted.
func TestPropertyPlanOfWhatOnlyAllowsAlwaysIs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := drawPromotion(t, false)
		if plan := NewPlan(m, stagedKeys(m), noConns); plan.Gap != nil {
			t.Fatalf("%s would be refused after %v", plan.Gap.What, plan.Gap.After)
		}
	})
}
