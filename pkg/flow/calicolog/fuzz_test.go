package calicolog

import (
	"strings"
	"testing"

	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
)

// FuzzHit: what is read is whole, and nothing makes it panic.
func FuzzHit(f *testing.F) {
	for _, s := range []string{
		"0|default|vote/default.staged:db|deny|0", "0|default|snp:vote/db|deny|0", "1|__PROFILE__|pro:kns.vote|allow|0",
		"0|default|vote/staged:knp.default.db|pass|-1", "3|*|*|deny|*", "0|kube-admin|kcnp:a.b|allow|-", "1|t|staged:t.x|deny",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		step, err := ParseHit(s)
		if err != nil {
			return
		}
		switch {
		case step.Index < 0 || step.Rule < policy.RuleUnknown || step.Action == 0 || step.Action == policy.Log:
			t.Errorf("%q: %+v", s, step)
		case step.Rule == policy.NoPolicy:
		case step.Policy.Name == "" || step.Tier == "" || strings.ContainsAny(step.Policy.Name, "/:|"):
			t.Errorf("%q: %+v", s, step)
		}
	})
}

// FuzzEach: every flow that is read can be listed and compared.
func FuzzEach(f *testing.F) {
	f.Add(line(""))
	f.Add(line(`,"policies":{"all_policies":["0|default|vote/default.staged:db|deny|-1","1|__PROFILE__|__PROFILE__.kns.vote|allow|0"]}`))
	f.Add(`{"_source":` + line(`,"dest_type":"net","dest_ip":"192.0.2.7"`) + "}\n\n" + line(`,"action":"deny"`))
	f.Add(`{"start_time":1e3}`)
	f.Fuzz(func(t *testing.T, text string) {
		var all []flow.Flow
		err := Each("f", strings.NewReader(text), func(fl flow.Flow) error {
			all = append(all, fl)
			return nil
		})
		if err != nil && !strings.HasPrefix(err.Error(), "f:") {
			t.Errorf("the error has no line: %v", err)
		}
		for i := range all {
			fl := &all[i]
			fl.Settle()
			if fl.Live < 0 || fl.Connections < 0 || fl.FirstSeen.IsZero() || fl.Enforced.Action == 0 || fl.Pending.Action == 0 || flow.Compare(fl.Key, fl.Key) != 0 {
				t.Errorf("%+v", fl)
			}
		}
		flow.Merge(all)
	})
}
