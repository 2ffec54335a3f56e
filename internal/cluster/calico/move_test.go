package calico

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/policy/selector"
	"github.com/netpol-project/netpol/pkg/tier"
)

// While a policy moves, no end of a connection allows what it neither allowed
// before nor will allow after: at each step, in random worlds, of all connections
// between all pods.
func TestMovesOpenNothing(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newMoveWorld(rt)
		before, after := w.model(w.moving(w.from)), w.model(w.moving(w.to))
		during := []*tier.Model{
			w.model(w.moving(w.from), w.deniesPass(w.to)), // made
			w.model(w.deniesPass(w.to)),                   // the old one deleted
		}
		for _, c := range w.connections() {
			for _, d := range []policy.Direction{policy.Egress, policy.Ingress} {
				if allows(before, d, c) || allows(after, d, c) {
					continue
				}
				for step, m := range during {
					if allows(m, d, c) {
						rt.Fatalf("step %d: %s allows %s → %s port %d", step, d, c.Source.Endpoint.Name, c.Destination.Endpoint.Name, c.Port)
					}
				}
			}
		}
	})
}

// Nor does an end refuse on the way what it allows before and after, unless a
// Pass rule matches it.
func TestMovesCloseNothingButWhatIsPassedOn(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newMoveWorld(rt)
		for _, rules := range w.rules {
			for i := range rules {
				if rules[i].Action == policy.Pass {
					rules[i].Action = policy.Deny
				}
			}
		}
		before, after := w.model(w.moving(w.from)), w.model(w.moving(w.to))
		during := w.model(w.moving(w.from), w.moving(w.to))
		for _, c := range w.connections() {
			for _, d := range []policy.Direction{policy.Egress, policy.Ingress} {
				if allows(before, d, c) && allows(after, d, c) && !allows(during, d, c) {
					rt.Fatalf("%s refuses %s → %s port %d", d, c.Source.Endpoint.Name, c.Destination.Endpoint.Name, c.Port)
				}
			}
		}
	})
}

// allows says whether one end allows a connection.
func allows(m *tier.Model, d policy.Direction, c tier.Conn) bool {
	local, peer := c.Source, c.Destination
	if d == policy.Ingress {
		local, peer = peer, local
	}
	return m.Judge(tier.Enforced(), d, local, peer, c.Protocol, c.Port).Action == policy.Allow
}

// moveWorld is three pods, some policies in three tiers, and one that moves.
type moveWorld struct {
	pods     []*policy.Endpoint
	tiers    []*policy.Tier
	others   []*policy.Policy
	from, to string
	rules    [2][]policy.Rule
	types    [2]bool
	selector *selector.Selector
	order    float64
}

func newMoveWorld(t *rapid.T) *moveWorld {
	w := &moveWorld{}
	for _, name := range []string{"a", "b", "c"} {
		w.pods = append(w.pods, &policy.Endpoint{Namespace: "ns", Name: name, Labels: selector.Labels{"app": name},
			Workload: policy.Workload{Kind: policy.KindPod, Namespace: "ns", Name: name}})
	}
	names := []string{"t1", "t2", "t3"}
	for i, name := range names {
		w.tiers = append(w.tiers, &policy.Tier{Name: name, Order: float64(i),
			DefaultAction: rapid.SampledFrom([]policy.Action{policy.Deny, policy.Pass}).Draw(t, "default action")})
	}
	names = rapid.Permutation(names).Draw(t, "tiers")
	w.from, w.to = names[0], names[1]
	w.rules, w.types, w.selector, w.order = drawPolicy(t)
	for i := range rapid.IntRange(0, 5).Draw(t, "others") {
		p := &policy.Policy{Key: policy.Key{Kind: policy.KindNetworkPolicy, Namespace: "ns", Name: string(rune('a' + i))},
			Tier: rapid.SampledFrom(names).Draw(t, "tier")}
		p.Rules, p.Types, p.Selector, p.Order = drawPolicy(t)
		w.others = append(w.others, p)
	}
	return w
}

func drawPolicy(t *rapid.T) (rules [2][]policy.Rule, types [2]bool, sel *selector.Selector, order float64) {
	selectors := rapid.SampledFrom([]string{"all()", "app == 'a'", "app != 'b'", "app in {'b', 'c'}"})
	for d := range rules {
		types[d] = rapid.Bool().Draw(t, "type")
		for range rapid.IntRange(0, 3).Draw(t, "rules") {
			r := policy.Rule{Protocol: policy.TCP, Action: rapid.SampledFrom([]policy.Action{policy.Allow, policy.Deny, policy.Pass, policy.Log}).Draw(t, "action")}
			if port := rapid.Uint16Range(0, 2).Draw(t, "port"); port > 0 {
				r.Destination.Ports = []policy.PortRange{{Min: port, Max: port}}
			}
			if rapid.Bool().Draw(t, "who") {
				r.Source.Selector = selector.MustParse(selectors.Draw(t, "source"))
			}
			rules[d] = append(rules[d], r)
		}
	}
	return rules, types, selector.MustParse(selectors.Draw(t, "selects")), float64(rapid.IntRange(0, 3).Draw(t, "order"))
}

// moving is the policy that moves, in a tier, as it is called there.
func (w *moveWorld) moving(in string) *policy.Policy {
	return &policy.Policy{Key: policy.Key{Kind: policy.KindNetworkPolicy, Namespace: "ns", Name: in + ".x"}, Tier: in,
		Rules: w.rules, Types: w.types, Selector: w.selector, Order: w.order}
}

// deniesPass is the policy as it is made first: see closed.
func (w *moveWorld) deniesPass(in string) *policy.Policy {
	p := w.moving(in)
	for d, rules := range w.rules {
		p.Rules[d] = append([]policy.Rule(nil), rules...)
		for i := range p.Rules[d] {
			if p.Rules[d][i].Action == policy.Pass {
				p.Rules[d][i].Action = policy.Deny
			}
		}
	}
	return p
}

func (w *moveWorld) model(moving ...*policy.Policy) *tier.Model {
	snap := &policy.Snapshot{Tiers: w.tiers, Namespaces: []*policy.Namespace{{Name: "ns"}}, Endpoints: w.pods}
	return tier.New(snap.WithPolicies(append(moving, w.others...)), nil)
}

func (w *moveWorld) connections() []tier.Conn {
	var out []tier.Conn
	for _, src := range w.pods {
		for _, dst := range w.pods {
			for port := range uint16(3) {
				out = append(out, tier.Conn{Source: tier.Peer{Endpoint: src}, Destination: tier.Peer{Endpoint: dst}, Protocol: policy.TCP, Port: port + 1})
			}
		}
	}
	return out
}
