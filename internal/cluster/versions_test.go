package cluster

import (
	"testing"

	"github.com/netpol-project/netpol/pkg/policy"
)

func TestStateHas(t *testing.T) {
	key := func(kind policy.Kind, name string) policy.Key { return policy.Key{Kind: kind, Name: name} }
	here, gone := key(policy.KindGlobalNetworkPolicy, "here"), key(policy.KindGlobalNetworkPolicy, "gone")
	state := State{
		Snapshot: &policy.Snapshot{
			Policies: []*policy.Policy{{Key: here}},
			Tiers:    []*policy.Tier{{Name: "platform"}},
		},
		Versions: &Versions{
			Seen: map[policy.Kind]string{policy.KindGlobalNetworkPolicy: "100", policy.KindTier: "9", policy.KindPod: "50"},
			Gone: []Deletion{{here, "60"}, {key(policy.KindPod, "p"), "40"}},
		},
	}
	for name, tc := range map[string]struct {
		state   State
		key     policy.Key
		version string
		deleted bool
		want    bool
	}{
		"seen":                                 {state, here, "100", false, true},
		"numbers, not text":                    {state, here, "99", false, true},
		"still to come":                        {state, here, "101", false, false},
		"of another kind":                      {state, key(policy.KindTier, "platform"), "10", false, false},
		"of a kind that is not there":          {state, key(policy.KindNetworkSet, "s"), "1", false, false},
		"deleted":                              {state, gone, "90", true, true},
		"deleted, still to come":               {state, gone, "120", true, false},
		"still there":                          {state, key(policy.KindTier, "platform"), "5", true, false},
		"deleted and made anew":                {state, here, "55", true, true},
		"deleted and made anew, deleted again": {state, here, "70", true, false},
		"deletion of a kind not looked into":   {state, key(policy.KindPod, "p"), "39", true, true},
		"no deletion of it was seen":           {state, key(policy.KindPod, "q"), "39", true, false},
		"a directory":                          {State{Snapshot: &policy.Snapshot{}}, here, "", false, true},
		"nothing yet":                          {State{}, here, "1", false, false},
	} {
		if got := tc.state.Has(tc.key, tc.version, tc.deleted); got != tc.want {
			t.Errorf("%s: got %v", name, got)
		}
	}
	odd := State{Snapshot: &policy.Snapshot{}, Versions: &Versions{Seen: map[policy.Kind]string{policy.KindTier: "a7"}}}
	if !odd.Has(key(policy.KindTier, "x"), "a7", false) || odd.Has(key(policy.KindTier, "x"), "a8", false) {
		t.Error("versions that are no numbers")
	}
}
