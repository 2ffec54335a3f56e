package prove

import (
	"testing"

	"github.com/netpol-project/netpol/pkg/policy"
)

const (
	in     = policy.Ingress
	out    = policy.Egress
	global = true
	own    = false // a policy in namespace a
)

// ruleCase is one rule with the connections that it must match and must not.
type ruleCase struct {
	global bool
	dir    policy.Direction
	rule   string
	cases  []asked
}

func checkRules(t *testing.T, all []ruleCase) {
	t.Helper()
	for _, c := range all {
		allowedBy(t, c.global, c.dir, c.rule, c.cases)
	}
}

func TestS16_EntityScope(t *testing.T) {
	w := tcp(80)
	checkRules(t, []ruleCase{
		{own, in, `source: {selector: "app == 'web'"}`, []asked{
			{"a/web", "a/db", w, true}, {"b/web", "a/db", w, false}, {"192.0.2.1", "a/db", w, false}, {"fd00::1", "fd00::2", w, true}, {"fd00::3", "fd00::2", w, false}}},
		{own, in, `source: {selector: "all()"}`, []asked{
			{"a/web", "a/db", w, true}, {"b/web", "a/db", w, false}, {"198.51.100.1", "a/db", w, false}, {"192.0.2.200", "a/db", w, true}, {"203.0.113.1", "a/db", w, false}}},
		{own, in, `source: {namespaceSelector: "all()"}`, []asked{
			{"b/web", "a/db", w, true}, {"192.0.2.1", "a/db", w, true}, {"198.51.100.1", "a/db", w, false}, {"10.255.0.1", "a/db", w, false}}},
		{own, in, `source: {namespaceSelector: "global()"}`, []asked{
			{"a/web", "a/db", w, false}, {"198.51.100.1", "a/db", w, true}, {"10.255.0.1", "a/db", w, true}, {"fd00:ffff::1", "fd00::2", w, true}, {"10.0.0.3", "a/db", w, true}, {"192.0.2.1", "a/db", w, false}}},
		{own, in, `source: {namespaceSelector: "!has(team)", selector: "app == 'web'"}`, []asked{
			{"b/web", "a/db", w, true}, {"a/web", "a/db", w, false}}},
		{global, in, `source: {selector: "all()"}`, []asked{
			{"b/web", "a/db", w, true}, {"198.51.100.1", "a/db", w, true}, {"10.255.0.1", "b/web", w, true}, {"203.0.113.1", "a/db", w, false}}},
		{global, in, `source: {}`, []asked{{"203.0.113.1", "a/db", w, true}, {"2001:db9::1", "fd00::2", w, true}}},
		{own, out, `destination: {serviceAccounts: {names: [front]}}`, []asked{
			{"a/db", "a/web", w, true}, {"a/db", "b/web", w, false}}},
	})
}

func TestS17_NotSelector(t *testing.T) {
	w := tcp(80)
	checkRules(t, []ruleCase{
		{global, in, `source: {notSelector: "app == 'web'"}`, []asked{
			{"a/web", "a/db", w, false}, {"203.0.113.1", "a/db", w, true}, {"192.0.2.1", "a/db", w, true}, {"a/db", "a/web", w, true}, {"fd00::3", "fd00::2", w, false}}},
		// 10.0.0.3 is b/web's, and the global set's: none of them may match.
		{global, in, `source: {notSelector: "zone == 'wide'"}`, []asked{
			{"b/web", "a/db", w, false}, {"198.51.100.1", "a/db", w, false}, {"fd00::3", "fd00::2", w, true}, {"203.0.113.1", "a/db", w, true}}},
		{own, in, `source: {notSelector: "app == 'web'"}`, []asked{
			{"a/web", "a/db", w, false}, {"203.0.113.1", "a/db", w, false}, {"b/web", "a/db", w, false}, {"a/db", "a/web", w, true}, {"192.0.2.1", "a/db", w, true}}},
		{global, in, `source: {selector: "has(app)", notSelector: "app == 'db'"}`, []asked{
			{"a/web", "a/db", w, true}, {"a/db", "a/web", w, false}, {"203.0.113.1", "a/db", w, false}, {"198.51.100.1", "a/db", w, false}}},
		{global, in, `source: {namespaceSelector: "has(team)", notSelector: "app == 'db'"}`, []asked{
			{"a/web", "b/web", w, true}, {"a/db", "b/web", w, false}, {"192.0.2.200", "b/web", w, true}, {"203.0.113.1", "b/web", w, false}}},
		{global, in, `source: {serviceAccounts: {names: [front, default]}, notSelector: "app == 'db'"}`, []asked{
			{"a/web", "b/web", w, true}, {"a/db", "b/web", w, false}, {"203.0.113.1", "b/web", w, false}}},
	})
}

func TestS17_OtherNegations(t *testing.T) {
	w := tcp(80)
	checkRules(t, []ruleCase{
		{global, in, `source: {notNets: [10.0.0.0/24]}`, []asked{
			{"203.0.113.1", "a/db", w, true}, {"a/web", "a/db", w, false}, {"fd00::1", "fd00::2", w, false}}}, // S23: a rule of IPv4
		{global, in, `source: {nets: [10.0.0.0/24], notNets: [10.0.0.1/32, 10.0.0.3/32]}`, []asked{
			{"10.0.0.9", "a/db", w, true}, {"a/web", "a/db", w, false}, {"b/web", "a/db", w, false}, {"203.0.113.1", "a/db", w, false}}},
		{global, in, `protocol: TCP, destination: {notPorts: [80, "90:99"]}`, []asked{
			{"a/web", "a/db", tcp(80), false}, {"a/web", "a/db", tcp(89), true}, {"a/web", "a/db", tcp(90), false}, {"a/web", "a/db", tcp(99), false}, {"a/web", "a/db", tcp(100), true}, {"a/web", "a/db", udp(1), false}}},
		{global, in, `notProtocol: TCP`, []asked{
			{"a/web", "a/db", tcp(80), false}, {"a/web", "a/db", udp(80), true}, {"a/web", "a/db", Wire{Protocol: 99}, true}}},
		{global, in, `notProtocol: 6, protocol: TCP`, []asked{{"a/web", "a/db", w, false}, {"a/web", "a/db", udp(80), false}}},
		{global, in, `protocol: ICMP, notICMP: {type: 8, code: 0}`, []asked{
			{"a/web", "a/db", icmp(8, 0), false}, {"a/web", "a/db", icmp(8, 1), true}, {"a/web", "a/db", icmp(13, 0), true}, {"a/web", "a/db", tcp(8), false}}},
	})
}

func TestS18_NetworkSets(t *testing.T) {
	w := tcp(80)
	checkRules(t, []ruleCase{
		{own, out, `destination: {selector: "zone == 'near'"}`, []asked{
			{"a/db", "192.0.2.1", w, true}, {"a/db", "192.0.2.200", w, true}, {"fd00::2", "2001:db8::7", w, true}, {"fd00::2", "2001:db9::7", w, false}}},
		{own, out, `destination: {selector: "zone == 'far'"}`, []asked{{"a/db", "192.0.2.1", w, false}}}, // another namespace's
		{own, out, `destination: {namespaceSelector: "!has(team)", selector: "zone == 'far'"}`, []asked{
			{"a/db", "192.0.2.1", w, true}, {"a/db", "192.0.2.200", w, false}, {"a/web", "a/db", w, true}}}, // it holds db's address
		{own, out, `destination: {selector: "zone == 'wide'"}`, []asked{{"a/db", "198.51.100.1", w, false}}},
		{own, out, `destination: {namespaceSelector: "global()", selector: "zone == 'wide'"}`, []asked{
			{"a/db", "198.51.100.1", w, true}, {"a/db", "b/web", w, true}, {"a/db", "10.255.0.1", w, false}}},
		{global, out, `destination: {selector: "zone in {'near', 'far'}"}`, []asked{
			{"a/web", "192.0.2.1", w, true}, {"a/web", "192.0.2.255", w, true}, {"a/web", "a/db", w, true}, {"fd00::1", "fd00::2", w, false}}},
		{global, out, `destination: {selector: "projectcalico.org/name == 'n' && projectcalico.org/namespace == 'b'"}`, []asked{
			{"a/web", "192.0.2.1", w, true}, {"a/web", "192.0.2.200", w, false}}},
	})
}

func TestS18_SetsAreNoPodsOfKubernetesPolicies(t *testing.T) {
	for _, peer := range []string{"{podSelector: {}}", "{namespaceSelector: {}}", "{namespaceSelector: {}, podSelector: {}}",
		"{podSelector: {matchExpressions: [{key: app, operator: DoesNotExist}]}}"} {
		manifest := "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p, namespace: a}\nspec: {podSelector: {}, ingress: [{from: [" + peer + "]}]}\n"
		for _, from := range []string{"192.0.2.1", "198.51.100.1", "10.255.0.1"} {
			if got := judge(t, manifest, in, from, "a/db", tcp(80)); got != policy.Deny {
				t.Errorf("from %s, %s: %s", peer, from, got)
			}
		}
	}
}

func TestS19_ServiceAccounts(t *testing.T) {
	w := tcp(80)
	checkRules(t, []ruleCase{
		{global, in, `source: {serviceAccounts: {names: [front]}}`, []asked{
			{"a/web", "a/db", w, true}, {"b/web", "a/db", w, true}, {"a/db", "a/web", w, false}, {"198.51.100.1", "a/db", w, false}, {"fd00::1", "fd00::2", w, true}}},
		{global, in, `source: {serviceAccounts: {names: [front], selector: "role == 'ui'"}}`, []asked{
			{"a/web", "a/db", w, true}, {"b/web", "a/db", w, false}}},
		{global, in, `source: {serviceAccounts: {selector: "!has(role)"}}`, []asked{ // default is not written down
			{"a/db", "a/web", w, true}, {"a/web", "a/db", w, false}, {"203.0.113.1", "a/db", w, false}, {"192.0.2.1", "a/db", w, false}}},
		{own, in, `source: {serviceAccounts: {names: [front, default]}}`, []asked{
			{"a/web", "a/db", w, true}, {"a/db", "a/web", w, true}, {"b/web", "a/db", w, false}}},
		{own, in, `source: {namespaceSelector: "all()", serviceAccounts: {names: [front]}, selector: "app == 'web'"}`, []asked{
			{"b/web", "a/db", w, true}, {"a/db", "a/web", w, false}}},
		{own, in, `source: {namespaceSelector: "global()", serviceAccounts: {names: [front]}}`, []asked{
			{"b/web", "a/db", w, false}, {"198.51.100.1", "a/db", w, false}}}, // no account is global
	})
}
