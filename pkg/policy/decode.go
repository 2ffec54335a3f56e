package policy

import (
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Resource is one resource of a document.
type Resource struct {
	Key    Key
	Origin Origin
	// Value is a *Policy, *Tier, *Namespace, *Service, *Endpoint (a pod),
	// *Idle (a pod that is no endpoint, S12), or *Template (what makes pods).
	// It is nil for kinds that no verdict depends on (their Key.Kind carries
	// the API group: "Ingress.networking.k8s.io"), and for what has faults and
	// no form that is safe to enforce.
	Value any
}

// Decoder decodes documents and shares what is the same in them: strings and
// sets of labels. It is safe for use by several goroutines; a source of
// resources keeps one for as long as it lives.
type Decoder struct {
	// Home is the namespace of what lives in one and names none; empty:
	// default.
	Home string

	shared  interner
	parsers sync.Pool // of *fastParser
	servers sync.Pool // of *servedParser
}

// NewDecoder returns a Decoder with nothing shared yet.
func NewDecoder() *Decoder { return &Decoder{} }

// Decode is Decoder.Decode with a Decoder of its own.
func Decode(file string, data []byte) ([]Resource, Faults) {
	return NewDecoder().Decode(file, data)
}

// Decode reads every resource of a file of YAML or JSON documents, Lists
// unfolded, and checks them. Faults has everything that is wrong with any of
// them, in the order of lines; a resource with faults is in the result too.
//
// A policy that is enforced must not vanish because of a fault, since that
// would open what it closes. Its Value is then what can be said of it with
// every unknown part taken to the closed side (S4): see policyReader. Pods and
// all else that rules speak of (namespaces, service accounts, Services and their
// endpoints, network sets, host endpoints) keep what could be read, for the same
// reason. Staged policies and everything else with faults have no Value.
//
// The file's name goes into Origins only. Nothing of data is kept.
func (d *Decoder) Decode(file string, data []byte) ([]Resource, Faults) {
	var out []Resource
	var faults Faults
	fast, _ := d.parsers.Get().(*fastParser)
	if fast == nil {
		fast = &fastParser{}
	}
	defer func() {
		fast.in = "" // nothing of the document is kept
		d.parsers.Put(fast)
	}()
	for _, c := range split(data) {
		root, err := parse(c, fast)
		if err != nil {
			faults = append(faults, Fault{
				Origin: Origin{File: file, Line: err.line, Column: err.col}, Reason: err.msg, Code: CodeSyntax,
			})
			continue
		}
		if root.kind == isNull {
			continue
		}
		out, faults = d.document(file, root, out, faults)
	}
	return out, faults
}

// ValidateObject checks a resource that was made in memory, by the same rules
// as Decode; the value is as in Resource.
func ValidateObject(u *unstructured.Unstructured) (value any, faults Faults) {
	root := &node{}
	fromAny(u.Object, root)
	out, faults := NewDecoder().document("", root, nil, nil)
	if len(out) == 1 {
		value = out[0].Value
	}
	return value, faults
}

// document reads a resource, or each resource of a List.
func (d *Decoder) document(file string, root *node, out []Resource, faults Faults) ([]Resource, Faults) {
	r := &reading{dec: d, file: file, root: root}
	if root.kind != isMap {
		r.fault(root, Fault{Code: CodeNoResource, Reason: "expected a resource, got " + root.kind.String()})
		return out, append(faults, r.faults...)
	}
	kind, items := root.get("kind"), root.get("items")
	if kind != nil && items != nil && items.kind == isList && strings.HasSuffix(kind.text, "List") {
		return d.list(r, items, out, faults)
	}
	res, ok := r.resource()
	if ok {
		out = append(out, res)
	}
	r.sortFaults()
	return out, append(faults, r.faults...)
}

// list reads the items of a List. In a typed list (PodList) items may leave
// out what the list's own kind says.
func (d *Decoder) list(r *reading, items *node, out []Resource, faults Faults) ([]Resource, Faults) {
	r.twice(r.root)
	faults = append(faults, r.faults...)
	itemKind := strings.TrimSuffix(r.root.get("kind").text, "List")
	for i := range items.kids {
		item := &items.kids[i].node
		if item.kind == isMap && itemKind != "" && item.get("kind") == nil {
			item.kids = append(item.kids,
				entry{key: "kind", node: node{kind: isString, text: itemKind}})
			if v := r.root.get("apiVersion"); v != nil && item.get("apiVersion") == nil {
				item.kids = append(item.kids, entry{key: "apiVersion", node: *v})
			}
		}
		out, faults = d.document(r.file, item, out, faults)
	}
	return out, faults
}
