package cluster

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/netpol-project/netpol/pkg/policy"
)

// text is a file of manifests as text, for reading and editing: a run of
// documents, each with its bytes from its "---" to the next.
type text struct {
	path  string
	stamp stamp
	data  []byte // as read; nil for a file that is to be made
	docs  []*document
}

// readText reads a file for editing. A file that is not there is empty.
func readText(path string) (*text, error) {
	data, st, err := readFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return &text{path: path}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	t := &text{path: path, stamp: st, data: data}
	for _, s := range splitDocuments(data) {
		t.docs = append(t.docs, &document{raw: data[s.start:s.end]})
	}
	return t, nil
}

// found is where a resource is in a text: its document and, in a List, item.
type found struct {
	doc    *document
	item   int // -1: the document itself
	object *unstructured.Unstructured
}

// find looks a resource up; nil if it is not there.
func (t *text) find(key policy.Key) *found {
	for _, d := range t.docs {
		if d.removed || !bytes.Contains(d.raw, []byte(key.Name)) {
			continue // cheaper than parsing: the name is in the text
		}
		d.parse()
		if d.object != nil && KeyOf(d.object) == key {
			return &found{doc: d, item: -1, object: d.object}
		}
		for i, u := range d.items {
			if u != nil && KeyOf(u) == key {
				return &found{doc: d, item: i, object: u}
			}
		}
	}
	return nil
}

// version is the resourceVersion of what was found: that of its document.
func (f *found) version() string { return f.doc.version() }

// bytes is the text with its edits.
func (t *text) bytes() []byte {
	var out []byte
	for _, d := range t.docs {
		part := d.raw
		switch {
		case d.removed:
			continue
		case d.edited != nil:
			part = d.edited
		}
		// A document that followed one without a marker needs one now, and
		// one that came to be the first needs none.
		if len(out) > 0 && !startsDocument(part) && !bytes.HasSuffix(out, []byte("...\n")) {
			out = append(ensureNewline(out), "---\n"...)
		}
		out = append(out, part...)
	}
	return out
}

// empty says whether no document with content is left.
func (t *text) empty() bool {
	for _, d := range t.docs {
		if d.removed {
			continue
		}
		if d.edited != nil || hasContent(d.raw) {
			return false
		}
	}
	return true
}
