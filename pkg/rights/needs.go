package rights

import (
	"fmt"
	"slices"
	"strings"

	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/stage"
)

// part is what an action does to one resource.
type part struct {
	kind policy.Kind
	own  []string // verbs on the resource
	tier []string // verbs on tier.RESOURCE
}

// parts says what an action does. netpol writes by server-side apply, which is
// patch to the API server, and create where nothing is there.
func (a Action) parts() ([]part, error) {
	enforced, staged := a.Kind, a.Kind
	if twin, ok := stage.Twin(policy.Key{Kind: a.Kind, Name: "x"}); ok {
		if a.Kind.Staged() {
			enforced = twin.Kind
		} else {
			staged = twin.Kind
		}
	}
	write := []string{"get", "create", "patch"}
	switch a.Verb {
	case "rollback":
		return []part{{enforced, write, []string{"create", "update"}}}, nil
	case "get", "list", "watch":
		return []part{{kind: a.Kind, own: []string{a.Verb}}}, nil
	case "create":
		return []part{{a.Kind, []string{"get", "create", "patch"}, []string{"create"}}}, nil
	case "update":
		return []part{{a.Kind, []string{"get", "patch"}, []string{"update"}}}, nil
	case "delete":
		return []part{{a.Kind, []string{"get", "delete"}, []string{"delete"}}}, nil
	case "move":
		if !Tiered(a.Kind) {
			return nil, fmt.Errorf("%s have no tier to move to", Resource(a.Kind))
		}
		if a.Anew && defaultTier(a.From) != defaultTier(a.Tier) {
			return []part{{a.Kind, []string{"get", "create", "patch", "delete"}, []string{"create", "update"}}}, nil
		}
		return []part{{a.Kind, []string{"get", "patch"}, []string{"update"}}}, nil
	}
	if enforced == staged {
		return nil, fmt.Errorf("%s can't be staged", Resource(a.Kind))
	}
	switch a.Verb {
	case "stage":
		return []part{{staged, write, []string{"create", "update"}}}, nil
	case "unstage":
		return []part{{staged, []string{"get", "delete"}, []string{"delete"}}}, nil
	case "unenforce":
		return []part{
			{enforced, []string{"get", "delete"}, []string{"delete"}},
			{staged, write, []string{"create", "update"}},
		}, nil
	}
	return []part{ // enforce
		{enforced, write, []string{"create", "update"}},
		{staged, []string{"get", "delete"}, []string{"delete"}},
	}, nil
}

// Needs are the rights that the action takes, all of them.
func (a Action) Needs() ([]Need, error) {
	if Resource(a.Kind) == "" {
		return nil, fmt.Errorf("no rights are told of %s", a.Kind)
	}
	if !slices.Contains(Verbs(), a.Verb) {
		return nil, fmt.Errorf("there is no verb %q; verbs are %s", a.Verb, strings.Join(Verbs(), ", "))
	}
	parts, err := a.parts()
	if err != nil {
		return nil, err
	}
	tiers := []string{defaultTier(a.Tier)}
	if from := defaultTier(a.From); a.Verb == "move" && from != tiers[0] {
		tiers = append(tiers, from)
	}
	var needs []Need
	for _, p := range parts {
		res, _ := resourceOf(p.kind)
		for _, verb := range p.own {
			needs = append(needs, a.own(p.kind, res, verb)...)
		}
	}
	for _, tier := range tiers {
		for i, p := range parts {
			res, _ := resourceOf(p.kind)
			if !res.tiered || len(p.tier) == 0 {
				continue
			}
			if i == 0 {
				needs = append(needs, Need{{Verb: "get", Group: groupCalico, Resource: "tiers", Name: tier}})
			}
			verbs := p.tier
			if a.Anew && tier != tiers[0] {
				verbs = []string{"delete"}
			}
			for _, verb := range verbs {
				needs = append(needs, a.inTier(res, verb, tier))
			}
		}
	}
	return needs, nil
}

// Want is a right without which an action goes on, and something is missing.
type Want struct {
	Right
	// Without says what is missing then.
	Without string
}

// Where netpol history keeps what became of deleted policies.
const historyNamespace, historyMap = "netpol-system", "netpol-history"

// Wants are the rights that the action goes on without.
func (a Action) Wants() []Want {
	var out []Want
	verbs := map[string][]string{"enforce": {"get", "patch"}, "unenforce": {"get", "patch"}, "delete": {"get", "patch"}, "rollback": {"get"}, "create": {"get"}}[a.Verb]
	if a.Kind.Staged() && a.Verb != "enforce" && a.Verb != "unenforce" || !policyKind(a.Kind) {
		verbs = nil
	}
	for _, verb := range verbs {
		out = append(out, Want{Right{Verb: verb, Resource: "configmaps", Namespace: historyNamespace, Name: historyMap}, "netpol history does not know of deleted policies"})
	}
	if a.Verb != "enforce" {
		return out
	}
	kind := a.Kind
	if kind.Staged() {
		kind = kind.Enforced()
	}
	if kind == policy.KindKubernetesNetworkPolicy {
		kind = policy.KindNetworkPolicy // a bridge is of v3
	}
	bridge := Action{Verb: "delete", Kind: kind, Namespace: a.Namespace, Tier: a.Tier}
	needs, err := bridge.Needs()
	if err != nil {
		return out
	}
	for _, n := range needs {
		if n[0].Verb == "delete" {
			out = append(out, Want{n[0], "a temporary policy that bridges several promotions can't be taken away again"})
		}
	}
	return out
}

// policyKind says whether a kind is one of policies, which have a history.
func policyKind(k policy.Kind) bool {
	return k == policy.KindClusterNetworkPolicy || k == policy.KindKubernetesNetworkPolicy || Tiered(k) || k.Staged()
}

func defaultTier(name string) string {
	if name == "" {
		return "default"
	}
	return name
}

// own is the right on the resource itself, of a policy that is made anew with
// its name in the tier that it comes from. RBAC can't grant to create an object
// of one name only.
func (a Action) own(kind policy.Kind, res resource, verb string) []Need {
	r := Right{Verb: verb, Group: res.group, Resource: res.name, Namespace: a.namespace(res)}
	if a.Name == "" || verb == "create" || verb == "list" || verb == "watch" {
		return []Need{{r}}
	}
	here, there := defaultTier(a.Tier), defaultTier(a.From)
	tiers := []string{here}
	switch {
	case !a.Anew:
	case verb == "delete":
		tiers = []string{there}
	case verb == "get":
		tiers = []string{here, there}
	}
	var needs []Need
	for _, tier := range tiers {
		one := r
		one.Name = a.stored(kind, tier)
		if len(needs) == 0 || needs[0][0] != one {
			needs = append(needs, Need{one}) // who has the right on all has it on this one
		}
	}
	return needs
}

func (a Action) stored(kind policy.Kind, tier string) string {
	if a.Stored == nil {
		return a.Name
	}
	return a.Stored(kind, a.Name, tier)
}

func (a Action) namespace(res resource) string {
	if res.namespaced {
		return a.Namespace
	}
	return ""
}

func (a Action) inTier(res resource, verb, tier string) Need {
	all := Right{Verb: verb, Group: res.group, Resource: "tier." + res.name, Namespace: a.namespace(res), Name: tier + ".*"}
	if a.Name == "" {
		return Need{all}
	}
	one := all
	one.Name = tier + "." + strings.TrimPrefix(a.Name, tier+".")
	return Need{one, all}
}

// Rights are all rights that needs name, each once, in their order.
func Rights(needs []Need) []Right {
	var out []Right
	for _, n := range needs {
		for _, r := range n {
			if !slices.Contains(out, r) {
				out = append(out, r)
			}
		}
	}
	return out
}
