package tier

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/netpol-project/netpol/pkg/policy"
)

// Two ports are in one class if and only if they are in the same lists; the
// classes hold every port once, and the first one the assumed port.
func TestClassesTellPortsApartAsListsDo(t *testing.T) {
	port := rapid.OneOf(rapid.Uint16Range(0, 40), rapid.SampledFrom([]uint16{AssumedSourcePort - 1, AssumedSourcePort, AssumedSourcePort + 1, 65534, 65535}))
	ranges := rapid.Custom(func(t *rapid.T) policy.PortRange {
		a, b := port.Draw(t, "a"), port.Draw(t, "b")
		return policy.PortRange{Min: min(a, b), Max: max(a, b)}
	})
	rapid.Check(t, func(t *rapid.T) {
		lists := rapid.SliceOfN(rapid.SliceOfN(ranges, 1, 4), 1, 6).Draw(t, "lists")
		ofClass, ofLists := map[int]string{}, map[string]int{}
		seen := 0
		for n, class := range classes(lists) {
			for _, r := range class {
				for p := int(r.Min); p <= int(r.Max); p++ {
					seen++
					key := make([]byte, len(lists))
					for i, list := range lists {
						if inRanges(list, uint16(p)) {
							key[i] = 1
						}
					}
					if other, ok := ofClass[n]; ok && other != string(key) {
						t.Fatalf("class %d holds %d, which other lists have", n, p)
					}
					ofClass[n] = string(key)
					if other, ok := ofLists[string(key)]; ok && other != n {
						t.Fatalf("%d is in class %d and not %d", p, n, other)
					}
					ofLists[string(key)] = n
				}
			}
			if !slices.IsSortedFunc(class, func(a, b policy.PortRange) int { return int(a.Min) - int(b.Min) }) {
				t.Fatalf("class %d is not sorted: %v", n, class)
			}
			if holds := inRanges(class, AssumedSourcePort); holds != (n == 0) {
				t.Fatalf("class %d holds the assumed port: %v", n, holds)
			}
		}
		if seen != 1<<16 {
			t.Fatalf("%d ports", seen)
		}
	})
}

// A thousand rules with fifty ports each are no burden: they took seconds.
func BenchmarkClasses(b *testing.B) {
	var lists [][]policy.PortRange
	for i := range 1000 {
		var list []policy.PortRange
		for j := range 50 {
			n := uint16((i*37 + j*613) % 65000)
			list = append(list, policy.PortRange{Min: n, Max: n})
		}
		lists = append(lists, list)
	}
	for b.Loop() {
		classes(lists)
	}
}
