package policy

import (
	"fmt"
	"strconv"
	"strings"
)

// A document is read into a tree of nodes before anything is made of it: every
// node knows its place, so that a fault can name line and column, and all three
// syntaxes (the common YAML, the rest of YAML, JSON) and objects from memory
// are judged by the same code.

// nodeKind is the type of a node, as JSON has it.
type nodeKind uint8

const (
	isNull nodeKind = iota
	isString
	isNumber
	isBool
	isList
	isMap
)

var nodeKindNames = [...]string{"null", "a string", "a number", "a boolean", "a list", "a mapping"}

func (k nodeKind) String() string { return nodeKindNames[k] }

// node is one value. Strings in it may be parts of the document: what is kept
// is copied.
type node struct {
	kind      nodeKind
	text      string // scalars
	line, col int32  // from 1; 0 for objects from memory
	kids      []entry
}

// entry is an item of a list (no key) or of a mapping, in the order written.
type entry struct {
	key       string
	line, col int32 // of the key
	node
}

// get is the value of a key, nil if n is nil or no mapping or has no such key;
// a null counts as absent.
func (n *node) get(key string) *node {
	if n == nil || n.kind != isMap {
		return nil
	}
	for i := range n.kids {
		if n.kids[i].key == key {
			if n.kids[i].kind == isNull {
				return nil
			}
			return &n.kids[i].node
		}
	}
	return nil
}

// at follows several keys.
func (n *node) at(keys ...string) *node {
	for _, k := range keys {
		n = n.get(k)
	}
	return n
}

// empty says whether n holds nothing: absent, null, or empty of its type.
func (n *node) empty() bool {
	if n == nil {
		return true
	}
	switch n.kind {
	case isNull:
		return true
	case isList, isMap:
		return len(n.kids) == 0
	case isString:
		return n.text == ""
	}
	return false
}

// show is the value as an error quotes it: short and on one line.
func (n *node) show() string {
	if n == nil || n.kind == isNull {
		return ""
	}
	if n.kind == isList || n.kind == isMap {
		return ""
	}
	return shorten(n.text)
}

func shorten(s string) string {
	const most = 120
	if len(s) <= most {
		return strings.Clone(s) // an error holds nothing of the document
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

// pathOf is the field path from root to n (or to the entry whose node n is),
// found by walking: paths are needed only where there is a fault.
func pathOf(root, n *node) string {
	path, _ := findPath(root, n, "")
	return path
}

func findPath(at, n *node, path string) (string, bool) {
	if at == n {
		return path, true
	}
	for i := range at.kids {
		e := &at.kids[i]
		var step string
		switch {
		case at.kind == isList:
			step = path + "[" + strconv.Itoa(i) + "]"
		default:
			step = joinPath(path, e.key)
		}
		if p, ok := findPath(&e.node, n, step); ok {
			return p, true
		}
	}
	return "", false
}

// joinPath adds a key to a path; keys with dots in them are bracketed.
func joinPath(path, key string) string {
	switch {
	case strings.ContainsAny(key, "./"):
		return path + "[" + key + "]"
	case path == "":
		return key
	}
	return path + "." + key
}

// A syntaxError is a document that can't be read at all.
type syntaxError struct {
	line, col int
	msg       string
}

func (e *syntaxError) Error() string { return fmt.Sprintf("%d:%d: %s", e.line, e.col, e.msg) }

// duplicateIn finds a key that is given twice; nil if there is none.
func duplicateIn(kids []entry) *entry {
	if len(kids) > 16 {
		seen := make(map[string]bool, len(kids))
		for i := range kids {
			if seen[kids[i].key] {
				return &kids[i]
			}
			seen[kids[i].key] = true
		}
		return nil
	}
	for i := range kids {
		for j := range i {
			if kids[i].key == kids[j].key {
				return &kids[i]
			}
		}
	}
	return nil
}
