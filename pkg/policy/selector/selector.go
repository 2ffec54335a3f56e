// Package selector is the selector language (S25).
package selector

// Labels are the labels of an endpoint or a namespace.
type Labels map[string]string

// Selector is a parsed selector; safe for use by several goroutines.
type Selector struct{}

// Parse reads a selector. The error is an *Error with column and expectation.
func Parse(s string) (*Selector, error) { panic("contract") }

// MustParse is Parse for selectors that are known to be right.
func MustParse(s string) *Selector { panic("contract") }

// Matches says whether labels satisfy the selector. It does not allocate.
func (s *Selector) Matches(l Labels) bool { panic("contract") }

// String is the canonical form.
func (s *Selector) String() string { panic("contract") }

// Global says whether the selector is global().
func (s *Selector) Global() bool { panic("contract") }
