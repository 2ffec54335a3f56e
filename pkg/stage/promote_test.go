package stage

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

// promoteWorld is a model of three pods and some policies.
func promoteWorld(t interface{ Fatal(...any) }, texts ...string) *tier.Model {
	var all []policy.Resource
	for _, pod := range []string{"a", "b", "c"} {
		texts = append(texts, fmt.Sprintf(`{apiVersion: v1, kind: Pod, metadata: {name: %s, namespace: n, labels: {app: %s}}, spec: {containers: [{name: c, image: c, ports: [{containerPort: 80}]}]}}`, pod, pod))
	}
	for _, text := range texts {
		res, faults := policy.NewDecoder().Decode("", []byte(text))
		if faults.Err() != nil {
			t.Fatal(faults)
		}
		all = append(all, res...)
	}
	snap, _ := policy.NewSnapshot(1, all, nil)
	return tier.New(snap, nil)
}

func stagedPolicy(name, spec string) string {
	return fmt.Sprintf(`{apiVersion: projectcalico.org/v3, kind: StagedNetworkPolicy, metadata: {name: %s, namespace: n}, spec: {%s}}`, name, spec)
}

func stagedKeys(m *tier.Model) []policy.Key {
	var out []policy.Key
	for _, p := range m.Snapshot().Policies {
		if p.Kind.Staged() {
			out = append(out, p.Key)
		}
	}
	return out
}

func TestOrderPutsWhatAllowsFirst(t *testing.T) {
	for name, tc := range map[string]struct {
		policies []string
		want     []string // nil: there is a gap
	}{
		"allow before a default-deny": {[]string{
			stagedPolicy("a-deny", "selector: all(), types: [Ingress]"),
			stagedPolicy("b-allow", "selector: app == 'a', ingress: [{action: Allow}]"),
			stagedPolicy("c-allow", "selector: app == 'b', ingress: [{action: Allow, source: {selector: app == 'c'}}]"),
		}, []string{"b-allow", "c-allow", "a-deny"}},
		"two for one pod": {[]string{
			stagedPolicy("a", "selector: app == 'a', ingress: [{action: Allow, source: {selector: app == 'b'}}]"),
			stagedPolicy("b", "selector: app == 'a', ingress: [{action: Allow, source: {selector: app == 'c'}}]"),
		}, nil},
		"a rule moves from one policy to another": {[]string{
			`{apiVersion: projectcalico.org/v3, kind: NetworkPolicy, metadata: {name: a, namespace: n}, spec: {selector: app == 'a', ingress: [{action: Allow, source: {selector: app == 'b'}}]}}`,
			stagedPolicy("a", "stagedAction: Delete"),
			stagedPolicy("b", "selector: app == 'a', ingress: [{action: Allow, source: {selector: app == 'b'}}]"),
		}, []string{"b", "a"}},
	} {
		t.Run(name, func(t *testing.T) {
			m := promoteWorld(t, tc.policies...)
			order, gap := Order(m, stagedKeys(m), nil)
			var names []string
			for _, k := range order {
				names = append(names, k.Name)
			}
			if (gap != nil) != (tc.want == nil) || tc.want != nil && !slices.Equal(names, tc.want) {
				t.Errorf("got %v, gap %v", names, gap)
			}
		})
	}
}

// TestOrderLeavesNoGap: in every state between, whatever is allowed before and
// after is allowed, unless a gap is told; and a gap that is told is one.
func TestOrderLeavesNoGap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var texts []string
		for i := range rapid.IntRange(2, 4).Draw(t, "policies") {
			of := func(label string) string { return rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, label) }
			spec := fmt.Sprintf("selector: app == '%s'", of("selects"))
			if rapid.IntRange(0, 3).Draw(t, "all") == 0 {
				spec = "selector: all()"
			}
			spec += fmt.Sprintf(", order: %d, types: [Ingress], ingress: [", rapid.IntRange(1, 4).Draw(t, "order"))
			for range rapid.IntRange(0, 2).Draw(t, "rules") {
				spec += fmt.Sprintf("{action: %s, source: {selector: app == '%s'}},", rapid.SampledFrom([]string{"Allow", "Allow", "Deny"}).Draw(t, "action"), of("peer"))
			}
			spec += "]"
			name := string(rune('p' + i))
			if rapid.Bool().Draw(t, "enforced") {
				texts = append(texts, fmt.Sprintf(`{apiVersion: projectcalico.org/v3, kind: NetworkPolicy, metadata: {name: %s, namespace: n}, spec: {selector: app == '%s', types: [Ingress], ingress: [{action: Allow, source: {selector: app == '%s'}}]}}`, name, of("was"), of("from")))
				if rapid.IntRange(0, 2).Draw(t, "delete") == 0 {
					spec = "stagedAction: Delete"
				}
			}
			texts = append(texts, stagedPolicy(name, spec))
		}
		m := promoteWorld(t, texts...)
		staged := stagedKeys(m)
		order, gap := Order(m, staged, nil)
		if len(order) != len(staged) {
			t.Fatalf("%d of %d are in the order", len(order), len(staged))
		}
		found := false
		for n := 1; n < len(order); n++ {
			for _, src := range m.Snapshot().Endpoints {
				for _, dst := range m.Snapshot().Endpoints {
					in := func(s tier.Scope) bool {
						return m.Judge(s, policy.Ingress, tier.Peer{Endpoint: dst}, tier.Peer{Endpoint: src}, policy.TCP, 80).Action == policy.Allow
					}
					if in(tier.Enforced()) && in(tier.Some(staged...)) && !in(tier.Some(order[:n]...)) {
						found = true
					}
				}
			}
		}
		if found != (gap != nil) {
			t.Fatalf("a gap is there: %v, told: %v", found, gap)
		}
	})
}
