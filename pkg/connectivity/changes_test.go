package connectivity_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/netpol-project/netpol/pkg/connectivity"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/policy/selector"
	"github.com/netpol-project/netpol/pkg/tier"
)

// pods makes a snapshot of pods, given as workload-number, that have their
// workload's name as label app. Workloads named in deny are closed to all.
func podsOf(deny []string, names ...string) *policy.Snapshot {
	s := &policy.Snapshot{Namespaces: []*policy.Namespace{{Name: "ns", Labels: selector.Labels{policy.LabelName: "ns"}}}}
	slices.Sort(names)
	for _, name := range names {
		app := name[:1]
		s.Endpoints = append(s.Endpoints, &policy.Endpoint{
			Namespace: "ns", Name: name, Labels: selector.Labels{"app": app, "pod": name},
			Workload: policy.Workload{Kind: policy.KindDeployment, Namespace: "ns", Name: app},
			Ports:    []policy.ContainerPort{{Protocol: policy.TCP, Port: 80}},
		})
	}
	for _, app := range deny {
		key := "app"
		if len(app) > 1 {
			key = "pod"
		}
		s.Policies = append(s.Policies, &policy.Policy{
			Key:  policy.Key{Kind: policy.KindNetworkPolicy, Namespace: "ns", Name: "deny-" + app},
			Tier: tier.DefaultTier, Types: [2]bool{true, false}, Selector: selector.Eq(key, app),
		})
	}
	return s
}

func changesText(before, after *policy.Snapshot) []string {
	var out []string
	for _, c := range connectivity.Changes(connectivity.View{Model: tier.New(before, nil)}, connectivity.View{Model: tier.New(after, nil)}, connectivity.Options{}) {
		sign := "-"
		if c.Added {
			sign = "+"
		}
		out = append(out, fmt.Sprintf("%s %s %s %s %d/%d", sign, c.Source.Name, c.Destination.Name, c.What, c.Changed, c.Pairs))
	}
	return out
}

func TestChangesOfPodsThatComeAndGo(t *testing.T) {
	for name, tc := range map[string]struct {
		before, after *policy.Snapshot
		want          []string
	}{
		"nothing":           {podsOf(nil, "a-1", "b-1"), podsOf(nil, "a-1", "b-1"), nil},
		"closed":            {podsOf(nil, "a-1", "b-1"), podsOf([]string{"b"}, "a-1", "b-1"), []string{"- a b any 1/1"}},
		"scaled":            {podsOf(nil, "a-1", "b-1"), podsOf(nil, "a-1", "b-1", "b-2"), []string{"+ b b any 2/2"}}, // b had no other pod to talk to
		"other pods":        {podsOf(nil, "a-1", "b-1"), podsOf(nil, "a-2", "b-3"), nil},
		"other pods closed": {podsOf(nil, "a-1", "b-1"), podsOf([]string{"b"}, "a-2", "b-3"), []string{"- a b any 1/1"}},
		"new pod closed":    {podsOf([]string{"b-2"}, "a-1", "b-1"), podsOf([]string{"b-2"}, "a-1", "b-1", "b-2"), []string{"- a b any 1/2", "+ b b any 1/2"}},
		"workload came":     {podsOf(nil, "a-1"), podsOf(nil, "a-1", "b-1"), []string{"+ a b any 1/1", "+ b a any 1/1"}},
		"workload went":     {podsOf([]string{"b"}, "a-1", "b-1"), podsOf([]string{"b"}, "a-1"), []string{"- b a any 1/1"}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := changesText(tc.before, tc.after); !slices.Equal(got, tc.want) {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func TestOverlayReplacesAndAdds(t *testing.T) {
	base := podsOf([]string{"a", "b"}, "a-1", "b-1")
	over := podsOf([]string{"b", "c"})
	over.Policies[0].Types = [2]bool{false, true}
	over.Endpoints = []*policy.Endpoint{
		{Namespace: "ns", Name: "a", Workload: policy.Workload{Kind: policy.KindDeployment, Namespace: "ns", Name: "a"}, Labels: selector.Labels{"app": "z"}},
		{Namespace: "ns", Name: "d", Workload: policy.Workload{Kind: policy.KindDeployment, Namespace: "ns", Name: "d"}, Labels: selector.Labels{"app": "d"}},
	}
	over.Namespaces = []*policy.Namespace{{Name: "ns"}} // only spoken of
	got := connectivity.Overlay(base, over)
	var policies, pods []string
	for _, p := range got.Policies {
		policies = append(policies, fmt.Sprint(p.Name, p.Types))
	}
	for _, ep := range got.Endpoints {
		pods = append(pods, ep.Name+"="+ep.Labels["app"])
	}
	if want := []string{"deny-a[true false]", "deny-b[false true]", "deny-c[true false]"}; !slices.Equal(policies, want) {
		t.Errorf("policies %q, want %q", policies, want)
	}
	if want := []string{"a-1=z", "b-1=b", "d=d"}; !slices.Equal(pods, want) {
		t.Errorf("pods %q, want %q", pods, want)
	}
	if got.Namespaces[0].Labels[policy.LabelName] != "ns" || base.Endpoints[0].Labels["app"] != "a" {
		t.Error("the namespace lost its labels, or the base changed")
	}
}
