package prove

import (
	"fmt"
	"net/netip"
	"strconv"

	"pgregory.net/rapid"

	"github.com/netpol-project/netpol/pkg/policy"
)

// The pools are small so that things meet: labels agree, names clash, orders
// tie. Some names are chosen to tempt: "a" and "a-b" sort differently part by
// part than glued together (S2), "aa" precedes every valid tier by name (S13).
var (
	namespaceNames = []string{"a", "a-b", "b", "c"}
	policyNames    = []string{"p", "p-a", "q"}
	tierNames      = []string{"t", "t-a", "u"}
	missingTiers   = []string{"aa", "zz"}
	accountNames   = []string{"default", "robot"}
	accountKeys    = []string{"app", "kind"}
	portNamePool   = []string{"http", "web", "http", "dns"}
	podKeys        = []string{"app", "role", "x.y/z_1-2"}
	namespaceKeys  = []string{"team", "env"}
	labelValues    = []string{"a", "b", "a", "ab", "ba", "a", "b", ""}
	someOrders     = []float64{1000, 1, 1000, 0.5, -1, 1_000_000, 2_000_000}
)

// gen draws a world piece by piece. Every choice shrinks towards the first
// alternative, or towards leaving the thing out.
type gen struct{ t *rapid.T }

// Worlds draws random worlds.
func Worlds() *rapid.Generator[*World] {
	return rapid.Custom(func(t *rapid.T) *World {
		g := gen{t}
		w := &World{}
		for i := range g.between(2, 4) {
			w.Namespaces = append(w.Namespaces, &Namespace{Name: namespaceNames[i], Labels: g.labels(namespaceKeys)})
		}
		for range g.between(3, 10) {
			w.Pods = append(w.Pods, g.pod(w))
		}
		g.accounts(w)
		g.peers(w)
		for i := range g.between(0, 3) {
			w.Tiers = append(w.Tiers, g.tier(tierNames[i]))
		}
		if g.eighths(2) {
			w.Tiers = append(w.Tiers, g.defaultTier())
		}
		for range g.between(1, 10) {
			w.add(g.policy(w))
		}
		return w
	})
}

// add appends a policy unless there is one of that kind and name.
func (w *World) add(p *Policy) {
	for _, other := range w.Policies {
		if other.Key() == p.Key() {
			return
		}
	}
	w.Policies = append(w.Policies, p)
}

// pod draws a pod with the lowest address that is free.
func (g gen) pod(w *World) *Pod {
	n := 1
	for _, p := range w.Pods {
		n = max(n, p.number()+1)
	}
	p := &Pod{
		Namespace:      pick(g, w.Namespaces).Name,
		Name:           "p" + strconv.Itoa(n),
		Labels:         g.labels(podKeys),
		ServiceAccount: pick(g, accountNames),
		Node:           "node",
	}
	p.Addrs = g.podAddrs(n)
	p.Created = pick(g, []int{n, 100 - n}) // all different: which of two is newer must not be a matter of luck
	p.Terminating = g.eighths(1)
	p.Containers = g.containers()
	if g.eighths(1) && len(w.Pods) > 0 { // S35
		p.Addrs = pick(g, w.Pods).Addrs
	}
	if g.eighths(1) && len(p.Addrs) > 0 {
		p.HostNetwork, p.Finished = pick(g, []bool{true, false}), false
		p.Finished = !p.HostNetwork
	}
	if g.eighths(1) { // S15's labels are not for pods to choose
		p.Labels["projectcalico.org/namespace"] = pick(g, namespaceNames)
	}
	return p
}

// number is the number in the pod's name.
func (p *Pod) number() int {
	n, _ := strconv.Atoi(p.Name[1:])
	return n
}

// podAddrs draws which of its two addresses pod n has.
func (g gen) podAddrs(n int) []netip.Addr {
	both := bothFamilies(n)
	v4, v6 := both[0], both[1]
	return pick(g, [][]netip.Addr{{v4, v6}, {v4}, {v4, v6}, {v4}, {v6}, nil})
}

// bothFamilies are the two addresses that pod n may have.
func bothFamilies(n int) []netip.Addr {
	return []netip.Addr{netip.AddrFrom4([4]byte{10, 0, 0, byte(n)}), netip.MustParseAddr(fmt.Sprintf("fd00::%x", n))}
}

func (g gen) tier(name string) *Tier {
	return &Tier{Name: name, Order: g.order(), DefaultAction: pick(g, []string{"", "Pass", "Deny"})}
}

func (g gen) defaultTier() *Tier {
	order := 1_000_000.0
	return &Tier{Name: "default", Order: &order, DefaultAction: pick(g, []string{"", "Deny"})}
}

// tierOf draws the tier that a policy says it is in.
func (g gen) tierOf(w *World) string {
	if g.eighths(1) {
		return pick(g, missingTiers)
	}
	names := []string{"", "default"}
	if g.eighths(1) {
		names = []string{"kube-admin", "kube-baseline"}
	}
	for _, t := range w.Tiers {
		names = append(names, t.Name)
	}
	return pick(g, names)
}

func (g gen) order() *float64 {
	if g.eighths(3) {
		return nil
	}
	order := pick(g, someOrders)
	return &order
}

// types draws spec.types, unset more often than not (S3).
func (g gen) types() []policy.Direction {
	return pick(g, [][]policy.Direction{
		nil, {policy.Ingress}, nil, {policy.Egress}, nil, {policy.Ingress, policy.Egress}, {policy.Egress, policy.Ingress},
	})
}

// labels draws some labels; values may be empty.
func (g gen) labels(keys []string) map[string]string {
	out := map[string]string{}
	for _, k := range keys {
		if g.eighths(5) {
			out[k] = pick(g, labelValues)
		}
	}
	return out
}

// eighths is true n times in 8.
func (g gen) eighths(n int) bool {
	v := 0
	for range 3 {
		v <<= 1
		if rapid.Bool().Draw(g.t, "coin") {
			v |= 1
		}
	}
	return v >= 8-n
}

func (g gen) between(lo, hi int) int { return rapid.IntRange(lo, hi).Draw(g.t, "count") }

func pick[E any](g gen, from []E) E {
	return from[rapid.IntRange(0, len(from)-1).Draw(g.t, "pick")]
}
