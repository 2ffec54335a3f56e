package tier_test

import (
	"testing"

	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

// Every test here is named after the rule of the semantics that it proves and
// was written from the text of that rule.

const anyToDB = "in red/web > red/db tcp/80"

func TestS1_TiersByOrderThenNameMissingLast(t *testing.T) {
	in := func(tierName, policyName, action string) string {
		return global(policyName, "{tier: "+tierName+", ingress: [{action: "+action+"}]}")
	}
	check(t,
		scenario{name: "lower order first", want: map[string]string{anyToDB: "Deny y/q:0"},
			resources: []string{newTier("x", "{order: 2}"), newTier("y", "{order: 1}"), in("x", "p", "Allow"), in("y", "q", "Deny")}},
		scenario{name: "fractions count", want: map[string]string{anyToDB: "Deny y/q:0"},
			resources: []string{newTier("x", "{order: 0.75}"), newTier("y", "{order: 0.5}"), in("x", "p", "Allow"), in("y", "q", "Deny")}},
		scenario{name: "equal order, by name", want: map[string]string{anyToDB: "Allow x/p:0"},
			resources: []string{newTier("y", "{order: 1}"), newTier("x", "{order: 1}"), in("y", "q", "Deny"), in("x", "p", "Allow")}},
		scenario{name: "no order is after default", want: map[string]string{anyToDB: "Deny default/q:0"},
			resources: []string{newTier("a", "{}"), in("a", "p", "Allow"), in("default", "q", "Deny")}},
		scenario{name: "two without order, by name", want: map[string]string{anyToDB: "Allow a/p:0"},
			resources: []string{newTier("b", "{}"), newTier("a", "{}"), in("a", "p", "Allow"), in("b", "q", "Deny")}},
		scenario{name: "default is at 1 000 000", want: map[string]string{anyToDB: "Allow before/p:0"},
			resources: []string{newTier("before", "{order: 999999}"), in("before", "p", "Allow"), in("default", "q", "Deny")}},
		scenario{name: "after 1 000 000", want: map[string]string{anyToDB: "Deny default/q:0"},
			resources: []string{newTier("after", "{order: 1000001}"), in("after", "p", "Allow"), in("default", "q", "Deny")}},
		scenario{name: "default need not exist and denies", want: map[string]string{anyToDB: "Deny default/p:end"},
			resources: []string{global("p", "{types: [Ingress]}")}},
	)
}

func TestS2_PoliciesByOrderNameNamespaceKind(t *testing.T) {
	allow, deny := "ingress: [{action: Allow}]", "ingress: [{action: Deny}]"
	check(t,
		scenario{name: "lower order first", want: map[string]string{anyToDB: "Deny default/q:0"},
			resources: []string{global("p", "{order: 20, "+allow+"}"), global("q", "{order: 3, "+deny+"}")}},
		scenario{name: "no order is last", want: map[string]string{anyToDB: "Deny default/q:0"},
			resources: []string{global("p", "{"+allow+"}"), global("q", "{order: 5000000, "+deny+"}")}},
		scenario{name: "equal order, by name", want: map[string]string{anyToDB: "Allow default/p:0"},
			resources: []string{global("q", "{order: 1, "+deny+"}"), global("p", "{order: 1, "+allow+"}")}},
		scenario{name: "a precedes a-b", want: map[string]string{anyToDB: "Allow default/red.a:0"},
			resources: []string{global("a-b", "{"+deny+"}"), namespaced("red", "a", "{"+allow+"}")}},
		scenario{name: "equal name, by namespace: none before red", want: map[string]string{anyToDB: "Deny default/p:0"},
			resources: []string{namespaced("red", "p", "{"+allow+"}"), global("p", "{"+deny+"}")}},
		scenario{name: "equal name and namespace, by kind: KubernetesNetworkPolicy before NetworkPolicy",
			want:      map[string]string{anyToDB: "Allow default/red.p:0"},
			resources: []string{namespaced("red", "p", "{order: 1000, "+deny+"}"), kubernetes("red", "p", "{podSelector: {}, ingress: [{}]}")}},
	)
}

func TestS3_TypesUnset(t *testing.T) {
	in, out := "in red/web > red/db tcp/80", "out red/db > red/web tcp/80"
	rule := "[{action: Deny}]"
	check(t,
		scenario{name: "no rules: ingress", want: map[string]string{in: "Deny default/p:end", out: "Allow"},
			resources: []string{global("p", "{}")}},
		scenario{name: "ingress rules only: ingress", want: map[string]string{in: "Deny default/p:0", out: "Allow"},
			resources: []string{global("p", "{ingress: "+rule+"}")}},
		scenario{name: "egress rules only: egress", want: map[string]string{in: "Allow", out: "Deny default/p:0"},
			resources: []string{global("p", "{egress: "+rule+"}")}},
		scenario{name: "both: both", want: map[string]string{in: "Deny default/p:0", out: "Deny default/p:0"},
			resources: []string{global("p", "{ingress: "+rule+", egress: "+rule+"}")}},
		scenario{name: "types win over rules", want: map[string]string{in: "Allow", out: "Deny default/p:end"},
			resources: []string{global("p", "{types: [Egress], ingress: "+rule+"}")}},
		scenario{name: "types without rules", want: map[string]string{in: "Deny default/p:end", out: "Deny default/p:end"},
			resources: []string{global("p", "{types: [Ingress, Egress]}")}},
	)
}

func TestS4_KubernetesOrderPortsTypes(t *testing.T) {
	db := "podSelector: {matchLabels: {app: db}}"
	check(t,
		scenario{name: "order 1000 in tier default", resources: []string{
			kubernetes("red", "k", "{podSelector: {}, ingress: [{}]}"),
			global("before", "{order: 999, ingress: [{action: Deny, protocol: UDP}]}"),
			global("after", "{order: 1001, ingress: [{action: Deny}]}"),
		}, want: map[string]string{
			anyToDB:                      "Allow default/red.k:0",
			"in red/web > red/db udp/80": "Deny default/before:0",
		}},
		scenario{name: "port without protocol is TCP, endPort honoured", resources: []string{
			kubernetes("red", "k", "{"+db+", ingress: [{ports: [{port: 80, endPort: 82}]}]}"),
		}, want: map[string]string{
			"in red/web > red/db tcp/79": "Deny default/red.k:end",
			"in red/web > red/db tcp/80": "Allow default/red.k:0",
			"in red/web > red/db tcp/82": "Allow default/red.k:0",
			"in red/web > red/db tcp/83": "Deny default/red.k:end",
			"in red/web > red/db udp/80": "Deny default/red.k:end",
		}},
		scenario{name: "no ports is any protocol", resources: []string{
			kubernetes("red", "k", "{"+db+", ingress: [{from: [{podSelector: {}}]}]}"),
		}, want: map[string]string{
			"in red/web > red/db icmp/0":   "Allow default/red.k:0",
			"in red/web > red/db sctp/9":   "Allow default/red.k:0",
			"in blue/web > red/db tcp/80":  "Deny default/red.k:end",
			"in 192.0.2.7 > red/db tcp/80": "Deny default/red.k:end",
		}},
		scenario{name: "protocol without port is all its ports", resources: []string{
			kubernetes("red", "k", "{"+db+", ingress: [{ports: [{protocol: UDP}]}]}"),
		}, want: map[string]string{
			"in red/web > red/db udp/65535": "Allow default/red.k:0",
			"in red/web > red/db tcp/80":    "Deny default/red.k:end",
		}},
		scenario{name: "policyTypes unset is ingress", resources: []string{
			kubernetes("red", "k", "{podSelector: {}}"),
		}, want: map[string]string{anyToDB: "Deny default/red.k:end", "out red/web > red/db tcp/80": "Allow"}},
		scenario{name: "policyTypes unset with egress rules is both", resources: []string{
			kubernetes("red", "k", "{podSelector: {}, egress: [{ports: [{port: 80}]}]}"),
		}, want: map[string]string{
			anyToDB:                       "Deny default/red.k:end",
			"out red/web > red/db tcp/80": "Allow default/red.k:0",
			"out red/web > red/db tcp/81": "Deny default/red.k:end",
		}},
	)
}

func TestS4_KubernetesPeers(t *testing.T) {
	db := "podSelector: {matchLabels: {app: db}}"
	check(t,
		scenario{name: "empty namespaceSelector is every namespace, and addresses are in none", resources: []string{
			kubernetes("red", "k", "{"+db+", ingress: [{from: [{namespaceSelector: {}}]}]}"),
		}, want: map[string]string{
			"in blue/plain > red/db tcp/1": "Allow default/red.k:0",
			"in 192.0.2.7 > red/db tcp/1":  "Deny default/red.k:end",
		}},
		scenario{name: "both selectors of one peer must hold", resources: []string{
			kubernetes("red", "k", "{"+db+", ingress: [{from: [{namespaceSelector: {matchLabels: {team: blue}}, podSelector: {matchLabels: {app: web}}}]}]}"),
		}, want: map[string]string{
			"in blue/web > red/db tcp/1":   "Allow default/red.k:0",
			"in blue/plain > red/db tcp/1": "Deny default/red.k:end",
			"in red/web > red/db tcp/1":    "Deny default/red.k:end",
		}},
		scenario{name: "ipBlock takes pods by their address too", resources: []string{
			kubernetes("red", "k", `{`+db+`, ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/29, except: [10.0.0.4/30]}}]}]}`),
		}, want: map[string]string{
			"in red/web > red/db tcp/1":   "Allow default/red.k:0",
			"in blue/web > red/db tcp/1":  "Deny default/red.k:end",
			"in 10.0.0.3 > red/db tcp/1":  "Allow default/red.k:0",
			"in 10.0.0.9 > red/db tcp/1":  "Deny default/red.k:end",
			"in red/web/6 > red/db/6 6/1": "Deny default/red.k:end",
		}},
	)
}

func TestS5_FirstMatchWins(t *testing.T) {
	check(t,
		scenario{name: "inside a policy", resources: []string{
			global("p", "{ingress: [{action: Deny, protocol: UDP}, {action: Allow}, {action: Deny}]}"),
		}, want: map[string]string{anyToDB: "Allow default/p:1", "in red/web > red/db udp/80": "Deny default/p:0"}},
		scenario{name: "policies in order; a miss goes on with the next", resources: []string{
			global("p", "{order: 1, ingress: [{action: Deny, protocol: UDP}]}"),
			global("q", "{order: 2, ingress: [{action: Allow}]}"),
			global("r", "{order: 3, ingress: [{action: Deny}]}"),
		}, want: map[string]string{anyToDB: "Allow default/q:0", "in red/web > red/db udp/80": "Deny default/p:0"}},
		scenario{name: "Allow is final across tiers", resources: []string{
			newTier("t", "{order: 1}"), global("p", "{tier: t, ingress: [{action: Allow}]}"), global("q", "{ingress: [{action: Deny}]}"),
		}, want: map[string]string{anyToDB: "Allow t/p:0"}},
	)
}

func TestS6_PassGoesToTheNextTierThatApplies(t *testing.T) {
	tiers := []string{newTier("t", "{order: 1}"), newTier("u", "{order: 2}")}
	with := func(more ...string) []string { return append(append([]string(nil), tiers...), more...) }
	pass := global("p", "{tier: t, order: 1, ingress: [{action: Pass}]}")
	check(t,
		scenario{name: "the rest of the tier is skipped", want: map[string]string{anyToDB: "Allow default/q:0"},
			resources: with(pass, global("r", "{tier: t, order: 2, ingress: [{action: Deny}]}"), global("q", "{ingress: [{action: Allow}]}"))},
		scenario{name: "a tier without a policy for the endpoint is skipped", want: map[string]string{anyToDB: "Deny default/q:0"},
			resources: with(pass, global("r", "{tier: u, selector: app == 'web'}"), global("q", "{ingress: [{action: Deny}]}"))},
		scenario{name: "a tier with policies of the other direction only is skipped", want: map[string]string{anyToDB: "Deny default/q:0"},
			resources: with(pass, global("r", "{tier: u, types: [Egress]}"), global("q", "{ingress: [{action: Deny}]}"))},
		scenario{name: "nothing left: allowed (S9)", want: map[string]string{anyToDB: "Allow"}, resources: with(pass)},
		scenario{name: "Pass keeps the tier from its default action", want: map[string]string{
			anyToDB: "Allow", "in red/web > red/db udp/80": "Deny t/p:end",
		}, resources: with(global("p", "{tier: t, ingress: [{action: Pass, protocol: TCP}]}"))},
	)
}

func TestS7_LogGoesOn(t *testing.T) {
	check(t,
		scenario{name: "Log, then the rule that decides", want: map[string]string{
			anyToDB:                      "Log default/p:0, Log default/p:1, Deny default/p:2",
			"in red/web > red/db udp/80": "Log default/p:0, Deny default/p:2",
		}, resources: []string{global("p", "{ingress: [{action: Log}, {action: Log, protocol: TCP}, {action: Deny}, {action: Log}]}")}},
		scenario{name: "Log rules only reach the end of the tier", want: map[string]string{anyToDB: "Log default/p:0, Deny default/p:end"},
			resources: []string{global("p", "{ingress: [{action: Log}]}")}},
		scenario{name: "across Pass and tiers, in order", want: map[string]string{
			anyToDB: "Log t/p:0, Log default/q:0, Allow default/q:1",
		}, resources: []string{newTier("t", "{order: 1}"),
			global("p", "{tier: t, ingress: [{action: Log}, {action: Pass}]}"),
			global("q", "{ingress: [{action: Log}, {action: Allow}]}")}},
	)
}

func TestS8_EndOfTier(t *testing.T) {
	check(t,
		scenario{name: "Deny unless it says Pass; the last policy that selected is named", resources: []string{
			newTier("t", "{order: 1}"),
			global("p", "{tier: t, order: 1, selector: app == 'db', ingress: [{action: Allow, protocol: UDP}]}"),
			global("q", "{tier: t, order: 2, selector: app == 'db', ingress: [{action: Allow, protocol: UDP}]}"),
			global("r", "{tier: t, order: 3, selector: app == 'web', ingress: [{action: Allow, protocol: UDP}]}"),
			global("s", "{tier: t, order: 4, selector: app == 'db', types: [Egress]}"),
		}, want: map[string]string{
			anyToDB:                         "Deny t/q:end",
			"in red/web > blue/plain tcp/1": "Allow",
		}},
		scenario{name: "Pass", resources: []string{
			newTier("t", "{order: 1, defaultAction: Pass}"), global("p", "{tier: t, ingress: [{action: Allow, protocol: UDP}]}"),
			global("q", "{selector: app == 'db', ingress: [{action: Allow, protocol: SCTP}]}"),
		}, want: map[string]string{
			anyToDB:                         "Deny default/q:end",
			"in red/web > blue/plain tcp/1": "Allow",
		}},
		scenario{name: "no policy selects: skipped", resources: []string{
			newTier("t", "{order: 1}"), global("p", "{tier: t, selector: app == 'nobody'}"),
		}, want: map[string]string{anyToDB: "Allow"}},
	)
}

func TestS9_NoTierDecided(t *testing.T) {
	check(t,
		scenario{name: "no policy at all", want: map[string]string{anyToDB: "Allow", "out red/web > 192.0.2.7 tcp/80": "Allow"}},
		scenario{name: "all passed", want: map[string]string{anyToDB: "Allow"}, resources: []string{
			newTier("t", "{order: 1, defaultAction: Pass}"), global("p", "{tier: t}"), global("q", "{ingress: [{action: Pass}]}"),
		}},
	)
}

func TestS10_BothEndsMustAllow(t *testing.T) {
	m := modelOf(t,
		global("p", "{selector: app == 'db', ingress: [{action: Allow, protocol: TCP}]}"),
		global("q", "{selector: app == 'web', egress: [{action: Allow, destination: {selector: app == 'db'}}]}"))
	for _, c := range []struct {
		from, to, service string
		out, in           string // empty: that end has no verdict
	}{
		{"red/web", "red/db", "tcp/80", "Allow default/q:0", "Allow default/p:0"},
		{"red/web", "red/db", "udp/80", "Allow default/q:0", "Deny default/p:end"},
		{"red/web", "blue/plain", "tcp/80", "Deny default/q:end", "Allow"},
		{"red/web", "192.0.2.7", "tcp/80", "Deny default/q:end", ""},
		{"192.0.2.7", "red/db", "tcp/80", "", "Allow default/p:0"},
	} {
		proto, port := service(t, c.service)
		r := m.Evaluate(tier.Enforced(), tier.Conn{Source: end(t, m, c.from), Destination: end(t, m, c.to), Protocol: proto, Port: port})
		out, in, allowed := "", "", true
		if r.Egress != nil {
			out, allowed = answer(*r.Egress), r.Egress.Action == policy.Allow
		}
		if r.Ingress != nil {
			in, allowed = answer(*r.Ingress), allowed && r.Ingress.Action == policy.Allow
		}
		if out != c.out || in != c.in || r.Allowed() != allowed {
			t.Errorf("%s > %s %s: egress %q, ingress %q, allowed %v; want %q, %q", c.from, c.to, c.service, out, in, r.Allowed(), c.out, c.in)
		}
	}
}

func TestS13_TierThatDoesNotExist(t *testing.T) {
	check(t,
		scenario{name: "after all valid tiers, whatever their names and orders", resources: []string{
			newTier("z", "{}"),
			global("p", "{tier: a, order: 1, ingress: [{action: Deny}]}"),
			global("q", "{tier: z, ingress: [{action: Allow}]}"),
		}, want: map[string]string{anyToDB: "Allow z/q:0"}},
		scenario{name: "ends in deny", resources: []string{
			global("p", "{tier: a, ingress: [{action: Allow, protocol: TCP}]}"),
		}, want: map[string]string{anyToDB: "Allow a/p:0", "in red/web > red/db udp/80": "Deny a/p:end"}},
		scenario{name: "for what it selects only", resources: []string{global("p", "{tier: a, selector: app == 'web'}")},
			want: map[string]string{anyToDB: "Allow", "in red/db > red/web tcp/80": "Deny a/p:end"}},
	)
}
