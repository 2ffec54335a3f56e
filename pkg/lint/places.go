package lint

import (
	"fmt"
	"slices"
	"strings"

	"github.com/netpol-project/netpol/pkg/policy"
)

// IgnoreAnnotation on a resource silences warnings about it: codes, separated
// by commas, or "all". Errors can't be silenced.
const IgnoreAnnotation = "netpol.dev/lint-ignore"

// Places finds fields in the files that resources were read from.
type Places struct {
	read  func(file string) ([]byte, error)
	files map[string]*policy.Locator
}

// NewPlaces gets files' texts by read. A file that can't be read any more is
// as if nothing were in it.
func NewPlaces(read func(file string) ([]byte, error)) *Places {
	return &Places{read: read, files: map[string]*policy.Locator{}}
}

func (p *Places) locator(file string) *policy.Locator {
	l := p.files[file]
	if l == nil {
		data, _ := p.read(file)
		l = policy.NewLocator(data)
		p.files[file] = l
	}
	return l
}

// Locate gives the faults of Check, which are at their resources, the places of
// their fields, and of policies of other forms the fields that those have. What is
// the same in the end, as of one peer with two protocols, is told once.
func (p *Places) Locate(faults policy.Faults) policy.Faults {
	var out policy.Faults
	seen := map[policy.Fault]bool{}
	for _, f := range faults {
		p.locate(&f)
		if !seen[f] {
			seen[f] = true
			out = append(out, f)
		}
	}
	return out
}

func (p *Places) locate(f *policy.Fault) {
	if f.Origin.Line == 0 {
		return
	}
	l, at := p.locator(f.Origin.File), f.Origin
	if form := formOf(f.Key.Kind); form != nil {
		f.Field = form.field(l, at, f.Field)
		f.Value = strings.ReplaceAll(strings.TrimPrefix(f.Value, podsOnly), `"`, "'")
	}
	place, text, found := l.Find(at, f.Field)
	f.Origin = place
	n := l.Len(at, f.Field)
	switch {
	case found && n == 0 && f.Value != "" && text != "":
		f.Value = text // as it is written
	case found && f.Value != "":
		// The last of those that are alike is the one to remove.
		for j := n - 1; j >= 0; j-- {
			item := fmt.Sprintf("%s[%d]", f.Field, j)
			if place, text, _ := l.Find(at, item); text == f.Value {
				f.Field, f.Origin = item, place
				break
			}
		}
	}
}

// podsOnly is what selectors of Kubernetes policies begin with, since those
// speak of pods only.
const podsOnly = policy.LabelOrchestrator + ` == "k8s" && `

// Heed leaves out the warnings that resources say are to be ignored. resource
// is where a resource begins.
func (p *Places) Heed(faults policy.Faults, resource func(policy.Key) policy.Origin) policy.Faults {
	ignored := map[policy.Key][]string{}
	return slices.DeleteFunc(slices.Clone(faults), func(f policy.Fault) bool {
		if !f.Warning {
			return false
		}
		codes, ok := ignored[f.Key]
		if !ok {
			codes = p.ignored(resource(f.Key))
			ignored[f.Key] = codes
		}
		return slices.Contains(codes, f.Code) || slices.Contains(codes, "all")
	})
}

func (p *Places) ignored(at policy.Origin) []string {
	if at.Line == 0 {
		return nil
	}
	_, value, _ := p.locator(at.File).Find(at, "metadata.annotations["+IgnoreAnnotation+"]")
	return strings.FieldsFunc(value, func(r rune) bool { return r == ',' || r == ' ' })
}
