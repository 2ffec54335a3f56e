package cluster

import (
	"bytes"
	"encoding/json"
	"maps"
	"reflect"
	"slices"

	"go.yaml.in/yaml/v3"
)

// mergeNode makes node say value, and changes no more of it than that takes.
func mergeNode(node *yaml.Node, value any) *yaml.Node {
	var old any
	if err := node.Decode(&old); err == nil && SameValue(old, value) {
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
			if SameValue(a[i], b[j]) {
				length[i][j] = length[i+1][j+1] + 1
			} else {
				length[i][j] = max(length[i+1][j], length[i][j+1])
			}
		}
	}
	var out [][2]int
	for i, j := 0, 0; i < len(a) && j < len(b); {
		switch {
		case SameValue(a[i], b[j]):
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

// SameValue compares values by their JSON, so that 1, int64(1) and 1.0 are one.
func SameValue(a, b any) bool {
	if reflect.DeepEqual(a, b) {
		return true
	}
	ja, errA := json.Marshal(a)
	jb, errB := json.Marshal(b)
	return errA == nil && errB == nil && bytes.Equal(ja, jb)
}
