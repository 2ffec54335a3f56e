package tier

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/netpol-project/netpol/pkg/policy"
)

// slotsOf reads "a:100 b:- k:1000!": name, order (- is none), ! for fixed.
func slotsOf(t *testing.T, text string) []Slot {
	t.Helper()
	var out []Slot
	for _, word := range strings.Fields(text) {
		name, order, _ := strings.Cut(word, ":")
		s := Slot{Key: policyKey(name), Order: policy.Unordered}
		order, s.Fixed = strings.CutSuffix(order, "!")
		if order != "-" {
			if _, err := fmt.Sscan(order, &s.Order); err != nil {
				t.Fatalf("bad order in %q: %v", word, err)
			}
		}
		out = append(out, s)
	}
	return out
}

// policyKey is a policy's key; a name that ends in * is staged.
func policyKey(name string) policy.Key {
	k := policy.Key{Kind: policy.KindNetworkPolicy, Namespace: "ns", Name: name}
	if n, ok := strings.CutSuffix(name, "*"); ok {
		k.Kind, k.Name = policy.KindStagedNetworkPolicy, n
	}
	return k
}

func textOf(slots []Slot) string {
	var out []string
	for _, s := range slots {
		name := s.Key.Name
		if s.Key.Kind.Staged() {
			name += "*"
		}
		order := "-"
		if !math.IsInf(s.Order, 1) {
			order = fmt.Sprint(s.Order)
		}
		out = append(out, name+":"+order)
	}
	return strings.Join(out, " ")
}

func TestMove(t *testing.T) {
	for _, tc := range []struct {
		name, slots, what string
		where             Place
		want              string
	}{
		{"first before a number", "a:100 b:200 x:300", "x", Place{First: true}, "x:50"},
		{"last after a number", "x:100 a:250 b:300", "x", Place{Last: true}, "x:400"},
		{"between takes the roundest", "a:100 b:300 x:-", "x", Place{After: policyKey("a")}, "x:200"},
		{"between neighbouring integers", "a:1 b:2 x:-", "x", Place{Before: policyKey("b")}, "x:1.5"},
		{"a tie moves the fewest", "a:100 b:100 c:200 x:-", "x", Place{Before: policyKey("b")}, "x:130 b:160"},
		{"a tie that the name solves", "a:100 m:100 z:5", "z", Place{After: policyKey("m")}, "z:200"},
		{"a name between two of one order", "a:100 d:100 c:5", "c", Place{After: policyKey("a")}, "c:100"},
		{"before what has no order", "a:100 b:- x:-", "x", Place{Before: policyKey("b")}, "x:200"},
		{"alone", "x:-", "x", Place{First: true}, "x:-"},
		{"there already", "a:100 x:170 b:200", "x", Place{Before: policyKey("b")}, "x:170"},
		{"there already by name", "a:- x:-", "x", Place{After: policyKey("a")}, "x:-"},
		{"there already, but the twin is not", "a:100 x:170 b:200 x*:300", "x", Place{Before: policyKey("b")}, "x:150 x*:150"},
		{"last among the unordered by name", "a:- b:- x:5", "x", Place{Last: true}, "x:-"},
		{"last among the unordered against the name", "b:- c:- a:5", "a", Place{Last: true}, "b:100 c:200 a:300"},
		{"between the unordered by name", "a:- c:- b:5", "b", Place{After: policyKey("a")}, "b:-"},
		{"between the unordered against the name", "a:- c:- x:5", "x", Place{After: policyKey("a")}, "a:100 x:200"},
		{"before a fixed one", "k:1000! x:-", "x", Place{Before: policyKey("k")}, "x:500"},
		{"a fixed one is not renumbered", "a:1000 k:1000! l:2000 x:-", "x", Place{Before: policyKey("k")}, "a:300 x:600"},
		{"below zero if need be", "a:0 x:-", "x", Place{First: true}, "x:-100"},
		{"the staged twin moves too", "a:100 x:200 x*:200", "x", Place{First: true}, "x:50 x*:50"},
		{"a twin elsewhere counts twice", "a:100 a*:300 b:400 x:-", "x", Place{After: policyKey("a")}, "x:350"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := Move(slotsOf(t, tc.slots), policyKey(tc.what), tc.where)
			if err != nil {
				t.Fatal(err)
			}
			if s := textOf(got); s != tc.want {
				t.Errorf("got %s, want %s", s, tc.want)
			}
		})
	}
}

func TestMoveRefuses(t *testing.T) {
	for _, tc := range []struct {
		name, slots, what string
		where             Place
		want              error
	}{
		{"what is not there", "a:1", "x", Place{First: true}, ErrNoSlot},
		{"a neighbour that is not there", "a:1 x:2", "x", Place{Before: policyKey("b")}, ErrNoSlot},
		{"beside itself", "a:1 x:2", "x", Place{Before: policyKey("x")}, ErrNoSlot},
		{"a fixed one", "a:1 k:1000!", "k", Place{First: true}, ErrFixed},
		{"between two fixed ones of one order", "k:1000! l:1000! x:-", "x", Place{After: policyKey("k")}, ErrNoRoom},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got, err := Move(slotsOf(t, tc.slots), policyKey(tc.what), tc.where); !errors.Is(err, tc.want) {
				t.Errorf("got %v, %v; want %v", got, err, tc.want)
			}
		})
	}
}

// TestMoveKeepsEverybodyElse: after a move what was moved stands where it was
// asked to, nobody else's relative order changed, and no fixed order did.
func TestMoveKeepsEverybodyElse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		orders := rapid.SampledFrom([]policy.Order{0, 1, 2, 3, 100, 100.5, 1000, policy.Unordered, -5})
		n := rapid.IntRange(2, 9).Draw(t, "n")
		var slots []Slot
		for _, i := range rapid.Permutation([]int{0, 1, 2, 3, 4, 5, 6, 7, 8}).Draw(t, "names")[:n] {
			s := Slot{Key: policyKey(string(rune('a' + i))), Order: orders.Draw(t, "order")}
			s.Fixed = s.Order == 1000 && rapid.Bool().Draw(t, "fixed")
			slots = append(slots, s)
		}
		what := slots[rapid.IntRange(0, n-1).Draw(t, "what")].Key
		beside := slots[rapid.IntRange(0, n-1).Draw(t, "beside")].Key
		where := rapid.SampledFrom([]Place{{First: true}, {Last: true}, {Before: beside}, {After: beside}}).Draw(t, "where")
		changed, err := Move(slots, what, where)
		if err != nil {
			if errors.Is(err, ErrNoSlot) && where.First || errors.Is(err, ErrNoSlot) && where.Last {
				t.Fatalf("%v: %v", where, err)
			}
			return
		}
		before, after := slotNames(slots), slotNames(applyMoves(t, slots, changed))
		i := slices.Index(after, what.Name)
		switch {
		case where.First && i != 0, where.Last && i != n-1:
			t.Fatalf("%s is not at the end asked for: %v", what.Name, after)
		case where.Before == beside && (i+1 >= n || after[i+1] != beside.Name):
			t.Fatalf("%s is not before %s: %v", what.Name, beside.Name, after)
		case where.After == beside && (i == 0 || after[i-1] != beside.Name):
			t.Fatalf("%s is not after %s: %v", what.Name, beside.Name, after)
		}
		if a, b := without(before, what.Name), without(after, what.Name); !slices.Equal(a, b) {
			t.Fatalf("the others' order changed from %v to %v by %s", a, b, textOf(changed))
		}
	})
}

// applyMoves gives the changed slots their new orders.
func applyMoves(t *rapid.T, slots, changed []Slot) []Slot {
	out := slices.Clone(slots)
	for _, c := range changed {
		i := slices.IndexFunc(out, func(s Slot) bool { return s.Key == c.Key })
		if out[i].Fixed {
			t.Fatalf("the fixed order of %s changed", c.Key)
		}
		out[i].Order = c.Order
	}
	return out
}

// slotNames sorts slots as S2 says, independently of the code under test.
func slotNames(slots []Slot) []string {
	sorted := slices.Clone(slots)
	slices.SortFunc(sorted, func(a, b Slot) int {
		return cmp.Or(cmp.Compare(a.Order, b.Order), cmp.Compare(a.Key.Name, b.Key.Name))
	})
	out := make([]string, len(sorted))
	for i, s := range sorted {
		out[i] = s.Key.Name
	}
	return out
}

func without(list []string, name string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return s == name })
}
