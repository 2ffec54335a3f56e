package install

import (
	"bytes"
	"fmt"
	"text/template"
)

// dialect is how the sources' functions write settings: as what they are, or
// as what Helm puts in their place.
type dialect interface {
	// on says whether what depends on a setting is written at all.
	on(path string) (bool, error)
	// open and end enclose what depends on a setting.
	open(path string) string
	// unless encloses what stands there without the setting; off says whether
	// that is written at all.
	off(path string) (bool, error)
	unless(path string) string
	each(path string) string
	end() string
	// value is a quoted string, raw the same without quotes, pick one of two
	// words for yes and no.
	value(path string) (string, error)
	raw(path string) (string, error)
	pick(path, yes, no string) (string, error)
	// items are quoted, tree is a map or list on lines of its own, list the
	// same that goes on with a list.
	items(path string) ([]string, error)
	tree(path string, indent int) (string, error)
	list(path string, indent int) (string, error)
}

// expand fills in one of the sources.
func expand(name string, d dialect) ([]byte, error) {
	text, err := sources.ReadFile(name)
	if err != nil {
		return nil, err
	}
	t, err := template.New(name).Delims("[[", "]]").Funcs(template.FuncMap{
		"labels": labels,
		"on":     d.on, "off": d.off, "unless": d.unless, "open": d.open, "each": d.each, "close": d.end,
		"value": d.value, "raw": d.raw, "pick": d.pick,
		"items": d.items, "tree": d.tree, "list": d.list,
	}).Parse(string(text))
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := t.Execute(&out, nil); err != nil {
		return nil, err
	}
	return append(bytes.TrimSpace(out.Bytes()), '\n'), nil
}

// labels are those that everything has, as lines that go on with more.
func labels(component string, indent int) string {
	out := ""
	for _, l := range [][2]string{{LabelComponent, component}, {LabelManagedBy, Ours}, {LabelPartOf, Ours}} {
		if l[1] != "" {
			out += fmt.Sprintf("\n%*s%s: %s", indent, "", l[0], l[1])
		}
	}
	return out
}
