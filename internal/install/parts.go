package install

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/netpol-project/netpol/internal/install/admission"
	"github.com/netpol-project/netpol/internal/install/crd"
)

// CRDs are the definitions of the kinds that policies are.
func CRDs() []*unstructured.Unstructured { return labelled(crd.CRDs()) }

// labelled marks objects as ours.
func labelled(objects []*unstructured.Unstructured) []*unstructured.Unstructured {
	for _, u := range objects {
		l := u.GetLabels()
		if l == nil {
			l = map[string]string{}
		}
		l[LabelPartOf], l[LabelManagedBy] = Ours, Ours
		u.SetLabels(l)
	}
	return objects
}

// part is one file of the manifests: written by hand, or made by another
// package, which knows no settings.
type part struct {
	name string // its number says when it is applied
	made func() []*unstructured.Unstructured
}

// parts are all of them in the order in which they are applied. Policies come
// before what judges policies: an API server needs a moment to load that. What
// holds agents to their task comes before their rights.
func parts() ([]part, error) {
	out := []part{
		{name: "05-agent-admission.yaml", made: admission.Guards},
		{name: "35-policies-rbac.yaml", made: admission.Roles},
		{name: "55-policies-admission.yaml", made: admission.Objects},
	}
	entries, err := sources.ReadDir("manifests")
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		out = append(out, part{name: e.Name()})
	}
	slices.SortFunc(out, func(a, b part) int { return strings.Compare(a.name, b.name) })
	return out, nil
}

func (p part) text(d dialect) ([]byte, error) {
	if p.made == nil {
		return expand("manifests/"+p.name, d)
	}
	text, err := Encode(labelled(p.made()))
	if err == nil && bytes.Contains(text, []byte("{{")) {
		return nil, fmt.Errorf("%s: Helm would take {{ for its own", p.name)
	}
	return text, err
}

// file is the part's name without its number.
func (p part) file() string { return p.name[strings.Index(p.name, "-")+1:] }
