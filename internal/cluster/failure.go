package cluster

import "strings"

// Failure is why a store could not do something, as users see it.
type Failure struct {
	// What went wrong, one line, lower case, no full stop.
	What string
	// Where are details, one a line.
	Where []string
	// Try is the next command to type.
	Try string
	// Err is the cause, for errors.Is.
	Err error
	// Partly: something was changed before, which users are told even where they
	// have interrupted it themselves.
	Partly bool
}

// Error is What and Where on one line.
func (f *Failure) Error() string {
	if len(f.Where) == 0 {
		return f.What
	}
	return f.What + ": " + strings.Join(f.Where, "; ")
}

// Unwrap gives the cause.
func (f *Failure) Unwrap() error { return f.Err }
