package policy

import (
	"bytes"
	"errors"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Bounds on what a document may unfold to.
const (
	maxDepth   = 100
	maxAliased = 100_000 // nodes made by aliases
)

// parseYAML reads one document with the whole of YAML. line is the number of
// its first line. A document without content gives a null node.
func parseYAML(data []byte, line int) (*node, *syntaxError) {
	doc, err := readYAML(data)
	if err != nil {
		return nil, locate(data, line, err)
	}
	if len(doc.Content) == 0 {
		return &node{}, nil
	}
	c := yamlConverter{base: line - 1}
	root := &node{}
	if err := c.convert(doc.Content[0], root, 0); err != nil {
		return nil, err
	}
	return root, nil
}

// readYAML reads one document; it is an error if anything comes after it.
func readYAML(data []byte) (doc yaml.Node, err error) {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	err = dec.Decode(&doc)
	if errors.Is(err, io.EOF) {
		return yaml.Node{}, nil
	}
	if err != nil {
		return doc, err
	}
	var more yaml.Node
	switch err = dec.Decode(&more); {
	case errors.Is(err, io.EOF):
		return doc, nil
	case err != nil:
		return doc, err
	}
	return doc, errors.New("more text follows the document")
}

type yamlConverter struct {
	base    int // lines before the document
	aliased int // nodes made from aliases so far
	inAlias int
}

func (c *yamlConverter) fail(y *yaml.Node, msg string) *syntaxError {
	return &syntaxError{y.Line + c.base, y.Column, msg}
}

func (c *yamlConverter) convert(y *yaml.Node, to *node, depth int) *syntaxError {
	if depth > maxDepth {
		return c.fail(y, "values are nested too deep")
	}
	if c.inAlias > 0 {
		if c.aliased++; c.aliased > maxAliased {
			return c.fail(y, "aliases unfold to too many values")
		}
	}
	to.line, to.col = int32(y.Line+c.base), int32(y.Column)
	switch y.Kind {
	case yaml.AliasNode:
		c.inAlias++
		defer func() { c.inAlias-- }()
		return c.convert(y.Alias, to, depth+1)
	case yaml.ScalarNode:
		to.kind, to.text = scalarKind(y), y.Value
	case yaml.SequenceNode:
		to.kind = isList
		to.kids = make([]entry, len(y.Content))
		for i, k := range y.Content {
			if err := c.convert(k, &to.kids[i].node, depth+1); err != nil {
				return err
			}
		}
	case yaml.MappingNode:
		return c.mapping(y, to, depth)
	}
	return nil
}

func (c *yamlConverter) mapping(y *yaml.Node, to *node, depth int) *syntaxError {
	to.kind = isMap
	to.kids = make([]entry, 0, len(y.Content)/2)
	var merged []*node
	for i := 0; i+1 < len(y.Content); i += 2 {
		k := y.Content[i]
		if k.Kind == yaml.ScalarNode && k.ShortTag() == "!!merge" {
			m := &node{}
			if err := c.convert(y.Content[i+1], m, depth+1); err != nil {
				return err
			}
			merged = append(merged, m)
			continue
		}
		if k.Kind != yaml.ScalarNode {
			return c.fail(k, "a key must be a plain string")
		}
		e := entry{key: k.Value, line: int32(k.Line + c.base), col: int32(k.Column)}
		if err := c.convert(y.Content[i+1], &e.node, depth+1); err != nil {
			return err
		}
		to.kids = append(to.kids, e)
	}
	for _, m := range merged {
		if m.kind == isList {
			for i := range m.kids {
				merge(to, &m.kids[i].node)
			}
		} else {
			merge(to, m)
		}
	}
	return nil
}

// merge adds the keys of from that to has not (YAML's << key).
func merge(to, from *node) {
	have := make(map[string]bool, len(to.kids))
	for i := range to.kids {
		have[to.kids[i].key] = true
	}
	for _, e := range from.kids {
		if !have[e.key] {
			to.kids = append(to.kids, e)
		}
	}
}

func scalarKind(y *yaml.Node) nodeKind {
	switch y.ShortTag() {
	case "!!null":
		return isNull
	case "!!bool":
		return isBool
	case "!!int", "!!float":
		return isNumber
	}
	return isString
}

// locate turns the parser's error into a place. The parser tells where the
// broken block began rather than where it broke, and no column, so the line
// where documents cut off after it begin to fail is looked for.
func locate(data []byte, base int, err error) *syntaxError {
	msg := strings.TrimPrefix(err.Error(), "yaml: ")
	if strings.HasPrefix(msg, "line ") {
		if _, after, ok := strings.Cut(msg, ": "); ok {
			msg = after
		}
	}
	lines := bytes.SplitAfter(data, []byte("\n"))
	fails := func(n int) bool {
		_, err := readYAML(bytes.Join(lines[:n], nil))
		return err != nil
	}
	good, bad := 0, len(lines)
	for bad-good > 1 {
		if mid := (good + bad) / 2; fails(mid) {
			bad = mid
		} else {
			good = mid
		}
	}
	// A text in quotes over several lines is broken when cut, but no fault:
	// go on after it.
	for n := bad + 1; n < min(bad+20, len(lines)); n++ {
		if !fails(n) {
			bad = n + 1
			for bad < len(lines) && !fails(bad) {
				bad++
			}
			n = bad
		}
	}
	return &syntaxError{base + bad - 1, columnOf(lines[bad-1], msg), "YAML: " + msg}
}

// columnOf guesses the column of a syntax error within its line.
func columnOf(line []byte, msg string) int {
	indent := len(line) - len(bytes.TrimLeft(line, " \t"))
	if i := bytes.IndexByte(line[:indent], '\t'); i >= 0 {
		return i + 1
	}
	if strings.Contains(msg, "mapping values are not allowed") {
		if i := bytes.LastIndex(line, []byte(": ")); i >= 0 {
			return len([]rune(string(line[:i]))) + 1
		}
	}
	return indent + 1
}
