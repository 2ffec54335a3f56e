//go:build linux

package nft

import (
	"maps"
	"strconv"
	"strings"

	"github.com/netpol-project/netpol/pkg/enforce/ruleset"
)

// names maps a ruleset's names to the kernel's. A rebuild makes everything
// anew beside what is there, so its names carry a generation: "pods" is
// "pods.g2" after the second. Base chains and external sets are kept across
// rebuilds, under the name that they have.
type names struct {
	suffix string
	kept   map[string]string
}

func (n names) kernel(name string) string {
	if kept, ok := n.kept[name]; ok {
		return kept
	}
	return name + n.suffix
}

// with are the names after new chains and sets: what a later rebuild keeps
// has no generation.
func (n names) with(chains []*ruleset.Chain, sets []*ruleset.Set) names {
	next := names{suffix: n.suffix, kept: n.kept}
	keep := func(name string) {
		if _, known := next.kept[name]; known {
			return
		}
		if len(next.kept) == len(n.kept) {
			next.kept = maps.Clone(n.kept)
		}
		next.kept[name] = name
	}
	for _, chain := range chains {
		if chain.Hook != nil {
			keep(chain.Name)
		}
	}
	for _, set := range sets {
		if set.External {
			keep(set.Name)
		}
	}
	return next
}

const generationMark = ".g"

// generation splits a kernel name; without a mark the generation is 0.
func generation(kernel string) (name string, number int) {
	i := strings.LastIndex(kernel, generationMark)
	if i < 0 {
		return kernel, 0
	}
	number, err := strconv.Atoi(kernel[i+len(generationMark):])
	if err != nil || number < 1 {
		return kernel, 0
	}
	return kernel[:i], number
}

func suffixOf(number int) string {
	if number == 0 {
		return ""
	}
	return generationMark + strconv.Itoa(number)
}
