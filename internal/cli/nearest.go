package cli

import "strings"

// Nearest is the known name that is most like name, or "" if none is near
// enough to be a slip of the fingers. Of equally near ones the first wins.
func Nearest(name string, known []string) string {
	best, bestCost := "", 1+max(1, len(name)/3)
	for _, k := range known {
		cost := distance(strings.ToLower(name), strings.ToLower(k))
		if cost > 0 && strings.HasPrefix(k, name) && name != "" {
			cost = 1
		}
		if cost < bestCost {
			best, bestCost = k, cost
		}
	}
	return best
}

// distance counts the insertions, deletions, replacements and swaps of
// neighbours that turn a into b.
func distance(a, b string) int {
	prev2 := make([]int, len(b)+1)
	prev := make([]int, len(b)+1)
	cur := make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		cur[0] = i
		for j := 1; j <= len(b); j++ {
			replace := prev[j-1]
			if a[i-1] != b[j-1] {
				replace++
			}
			cur[j] = min(prev[j]+1, cur[j-1]+1, replace)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				cur[j] = min(cur[j], prev2[j-2]+1)
			}
		}
		prev2, prev, cur = prev, cur, prev2
	}
	return prev[len(b)]
}
