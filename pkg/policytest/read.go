package policytest

import (
	"fmt"
	"strings"

	"github.com/netpol-project/netpol/pkg/policy"
)

// Parse reads the tests of a file of YAML or JSON documents. Documents of other
// kinds are passed over, so that tests may lie beside manifests. A test with
// faults is not in the result.
func Parse(file string, data []byte) ([]*Test, policy.Faults) {
	docs, faults := policy.Documents(file, data)
	var out []*Test
	for _, d := range docs {
		if !isTest(d) {
			continue
		}
		r := &reader{doc: d}
		t := r.test()
		found := append(d.Faults(), r.faults...)
		if len(found) == 0 {
			out = append(out, t)
		}
		faults = append(faults, found...)
	}
	return out, faults
}

// isTest says whether a document is meant to be a test: a slip in the version
// or kind is to be told and not passed over.
func isTest(d *policy.Document) bool {
	root := d.Root()
	if !root.IsMap() {
		return false
	}
	group, _, _ := strings.Cut(APIVersion, "/")
	api, kind := plain(root.Get("apiVersion")), plain(root.Get("kind"))
	ours := api == group || strings.HasPrefix(api, group+"/")
	return kind == Kind || ours && (kind == "" || strings.Contains(strings.ToLower(kind), "test"))
}

// plain is the text of a scalar, "" for anything else, without a fault.
func plain(v policy.Value) string {
	if v.IsMap() || v.IsList() {
		return ""
	}
	return v.Scalar()
}

// reader reads one document.
type reader struct {
	doc *policy.Document
	// faults are those of several values together; others the document has.
	faults policy.Faults
}

var testFields = []string{"apiVersion", "kind", "metadata", "resources", "scope", "default", "namespaces", "cases"}

func (r *reader) test() *Test {
	root := r.doc.Root()
	t := &Test{Origin: root.Origin()}
	if root.Get("apiVersion").OneOf(APIVersion) == "" || root.Get("kind").OneOf(Kind) == "" {
		if !root.Get("kind").Given() {
			root.Fault("the document has no kind", "add kind: "+Kind)
		}
		return t
	}
	meta := root.Get("metadata")
	if meta.Given() && meta.Check("name", "labels", "annotations") {
		t.Name = meta.Get("name").Text()
	}
	r.doc.SetKey(policy.Key{Kind: Kind, Name: t.Name})
	if t.Name == "" {
		root.Fault("the test has no name", "add metadata.name")
	}
	root.Check(testFields...)
	for _, v := range root.Get("resources").Items() {
		if text := r.required(v); text != "" {
			t.Resources = append(t.Resources, Path{text, v.Origin()})
		}
	}
	t.Scope = r.scope(root.Get("scope"))
	t.Default, t.DefaultOrigin = action(root.Get("default")), root.Get("default").Origin()
	for _, v := range root.Get("namespaces").Items() {
		t.Namespaces = append(t.Namespaces, r.required(v))
	}
	if len(t.Namespaces) > 0 && t.Default == 0 {
		root.Get("namespaces").Fault("these are the namespaces that default is about, and there is no default", "add default: deny")
	}
	r.cases(root.Get("cases"), t)
	return t
}

// required is a text that must not be empty.
func (r *reader) required(v policy.Value) string {
	text := v.Text()
	if text == "" && v.Given() && !v.IsMap() && !v.IsList() {
		v.Fault("expected a text that is not empty", "")
	}
	return text
}

func (r *reader) scope(v policy.Value) Scope {
	s := Scope{Origin: v.Origin()}
	switch {
	case !v.Given():
	case v.IsMap():
		v.Check("only")
		s.Only = r.required(v.Get("only"))
		if !v.Get("only").Given() {
			v.Fault("which staged policy is to count?", "add only: NAME, or say enforced or pending")
		}
	default:
		s.Pending = v.OneOf("enforced", "pending") == "pending"
	}
	return s
}

// action is Allow or Deny; 0 if it is not given.
func action(v policy.Value) policy.Action {
	switch v.OneOf("allow", "deny") {
	case "allow":
		return policy.Allow
	case "deny":
		return policy.Deny
	}
	return 0
}

func (r *reader) cases(list policy.Value, t *Test) {
	switch {
	case list.Given() && !list.IsList():
		list.Fault("expected a list of cases", "begin each case with - in its own line")
		return
	case len(list.Items()) == 0 && t.Default == 0:
		r.doc.Root().Fault("the test has no cases", "add cases: with from, to, port and expect, or default: deny")
	}
	names := map[string]policy.Origin{}
	for _, v := range list.Items() {
		c, ok := r.oneCase(v)
		if !ok {
			continue
		}
		if before, twice := names[c.Name]; twice {
			where := v
			if v.Get("name").Given() {
				where = v.Get("name")
			}
			where.Fault(fmt.Sprintf("another case has the name %q, at %s", c.Name, before), "give each its own")
		}
		names[c.Name] = c.Origin
		t.Cases = append(t.Cases, c)
	}
}
