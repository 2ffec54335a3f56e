package plan

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// edit is a line to be put into a file, as a key of a mapping that is there
// already. The rest of the file stays as it is, byte for byte.
type edit struct {
	line   int // the new line comes before this one, counted from 1
	column int // of the mapping's keys, counted from 1
	text   string
}

// addKey makes an edit that adds "text" (key: value, the value in flow style)
// to a block mapping.
func addKey(m *yaml.Node, text string) (edit, error) {
	if m == nil || m.Kind != yaml.MappingNode || len(m.Content) == 0 || m.Style&yaml.FlowStyle != 0 {
		return edit{}, fmt.Errorf("the lab must add %q here, and can do so only where the mapping is written in block style, a key on each line", text)
	}
	key, value := m.Content[0], m.Content[1]
	e := edit{line: key.Line, column: key.Column, text: text}
	if value.Kind == yaml.ScalarNode && value.Line == key.Line && value.Style&(yaml.LiteralStyle|yaml.FoldedStyle) == 0 {
		// After the first key: that also works where the key follows a dash.
		e.line++
	}
	return e, nil
}

// child is the value of a key of a mapping, or nil.
func child(m *yaml.Node, key string) *yaml.Node {
	if m == nil || m.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(m.Content); i += 2 {
		if m.Content[i].Value == key {
			return m.Content[i+1]
		}
	}
	return nil
}

// apply puts edits into data.
func apply(data []byte, edits []edit) []byte {
	if len(edits) == 0 {
		return data
	}
	slices.SortStableFunc(edits, func(a, b edit) int { return a.line - b.line })
	lines := bytes.SplitAfter(data, []byte("\n"))
	var out bytes.Buffer
	for i, line := range lines {
		for len(edits) > 0 && edits[0].line <= i+1 {
			writeEdit(&out, edits[0])
			edits = edits[1:]
		}
		out.Write(line)
	}
	for _, e := range edits {
		writeEdit(&out, e)
	}
	return out.Bytes()
}

func writeEdit(out *bytes.Buffer, e edit) {
	if b := out.Bytes(); len(b) > 0 && b[len(b)-1] != '\n' {
		out.WriteByte('\n')
	}
	out.WriteString(strings.Repeat(" ", e.column-1) + e.text + "\n")
}
