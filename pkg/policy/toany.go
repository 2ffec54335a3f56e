package policy

import (
	"errors"
	"strconv"

	"go.yaml.in/yaml/v3"
)

// ReadObject is a document of YAML or JSON as an object of any kind, its
// numbers int64 where they are whole, else float64. It is read as Decode does,
// so that both see the same: other readers of YAML take n and yes for booleans.
// A document without content is nil.
func ReadObject(doc []byte) (map[string]any, error) {
	for _, c := range split(doc) {
		root, err := parse(c, &fastParser{})
		switch {
		case err != nil:
			return nil, err
		case root.kind == isNull:
			continue
		case root.kind != isMap:
			return nil, errors.New("expected a mapping, got " + root.kind.String())
		}
		return root.toAny().(map[string]any), nil
	}
	return nil, nil
}

func (n *node) toAny() any {
	switch n.kind {
	case isString:
		return n.text
	case isBool:
		return n.text == "true" || n.text == "True" || n.text == "TRUE"
	case isNumber:
		return toNumber(n.text)
	case isList:
		out := make([]any, len(n.kids))
		for i := range n.kids {
			out[i] = n.kids[i].toAny()
		}
		return out
	case isMap:
		out := make(map[string]any, len(n.kids))
		for i := range n.kids {
			out[n.kids[i].key] = n.kids[i].toAny()
		}
		return out
	}
	return nil
}

// toNumber reads a number as YAML writes it (0x1f, 1_000); what JSON can't say
// (.inf) stays a text.
func toNumber(text string) any {
	if v, err := strconv.ParseInt(text, 10, 64); err == nil && strconv.FormatInt(v, 10) == text {
		return v // and not 010, which is 8
	}
	var v any
	n := yaml.Node{Kind: yaml.ScalarNode, Value: text}
	if n.Decode(&v) != nil {
		return text
	}
	switch v := v.(type) {
	case int:
		return int64(v)
	case int64:
		return v
	case float64:
		if v-v == 0 { // finite
			return v
		}
	}
	return text
}
