package cmd

import (
	"slices"
	"strings"

	"github.com/netpol-project/netpol/pkg/policy"
)

// withKind reads KIND/NAME and KIND/NAMESPACE/NAME, where KIND is a word that
// get knows for some of kinds: the kinds left, and the rest of arg. Where a
// namespace has that name, it is meant.
func (w *world) withKind(kinds []policy.Kind, arg string) ([]policy.Kind, string) {
	word, rest, ok := strings.Cut(arg, "/")
	if !ok || w.snap.Namespace(word) != nil {
		return kinds, arg
	}
	n, err := findNoun(word, "")
	if err != nil {
		return kinds, arg
	}
	left := slices.DeleteFunc(slices.Clone(kinds), func(k policy.Kind) bool { return !slices.Contains(n.kinds, k) })
	if len(left) == 0 {
		return kinds, arg
	}
	return left, rest
}

// findStaged is the key of a staged policy by NAME, NAMESPACE/NAME, KIND/NAME or
// KIND/NAMESPACE/NAME.
func findStaged(snap *policy.Snapshot, arg, namespace string) (policy.Key, error) {
	w := &world{snap: snap}
	for _, p := range snap.Policies {
		w.keys = append(w.keys, p.Key)
	}
	return w.find("staged policy", stagedKinds, arg, namespace)
}

// onlyOne is the namespace given, if it is one.
func onlyOne(namespaces []string) string {
	if len(namespaces) == 1 {
		return namespaces[0]
	}
	return ""
}
