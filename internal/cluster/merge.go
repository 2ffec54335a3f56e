package cluster

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"

	"go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utiljson "k8s.io/apimachinery/pkg/util/json"
)

// rewrite renders a document anew with object in place of what it held (item
// is the index in a List, -1 for the document itself), keeping comments, the
// order of keys and the style of indentation. A nil object removes the item.
func rewrite(raw []byte, item int, object map[string]any) ([]byte, error) {
	body := bytes.TrimLeft(raw, " \t\r\n")
	if len(body) > 0 && body[0] == '{' && json.Valid(body) {
		return rewriteJSON(body, item, object)
	}
	var root yaml.Node
	if err := yaml.Unmarshal(raw, &root); err != nil || len(root.Content) != 1 {
		return nil, fmt.Errorf("the document can't be edited: %w", err)
	}
	if item < 0 {
		root.Content[0] = mergeNode(root.Content[0], object)
	} else if err := mergeItem(root.Content[0], item, object); err != nil {
		return nil, err
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

// mergeNode makes node say value, and changes no more of it than that takes.
func mergeNode(node *yaml.Node, value any) *yaml.Node {
	var old any
	if err := node.Decode(&old); err == nil && same(old, value) {
		return node
	}
	switch v := value.(type) {
	case map[string]any:
		if node.Kind == yaml.MappingNode && !usesMerge(node) {
			mergeMapping(node, v)
			return node
		}
	case []any:
		if node.Kind == yaml.SequenceNode {
			mergeSequence(node, v)
			return node
		}
	}
	fresh := toNode(value)
	fresh.HeadComment, fresh.LineComment, fresh.FootComment = node.HeadComment, node.LineComment, node.FootComment
	return fresh
}

// usesMerge says whether a mapping takes keys over from another ("<<"); such a
// one is written out in full.
func usesMerge(node *yaml.Node) bool {
	for i := 0; i < len(node.Content); i += 2 {
		if node.Content[i].Value == "<<" {
			return true
		}
	}
	return false
}

func mergeMapping(node *yaml.Node, value map[string]any) {
	var content []*yaml.Node
	left := maps.Clone(value)
	for i := 0; i+1 < len(node.Content); i += 2 {
		key := node.Content[i]
		v, ok := left[key.Value]
		if !ok {
			continue
		}
		delete(left, key.Value)
		content = append(content, key, mergeNode(node.Content[i+1], v))
	}
	for _, k := range sortedKeys(left) {
		at := placeOf(content, k)
		content = slices.Insert(content, at, scalar(k), toNode(left[k]))
	}
	node.Content = content
	if len(content) > 0 && node.Style == yaml.FlowStyle && len(value) == 0 {
		node.Style = 0
	}
}

// placeOf is where a new key goes: before the first key that usually follows
// it, else to the end.
func placeOf(content []*yaml.Node, key string) int {
	if rank := ranks[key]; rank < 0 {
		for i := 0; i < len(content); i += 2 {
			if ranks[content[i].Value] > rank {
				return i
			}
		}
	}
	return len(content)
}

// mergeSequence keeps the nodes of elements that stay, and merges those in
// between pair by pair.
func mergeSequence(node *yaml.Node, values []any) {
	old := make([]any, len(node.Content))
	for i, n := range node.Content {
		if n.Decode(&old[i]) != nil {
			old[i] = nil
		}
	}
	kept := common(old, values)
	var out []*yaml.Node
	i, j := 0, 0
	fill := func(untilOld, untilNew int) {
		for ; j < untilNew; i, j = i+1, j+1 {
			if i < untilOld {
				out = append(out, mergeNode(node.Content[i], values[j]))
			} else {
				out = append(out, toNode(values[j]))
			}
		}
		i, j = untilOld, untilNew
	}
	for _, k := range kept {
		fill(k[0], k[1])
		out = append(out, node.Content[k[0]])
		i, j = i+1, j+1
	}
	fill(len(old), len(values))
	node.Content = out
}

// common is a longest common subsequence of two lists, as pairs of indexes.
func common(a, b []any) [][2]int {
	length := make([][]int, len(a)+1)
	for i := range length {
		length[i] = make([]int, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if same(a[i], b[j]) {
				length[i][j] = length[i+1][j+1] + 1
			} else {
				length[i][j] = max(length[i+1][j], length[i][j+1])
			}
		}
	}
	var out [][2]int
	for i, j := 0, 0; i < len(a) && j < len(b); {
		switch {
		case same(a[i], b[j]):
			out = append(out, [2]int{i, j})
			i, j = i+1, j+1
		case length[i+1][j] >= length[i][j+1]:
			i++
		default:
			j++
		}
	}
	return out
}

// same compares values by their JSON, so that 1, int64(1) and 1.0 are one.
func same(a, b any) bool {
	if reflect.DeepEqual(a, b) {
		return true
	}
	ja, errA := json.Marshal(a)
	jb, errB := json.Marshal(b)
	return errA == nil && errB == nil && bytes.Equal(ja, jb)
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
