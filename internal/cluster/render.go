package cluster

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"

	"go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Render writes an object as people write manifests: keys in the order that
// readers expect, two spaces of indentation.
func Render(u *unstructured.Unstructured) ([]byte, error) {
	return encode(toNode(u.Object), indentation{spaces: 2, compact: true})
}

// ranks are the places of well-known keys in a mapping; others follow by name.
var ranks = rank(
	"apiVersion", "kind", "action", "metadata", "name", "namespace", "labels", "annotations", "spec",
	"stagedAction", "tier", "order", "priority", "defaultAction", "subject", "podSelector",
	"selector", "namespaceSelector", "serviceAccountSelector", "applyOnForward", "doNotTrack", "preDNAT",
	"types", "policyTypes", "ingress", "egress",
	"ipVersion", "protocol", "notProtocol", "icmp", "notICMP", "http", "source", "destination",
	"type", "code", "notSelector", "serviceAccounts", "services", "nets", "notNets", "ports", "notPorts",
	"key", "operator", "values", "port", "endPort",
)

func rank(keys ...string) map[string]int {
	out := make(map[string]int, len(keys))
	for i, k := range keys {
		out[k] = i - len(keys)
	}
	return out
}

func sortedKeys(m map[string]any) []string {
	return slices.SortedFunc(maps.Keys(m), func(a, b string) int {
		return cmp.Or(cmp.Compare(ranks[a], ranks[b]), cmp.Compare(a, b))
	})
}

// toNode is a value as YAML.
func toNode(value any) *yaml.Node {
	switch v := value.(type) {
	case map[string]any:
		n := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
		for _, k := range sortedKeys(v) {
			n.Content = append(n.Content, scalar(k), toNode(v[k]))
		}
		return n
	case []any:
		n := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
		for _, e := range v {
			n.Content = append(n.Content, toNode(e))
		}
		return n
	case float64:
		// JSON knows no difference between 100 and 100.0, people do.
		if js, err := json.Marshal(v); err == nil {
			return &yaml.Node{Kind: yaml.ScalarNode, Value: string(js)}
		}
	}
	return scalar(value)
}

// scalar is a plain value; what YAML can't say becomes its JSON text.
func scalar(value any) *yaml.Node {
	n := &yaml.Node{}
	if err := n.Encode(value); err != nil {
		js, _ := json.Marshal(value)
		n.SetString(string(js))
	}
	return n
}
