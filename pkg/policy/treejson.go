package policy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// parseJSON reads one JSON document.
func parseJSON(data []byte, line int) (*node, *syntaxError) {
	p := jsonParser{data: data, dec: json.NewDecoder(bytes.NewReader(data)), line: line}
	p.dec.UseNumber()
	root := &node{}
	if err := p.value(root, 0); err != nil {
		return nil, p.fail(err)
	}
	if _, err := p.token(); !errors.Is(err, io.EOF) {
		return nil, &syntaxError{p.line, p.column(), "JSON: more text follows the value"}
	}
	return root, nil
}

// jsonParser follows the decoder's tokens; pos, line and start tell how far
// the place has been counted.
type jsonParser struct {
	data  []byte
	dec   *json.Decoder
	pos   int
	line  int
	start int // of the line
}

var errDeep = errors.New("values are nested too deep")

// token reads the next token and moves the place to where it begins.
func (p *jsonParser) token() (json.Token, error) {
	at := int(p.dec.InputOffset())
	for at < len(p.data) && bytes.IndexByte([]byte(" \t\r\n,:"), p.data[at]) >= 0 {
		at++
	}
	p.advance(at)
	return p.dec.Token()
}

func (p *jsonParser) advance(to int) {
	for to = min(to, len(p.data)); p.pos < to; p.pos++ {
		if p.data[p.pos] == '\n' {
			p.line++
			p.start = p.pos + 1
		}
	}
}

func (p *jsonParser) column() int { return utf8.RuneCount(p.data[p.start:p.pos]) + 1 }

func (p *jsonParser) value(to *node, depth int) error {
	t, err := p.token()
	if err != nil {
		return err
	}
	if depth > maxDepth {
		return errDeep
	}
	to.line, to.col = int32(p.line), int32(p.column())
	switch t := t.(type) {
	case nil:
		to.kind = isNull
	case string:
		to.kind, to.text = isString, t
	case json.Number:
		to.kind, to.text = isNumber, t.String()
	case bool:
		to.kind, to.text = isBool, fmt.Sprint(t)
	case json.Delim:
		return p.members(to, t == '{', depth)
	}
	return nil
}

func (p *jsonParser) members(to *node, mapping bool, depth int) error {
	to.kind = isList
	if mapping {
		to.kind = isMap
	}
	for p.dec.More() {
		var e entry
		if mapping {
			k, err := p.token()
			if err != nil {
				return err
			}
			e.key, _ = k.(string)
			e.line, e.col = int32(p.line), int32(p.column())
		}
		if err := p.value(&e.node, depth+1); err != nil {
			return err
		}
		to.kids = append(to.kids, e)
	}
	_, err := p.dec.Token()
	return err
}

func (p *jsonParser) fail(err error) *syntaxError {
	var s *json.SyntaxError
	msg := err.Error()
	switch {
	case errors.As(err, &s):
		p.advance(max(int(s.Offset)-1, p.pos))
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		p.advance(len(p.data))
		msg = "the document ends too early"
	}
	return &syntaxError{p.line, p.column(), "JSON: " + msg}
}
