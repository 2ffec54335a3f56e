package policy

import (
	"slices"
	"strings"
)

// nearest is the candidate that word was probably meant to be: the one with
// the fewest edits, if they are few for its length; else "".
func nearest(word string, candidates []string) string {
	best, bestDist := "", 1+max(1, len(word)/3)
	if len(word) > 64 {
		return ""
	}
	for _, c := range candidates {
		if d := distance(strings.ToLower(word), strings.ToLower(c)); d < bestDist {
			best, bestDist = c, d
		}
	}
	return best
}

// distance counts the insertions, deletions, replacements and swaps of
// neighbours that make b of a.
func distance(a, b string) int {
	if len(b) > 64 {
		return 64
	}
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}

// didYouMean is the fix for an unknown word: the nearest known one, or all of
// them where there are few.
func didYouMean(word string, known []string) string {
	if n := nearest(word, known); n != "" {
		return "did you mean " + n + "?"
	}
	if len(known) <= 8 {
		return "use one of " + strings.Join(known, ", ")
	}
	return ""
}

// otherAPI is what a field is called where another API's manifest was begun
// with: Kubernetes' policies and v3 ones are easily mixed up.
var otherAPI = map[string][]string{
	"podSelector": {"selector"}, "selector": {"podSelector"}, "policyTypes": {"types"}, "types": {"policyTypes"},
	"from": {"source"}, "to": {"destination"}, "source": {"from"}, "destination": {"to"},
	"ipBlock": {"nets", "networks"}, "cidr": {"nets"}, "nets": {"ipBlock", "networks"}, "networks": {"nets", "ipBlock"},
	"namespaces": {"namespaceSelector"}, "priority": {"order"}, "order": {"priority"},
}

// globalOnly are fields that policies without a namespace alone have.
var globalOnly = []string{"applyOnForward", "doNotTrack", "namespaceSelector", "preDNAT"}

// fixField is the fix for a field that s does not have.
func (s *schema) fixField(key string) string {
	for _, name := range otherAPI[key] {
		if slices.Contains(s.names, name) {
			return "this kind has " + name + " instead"
		}
	}
	if slices.Contains(globalOnly, key) && slices.Contains(s.names, "serviceAccountSelector") {
		return "only a GlobalNetworkPolicy has it"
	}
	return didYouMean(key, s.names)
}
