package kube

import (
	"encoding/json"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/netpol-project/netpol/internal/cluster"
)

// owner is a manager of fields of an object, as metadata.managedFields has it:
// fields is the tree of those it has, keys prefixed with "f:".
type owner struct {
	manager string
	applies bool // by server-side apply, else by updates
	fields  map[string]any
}

// ownersOf are the managers of an object's fields, but for subresources.
func ownersOf(u *unstructured.Unstructured) []owner {
	var out []owner
	for _, m := range u.GetManagedFields() {
		if m.Subresource != "" || m.FieldsV1 == nil {
			continue
		}
		o := owner{manager: m.Manager, applies: m.Operation == "Apply"}
		if json.Unmarshal(m.FieldsV1.GetRawBytes(), &o.fields) == nil {
			out = append(out, o)
		}
	}
	return out
}

// has says whether the manager has a field or anything in it.
func (o owner) has(path []string) bool {
	at := o.fields
	for _, key := range path {
		next, ok := at["f:"+key].(map[string]any)
		if !ok {
			return false
		}
		if len(next) == 0 {
			return true // the field is one whole
		}
		at = next
	}
	return true
}

// content is what of an object its author writes: labels and annotations, and
// everything but metadata and status.
func content(u *unstructured.Unstructured) map[string]any {
	out := map[string]any{}
	for k, v := range u.Object {
		switch k {
		case "apiVersion", "kind", "metadata", "status":
		default:
			out[k] = v
		}
	}
	meta := map[string]any{}
	if m, ok := u.Object["metadata"].(map[string]any); ok {
		for _, k := range []string{"labels", "annotations"} {
			if inner, ok := m[k].(map[string]any); ok && len(inner) > 0 {
				meta[k] = inner
			}
		}
	}
	if len(meta) > 0 {
		out["metadata"] = meta
	}
	return out
}

// edit is how an object is to become another one.
type edit struct {
	// config is what is to be applied: what differs, and what is ours already.
	config map[string]any
	// changed and removed are the fields that differ.
	changed, removed [][]string
}

// editOf compares an object as it is with what it should be. mine has the
// fields that we applied before.
func editOf(live, want *unstructured.Unstructured, mine []owner) edit {
	var e edit
	e.config = e.compare(content(live), content(want), nil, mine)
	return e
}

func (e *edit) compare(live, want map[string]any, path []string, mine []owner) map[string]any {
	config := map[string]any{}
	for k, w := range want {
		at := append(slices.Clone(path), k)
		l, there := live[k]
		lm, lok := l.(map[string]any)
		wm, wok := w.(map[string]any)
		if lok && wok && len(wm) > 0 {
			if sub := e.compare(lm, wm, at, mine); len(sub) > 0 {
				config[k] = sub
			}
			continue
		}
		same := there && cluster.SameValue(l, w)
		if !same {
			e.changed = append(e.changed, at)
		}
		if !same || slices.ContainsFunc(mine, func(o owner) bool { return o.has(at) }) {
			config[k] = w
		}
	}
	for k := range live {
		if _, stays := want[k]; !stays {
			e.removed = append(e.removed, append(slices.Clone(path), k))
		}
	}
	return config
}

// others are the managers but ours of some fields.
func others(owners []owner, manager string, paths [][]string) managed {
	out := managed{}
	for _, p := range paths {
		for _, o := range owners {
			if o.manager != manager && o.has(p) {
				out[o.manager] = append(out[o.manager], strings.Join(p, "."))
			}
		}
	}
	return out
}

// lets says whether applying without some fields removes them: the server
// removes those that nobody but we had applied.
func lets(owners []owner, manager string, paths [][]string) bool {
	for _, p := range paths {
		ours := false
		for _, o := range owners {
			if !o.has(p) {
				continue
			}
			if o.manager != manager || !o.applies {
				return false
			}
			ours = true
		}
		if !ours {
			return false
		}
	}
	return true
}
