package cluster

import (
	"go.yaml.in/yaml/v3"
)

// nodesOf are all nodes of a tree.
func nodesOf(root *yaml.Node) map[*yaml.Node]bool {
	out := map[*yaml.Node]bool{}
	var walk func(*yaml.Node)
	walk = func(n *yaml.Node) {
		out[n] = true
		for _, c := range n.Content {
			walk(c)
		}
	}
	walk(root)
	return out
}

// field is the value of a mapping's key; nil if there is none.
func field(n *yaml.Node, key string) *yaml.Node {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

// write puts the comments on those elements that were not there before. Lists in
// brackets have no lines that comments could be on.
func (c Comments) write(object *yaml.Node, item int, before map[*yaml.Node]bool) {
	if item >= 0 {
		items := field(object, "items")
		if items == nil || item >= len(items.Content) {
			return
		}
		object = items.Content[item]
	}
	spec := field(object, "spec")
	if spec == nil || spec.Style&yaml.FlowStyle != 0 || object.Style&yaml.FlowStyle != 0 {
		return
	}
	for name, comments := range c {
		list := field(spec, name)
		if list == nil || list.Kind != yaml.SequenceNode || list.Style&yaml.FlowStyle != 0 {
			continue
		}
		for i, text := range comments {
			if i < len(list.Content) && text != "" && !before[list.Content[i]] && list.Content[i].HeadComment == "" {
				list.Content[i].HeadComment = text
			}
		}
	}
}
