package cmd

import (
	"context"
	"fmt"
	"strings"

	"github.com/pmezard/go-difflib/difflib"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/netpol-project/netpol/internal/cluster"
	"github.com/netpol-project/netpol/pkg/recommend"
)

// patch is one edit as it is written.
type patch struct {
	edit   *recommend.FixEdit
	object *unstructured.Unstructured
	text   string
}

// newPatches are the edits beside what is stored.
func newPatches(ctx context.Context, store cluster.Store, res *recommend.FixResult) ([]patch, error) {
	out := make([]patch, len(res.Edits))
	for i, e := range res.Edits {
		p, err := newPatch(ctx, store, e)
		if err != nil {
			return nil, err
		}
		out[i] = p
	}
	return out, nil
}

func newPatch(ctx context.Context, store cluster.Store, e *recommend.FixEdit) (p patch, err error) {
	p.edit = e
	var before, after string
	if e.Base == nil {
		if p.object, err = e.Object(nil); err != nil {
			return p, err
		}
		after = strings.TrimSuffix(e.YAML(), "\n")
	} else {
		base, err := store.Get(ctx, e.Base.Key)
		if err != nil {
			return p, changeError(err)
		}
		if p.object, err = e.Object(base); err != nil {
			return p, err
		}
		if before, err = manifestText(base); err != nil {
			return p, err
		}
		if after, err = manifestText(p.object); err != nil {
			return p, err
		}
	}
	p.text, err = unifiedDiff(e, before, after)
	return p, err
}

// unifiedDiff is the edit as a patch from one text to another, of which the former
// is empty where the policy is new.
func unifiedDiff(e *recommend.FixEdit, before, after string) (string, error) {
	diff := difflib.UnifiedDiff{FromFile: "/dev/null", ToFile: e.Key.String(), B: difflib.SplitLines(after), Context: 3}
	if e.Base != nil {
		diff.FromFile, diff.A = e.Base.Key.String(), difflib.SplitLines(before)
	}
	text, err := difflib.GetUnifiedDiffString(diff)
	if err != nil {
		return "", fmt.Errorf("%s: %w", e.Key, err)
	}
	return text, nil
}

// manifestText is a resource as YAML, without what a server keeps for itself.
func manifestText(u *unstructured.Unstructured) (string, error) {
	u = u.DeepCopy()
	for _, field := range []string{"managedFields", "resourceVersion", "uid", "generation", "creationTimestamp"} {
		unstructured.RemoveNestedField(u.Object, "metadata", field)
	}
	data, err := yaml.Marshal(u.Object)
	if err != nil {
		return "", fmt.Errorf("%s %s: %w", u.GetKind(), u.GetName(), err)
	}
	return strings.TrimSuffix(string(data), "\n"), nil
}

func (p *patch) change() cluster.Change {
	// A policy that somebody else makes meanwhile is not overwritten.
	c := cluster.Change{Object: p.object, IfAbsent: p.edit.Base == nil || p.edit.Base.Key != p.edit.Key}
	if p.edit.Base == nil {
		c.Text = []byte(p.edit.YAML())
	}
	return c
}
