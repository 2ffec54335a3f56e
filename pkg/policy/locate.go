package policy

import (
	"sort"
	"strconv"
	"strings"
)

// Locator finds where fields of resources are written, in the text of the file
// that they were decoded from. What is made of a document does not remember
// its lines, since few of them are ever asked for. Asking in the order of lines
// is fast: the document that was read last is kept.
type Locator struct {
	chunks []chunk
	at     int // index of the chunk that root is of; -1: none yet
	root   *node
	fast   fastParser
}

// NewLocator is for one file's text.
func NewLocator(data []byte) *Locator { return &Locator{chunks: split(data), at: -1} }

// Find is the place and the value of a field, such as
// "spec.ingress[0].source.selector", of the resource whose Origin is origin. A
// field that is not written has the place of the innermost one around it that
// is, and found is false.
func (l *Locator) Find(origin Origin, path string) (at Origin, value string, found bool) {
	n := l.resource(origin)
	if n == nil {
		return origin, "", false
	}
	n, found = follow(n, path)
	at = Origin{File: origin.File, Line: int(n.line), Column: int(n.col)}
	if !found {
		return at, "", false
	}
	if n.kind == isList {
		return at, showList(n), true
	}
	return at, n.show(), true
}

// Len is the number of items of a list, or of fields; 0 if there is no such
// field.
func (l *Locator) Len(origin Origin, path string) int {
	n := l.resource(origin)
	if n == nil {
		return 0
	}
	n, found := follow(n, path)
	if !found {
		return 0
	}
	return len(n.kids)
}

// resource is the node at an Origin: a document, or an item of a List.
func (l *Locator) resource(o Origin) *node {
	after := sort.Search(len(l.chunks), func(i int) bool { return l.chunks[i].line > o.Line })
	if o.Line == 0 || after == 0 {
		return nil
	}
	i := after - 1
	if i != l.at {
		l.at, l.root = i, nil
		if root, err := parse(l.chunks[i], &l.fast); err == nil {
			l.root = root
		}
	}
	return startingAt(l.root, o)
}

func startingAt(n *node, o Origin) *node {
	switch {
	case n == nil:
		return nil
	case int(n.line) == o.Line && int(n.col) == o.Column && n.kind == isMap:
		return n
	}
	list := items(n.get("items"))
	past := sort.Search(len(list), func(i int) bool {
		v := &list[i].node
		return int(v.line) > o.Line || int(v.line) == o.Line && int(v.col) > o.Column
	})
	if past == 0 {
		return nil
	}
	return startingAt(&list[past-1].node, o)
}

// follow goes along a field path as far as it leads.
func follow(n *node, path string) (last *node, whole bool) {
	for path != "" {
		var key string
		if rest, ok := strings.CutPrefix(path, "["); ok {
			key, path, _ = strings.Cut(rest, "]")
		} else {
			end := strings.IndexAny(path, ".[")
			if end < 0 {
				end = len(path)
			}
			key, path = path[:end], path[end:]
		}
		path = strings.TrimPrefix(path, ".")
		next := n.get(key)
		if i, err := strconv.Atoi(key); err == nil && n.kind == isList && i >= 0 && i < len(n.kids) {
			next = &n.kids[i].node
		}
		if next == nil {
			return n, false
		}
		n = next
	}
	return n, true
}
