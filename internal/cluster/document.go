package cluster

import (
	"bytes"
	"hash/fnv"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/netpol-project/netpol/pkg/policy"
)

// document is one document of a file. List documents hold many resources.
type document struct {
	raw []byte
	// edited is the text to write instead of raw; removed leaves it out.
	edited  []byte
	removed bool
	// was is the version of the text as it was read, once it is edited.
	was    string
	parsed bool
	object *unstructured.Unstructured // nil if it is none
	items  []*unstructured.Unstructured
}

// versionPrefix tells our resourceVersions from those of a server.
const versionPrefix = "text-"

// version is a hash of the document's text as it was read. Items of a List have one
// text, and several of them may be changed at once.
func (d *document) version() string {
	if d.was != "" {
		return d.was
	}
	h := fnv.New64a()
	h.Write(d.raw)
	return versionPrefix + strconv.FormatUint(h.Sum64(), 16)
}

// span is a document's bytes in a file.
type span struct{ start, end int }

// splitDocuments cuts a file at the lines that begin a document ("---") or
// end one ("..."). YAML allows no such line inside a value. Every byte is in
// one span.
func splitDocuments(data []byte) []span {
	var out []span
	start := 0
	content := false // the span has more than comments and directives so far
	for pos := 0; pos < len(data); {
		end := len(data)
		if i := bytes.IndexByte(data[pos:], '\n'); i >= 0 {
			end = pos + i + 1
		}
		line := data[pos:end]
		switch {
		case marks(line, "---"):
			// Comments and %directives above the first "---" stay with it.
			if content {
				out, start = append(out, span{start, pos}), pos
			}
			content = true
		case marks(line, "..."):
			out, start, content = append(out, span{start, end}), end, false
		default:
			if t := bytes.TrimSpace(line); len(t) > 0 && t[0] != '#' && t[0] != '%' {
				content = true
			}
		}
		pos = end
	}
	if start < len(data) {
		out = append(out, span{start, len(data)})
	}
	return out
}

func marks(line []byte, marker string) bool {
	rest, ok := bytes.CutPrefix(line, []byte(marker))
	return ok && (len(rest) == 0 || strings.IndexByte(" \t\r\n", rest[0]) >= 0)
}

// parse fills in the document's objects. What is no resource has none: faults
// are for Snapshot to tell.
func (d *document) parse() {
	if d.parsed {
		return
	}
	d.parsed = true
	d.object, d.items = parseObjects(d.raw)
}

// parseObjects reads one document: an object, or the items of a List. Both are
// nil for what is no resource.
func parseObjects(raw []byte) (object *unstructured.Unstructured, items []*unstructured.Unstructured) {
	m, err := policy.ReadObject(raw)
	if err != nil {
		return nil, nil
	}
	u := &unstructured.Unstructured{Object: m}
	if u.GetKind() == "" {
		return nil, nil
	}
	list, isList := u.Object["items"].([]any)
	if !isList || !strings.HasSuffix(u.GetKind(), "List") {
		return u, nil
	}
	itemKind := strings.TrimSuffix(u.GetKind(), "List")
	items = make([]*unstructured.Unstructured, len(list))
	for i, v := range list {
		m, ok := v.(map[string]any)
		if !ok {
			continue
		}
		items[i] = &unstructured.Unstructured{Object: m}
		// A typed list's items may leave out what the list's kind says.
		if items[i].GetKind() == "" && itemKind != "" {
			items[i] = items[i].DeepCopy()
			items[i].SetKind(itemKind)
			items[i].SetAPIVersion(u.GetAPIVersion())
		}
	}
	return nil, items
}

// Objects are the resources of a file's text, Lists unfolded. What is no
// resource is left out: policy.Decode tells what is wrong with it.
func Objects(data []byte) []*unstructured.Unstructured {
	var out []*unstructured.Unstructured
	for _, s := range splitDocuments(data) {
		object, items := parseObjects(data[s.start:s.end])
		for _, u := range append(items, object) {
			if u != nil {
				out = append(out, u)
			}
		}
	}
	return out
}

func startsDocument(part []byte) bool {
	for len(part) > 0 {
		line, rest, _ := bytes.Cut(part, []byte("\n"))
		if marks(line, "---") {
			return true
		}
		if t := bytes.TrimSpace(line); len(t) > 0 && t[0] != '#' && t[0] != '%' {
			return false
		}
		part = rest
	}
	return false
}

func ensureNewline(b []byte) []byte {
	if len(b) > 0 && b[len(b)-1] != '\n' {
		return append(b, '\n')
	}
	return b
}

func hasContent(raw []byte) bool {
	for _, line := range bytes.Split(raw, []byte("\n")) {
		l := bytes.TrimSpace(line)
		if len(l) > 0 && l[0] != '#' && l[0] != '%' && !marks(l, "---") && !marks(l, "...") {
			return true
		}
	}
	return false
}
