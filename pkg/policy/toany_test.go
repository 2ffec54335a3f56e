package policy_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/netpol-project/netpol/pkg/policy"
)

// An object has what Decode reads, also where readers of older YAML differ.
func TestReadObject(t *testing.T) {
	got, err := policy.ReadObject([]byte("# a\n---\nn: y\nyes: [no, True, ~, 0x1f, 010, 1.5, -3, 1e3, .inf, 2026-01-02, '7']\na: &x {b: 1}\nc: {<<: *x, d: 2}\ne: {}\n"))
	want := map[string]any{
		"n": "y", "yes": []any{"no", true, nil, int64(31), int64(8), 1.5, int64(-3), 1e3, ".inf", "2026-01-02", "7"},
		"a": map[string]any{"b": int64(1)}, "c": map[string]any{"b": int64(1), "d": int64(2)}, "e": map[string]any{},
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got)\n%s", err, diff)
	}
	if got, err := policy.ReadObject([]byte(`{"a": 9007199254740993, "b": 1.0}`)); err != nil || got["a"] != int64(9007199254740993) || got["b"] != 1.0 {
		t.Errorf("%v %v", got, err)
	}
	for _, doc := range []string{"- a", "a: [", "text"} {
		if _, err := policy.ReadObject([]byte(doc)); err == nil {
			t.Errorf("%q: no error", doc)
		}
	}
	if got, err := policy.ReadObject([]byte("---\n# nothing\n")); got != nil || err != nil {
		t.Errorf("%v %v", got, err)
	}
}
