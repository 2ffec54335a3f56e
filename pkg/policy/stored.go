package policy

import (
	"encoding/json"
	"strings"
)

// Calico keeps its resources as crd.projectcalico.org/v1, with the spec of v3.
// The metadata of the v3 resource may be in an annotation, and a policy's name
// has its tier in front there. Who writes manifests from a backup has those.

// storedMetadata is the annotation with the v3 resource's metadata, as JSON.
const storedMetadata = "projectcalico.org/metadata"

// StoredName is the name in v3 of a resource of that kind that is kept under
// name, with these annotations.
func StoredName(kind Kind, name string, annotations map[string]string) string {
	var meta struct {
		Name string `json:"name"`
	}
	if json.Unmarshal([]byte(annotations[storedMetadata]), &meta) == nil && meta.Name != "" {
		return meta.Name
	}
	return withoutTier(kind, name)
}

// withoutTier is the name of a policy without the default tier's in front.
// Names of policies in other tiers have theirs in v3, too.
func withoutTier(kind Kind, name string) string {
	switch kind.Enforced() {
	case KindNetworkPolicy, KindGlobalNetworkPolicy, KindKubernetesNetworkPolicy:
		return strings.TrimPrefix(name, "default.")
	}
	return name
}

// stored is the reader of a resource in the form in which Calico keeps it; nil
// if api is of another form.
func (r *reading) stored(api, kind *node) *reader {
	if api.text != groupCalicoCRD+"/v1" {
		return nil
	}
	rd, ok := readers[[2]string{groupCalico + "/v3", kind.text}]
	if !ok {
		return nil
	}
	r.key.Kind = rd.kind
	r.fault(api, Fault{Code: CodeOldVersion, Warning: true,
		Reason: "this is the form in which Calico stores resources; it is read like the public one", Fix: "write projectcalico.org/v3"})
	r.publicMetadata()
	return &rd
}

// publicMetadata puts the metadata of the v3 resource in place of the stored
// one.
func (r *reading) publicMetadata() {
	meta := r.root.get("metadata")
	if meta == nil || meta.kind != isMap {
		return
	}
	if name := meta.get("name"); name != nil && name.kind == isString {
		name.text = withoutTier(r.key.Kind, name.text)
	}
	note := meta.at("annotations", storedMetadata)
	if note == nil || note.kind != isString {
		return
	}
	public, err := parseJSON([]byte(note.text), int(note.line))
	if err != nil || public.kind != isMap {
		r.fault(note, Fault{Code: CodeSyntax, Reason: "expected the metadata of the v3 resource as JSON", Fix: "remove the annotation"})
		return
	}
	public.moveTo(note.line, note.col)
	for _, key := range []string{"name", "namespace", "labels"} {
		if v := public.get(key); v != nil {
			meta.put(key, *v)
		}
	}
}

// moveTo gives n and all in it one place.
func (n *node) moveTo(line, col int32) {
	n.line, n.col = line, col
	for i := range n.kids {
		n.kids[i].line, n.kids[i].col = line, col
		n.kids[i].node.moveTo(line, col)
	}
}

// put sets a key of a mapping.
func (n *node) put(key string, v node) {
	for i := range n.kids {
		if n.kids[i].key == key {
			n.kids[i].node = v
			return
		}
	}
	n.kids = append(n.kids, entry{key: key, line: v.line, col: v.col, node: v})
}
