package selector

import "fmt"

// Error says where a selector is wrong and what was expected there.
type Error struct {
	Input    string // the whole selector
	Column   int    // in characters, from 1
	Expected string // what could have stood there
	Found    string // what stands there, quoted, or: the end
	Hint     string // what was probably meant, if that is known
}

// Error is one line, without the input.
func (e *Error) Error() string {
	s := fmt.Sprintf("column %d: expected %s, found %s", e.Column, e.Expected, e.Found)
	if e.Hint != "" {
		s += " (" + e.Hint + ")"
	}
	return s
}
