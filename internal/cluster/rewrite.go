package cluster

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"

	"go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utiljson "k8s.io/apimachinery/pkg/util/json"
)

// rewrite renders a document anew with object in place of what it held (item
// is the index in a List, -1 for the document itself), keeping comments, the
// order of keys and the style of indentation. A nil object removes the item.
// Elements that are new in a list get their comments, where the document can have
// some.
func rewrite(raw []byte, item int, object map[string]any, comments Comments) ([]byte, error) {
	body := bytes.TrimLeft(raw, " \t\r\n")
	if len(body) > 0 && body[0] == '{' && json.Valid(body) {
		return rewriteJSON(body, item, object)
	}
	var root yaml.Node
	if err := yaml.Unmarshal(raw, &root); err != nil || len(root.Content) != 1 {
		return nil, fmt.Errorf("the document can't be edited: %w", err)
	}
	before := nodesOf(&root)
	if item < 0 {
		root.Content[0] = mergeNode(root.Content[0], object)
	} else if err := mergeItem(root.Content[0], item, object); err != nil {
		return nil, err
	}
	if object != nil {
		comments.write(root.Content[0], item, before)
	}
	out, err := encode(&root, indentOf(raw))
	if err != nil {
		return nil, err
	}
	return append(head(raw), out...), nil
}

// head is what stands before a document's content and is no part of it for the
// parser: directives and the marker itself.
func head(raw []byte) []byte {
	var out []byte
	for rest := raw; len(rest) > 0; {
		line, tail, _ := bytes.Cut(rest, []byte("\n"))
		if marks(line, "---") {
			return append(out, "---\n"...)
		}
		if t := bytes.TrimSpace(line); len(t) > 0 && t[0] == '%' {
			out = append(append(out, line...), '\n')
		}
		rest = tail
	}
	return nil
}

func mergeItem(list *yaml.Node, item int, object map[string]any) error {
	for i := 0; i+1 < len(list.Content); i += 2 {
		if list.Content[i].Value != "items" || list.Content[i+1].Kind != yaml.SequenceNode {
			continue
		}
		items := list.Content[i+1]
		if item >= len(items.Content) {
			break
		}
		if object == nil {
			items.Content = slices.Delete(items.Content, item, item+1)
		} else {
			items.Content[item] = mergeNode(items.Content[item], object)
		}
		return nil
	}
	return fmt.Errorf("the list has no item %d", item)
}

func rewriteJSON(body []byte, item int, object map[string]any) ([]byte, error) {
	var root any = object
	if item >= 0 {
		u, err := decodeObject(body)
		if err != nil {
			return nil, err
		}
		items, _ := u.Object["items"].([]any)
		if item >= len(items) {
			return nil, fmt.Errorf("the list has no item %d", item)
		}
		if object == nil {
			u.Object["items"] = slices.Delete(items, item, item+1)
		} else {
			items[item] = object
		}
		root = u.Object
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	err := enc.Encode(root)
	return out.Bytes(), err
}

// decodeObject reads JSON with whole numbers as int64, as Kubernetes does.
func decodeObject(js []byte) (*unstructured.Unstructured, error) {
	var m map[string]any
	if err := utiljson.Unmarshal(js, &m); err != nil {
		return nil, err
	}
	return &unstructured.Unstructured{Object: m}, nil
}

// indentation is how a document is indented.
type indentation struct {
	spaces  int
	compact bool // list items are not indented below their key
}

var (
	nestedKey = regexp.MustCompile(`(?m)^( +)[^ #\-\n]`)
	listItem  = regexp.MustCompile(`(?m)^( *)[^ #\-\n][^\n]*:[ \t]*(?:#[^\n]*)?\n(?:[ \t]*(?:#[^\n]*)?\n)*( *)- `)
)

// indentOf tells the style of a document from its first nested key and its
// first list.
func indentOf(raw []byte) indentation {
	in := indentation{spaces: 2, compact: true}
	if m := nestedKey.FindSubmatch(raw); m != nil && len(m[1]) <= 8 {
		in.spaces = max(2, len(m[1]))
	}
	if m := listItem.FindSubmatch(raw); m != nil {
		in.compact = len(m[1]) == len(m[2])
	}
	return in
}

func encode(node *yaml.Node, in indentation) ([]byte, error) {
	var out bytes.Buffer
	enc := yaml.NewEncoder(&out)
	enc.SetIndent(in.spaces)
	if in.compact {
		enc.CompactSeqIndent()
	}
	if err := enc.Encode(node); err != nil {
		return nil, err
	}
	err := enc.Close()
	return out.Bytes(), err
}
