package policy

import "bytes"

// chunk is one document of a file.
type chunk struct {
	data []byte
	line int // number of its first line in the file, from 1
}

// split cuts a file into documents at lines that begin with "---" (or after
// "..."). YAML allows no such line inside any value, so that this needs no
// parsing, and a broken document leaves the others readable.
func split(data []byte) []chunk {
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	var chunks []chunk
	start, startLine := 0, 1
	cut := func(at, next, line int) {
		if at > start {
			chunks = append(chunks, chunk{data[start:at], startLine})
		}
		start, startLine = next, line
	}
	for pos, line := 0, 1; pos < len(data); line++ {
		end := len(data)
		if i := bytes.IndexByte(data[pos:], '\n'); i >= 0 {
			end = pos + i + 1
		}
		switch l := data[pos:end]; {
		case isMarker(l, "..."):
			cut(pos, end, line+1)
		// Directives (%YAML) belong to the document after the marker.
		case isMarker(l, "---") && !directives(data[start:pos]):
			cut(pos, pos, line)
		}
		pos = end
	}
	cut(len(data), len(data), 0)
	return chunks
}

// isMarker says whether a line starts ("---") or ends ("...") a document.
func isMarker(l []byte, marker string) bool {
	return len(l) >= 3 && string(l[:3]) == marker &&
		(len(l) == 3 || l[3] == ' ' || l[3] == '\t' || l[3] == '\n' || l[3] == '\r')
}

// directives says whether a piece is nothing but directives and comments.
func directives(data []byte) bool {
	found := false
	for len(data) > 0 {
		l, rest, _ := bytes.Cut(data, []byte("\n"))
		t := bytes.TrimSpace(l)
		switch {
		case len(l) > 0 && l[0] == '%':
			found = true
		case len(t) > 0 && t[0] != '#':
			return false
		}
		data = rest
	}
	return found
}

// parse reads one document into a tree; a document without content is null.
// The tree may lie in fast's memory.
func parse(c chunk, fast *fastParser) (*node, *syntaxError) {
	if root, ok := fast.parse(c.data, c.line); ok {
		return root, nil
	}
	data := c.data
	marked := isMarker(data, "---")
	if marked {
		data = data[3:]
	}
	if t := bytes.TrimLeft(data, " \t\r\n"); len(t) == 0 || t[0] != '{' {
		return parseYAML(c.data, c.line)
	}
	// Every JSON document is meant as one; a flow mapping of YAML is not JSON,
	// but looks alike.
	if marked {
		data = append([]byte("   "), data...)
	}
	root, err := parseJSON(data, c.line)
	if err == nil {
		return root, nil
	}
	if y, yerr := parseYAML(c.data, c.line); yerr == nil {
		return y, nil
	}
	return nil, err
}
