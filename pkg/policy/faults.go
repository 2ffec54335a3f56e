package policy

import (
	"fmt"
	"slices"
	"strings"
)

// Fault is one thing wrong with one resource.
type Fault struct {
	Key    Key    // the resource, as far as it is known
	Origin Origin // where it was read
	Field  string // field path: spec.ingress[0].source.selector
	Value  string // the offending value
	Reason string // what is wrong, and what was expected
	Fix    string // what to do, where that is known
	// Unsupported marks what is right in v3 but what netpol can't judge yet.
	Unsupported bool
	// Warning marks what is worth a look but holds as it is written. What is
	// no warning is an error: the resource is not judged as its author meant.
	Warning bool
	// Code names the kind of fault for machines, and never changes:
	// "unknown-field", "bad-selector", "log-only", ….
	Code string
}

// Error is one line: where, what, why and the fix.
func (f Fault) Error() string {
	var b strings.Builder
	if o := f.Origin.String(); o != "" {
		b.WriteString(o + ": ")
	}
	if f.Key.Kind != "" {
		b.WriteString(f.Key.String() + ": ")
	}
	if f.Field != "" {
		b.WriteString(f.Field)
		if f.Value != "" {
			fmt.Fprintf(&b, " %q", f.Value)
		}
		b.WriteString(": ")
	}
	b.WriteString(f.Reason)
	if f.Fix != "" {
		b.WriteString("; " + f.Fix)
	}
	return b.String()
}

// Faults are all faults found, in the order of files and lines.
type Faults []Fault

// Error is one fault a line.
func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i := range f {
		lines[i] = f[i].Error()
	}
	return strings.Join(lines, "\n")
}

// Err is the errors in f as an error, nil if there are none but warnings.
func (f Faults) Err() error {
	if errs := f.Errors(); len(errs) > 0 {
		return errs
	}
	return nil
}

// Errors are the faults that are no warnings.
func (f Faults) Errors() Faults {
	return slices.DeleteFunc(slices.Clone(f), func(f Fault) bool { return f.Warning })
}

// Warnings are the faults that are warnings.
func (f Faults) Warnings() Faults {
	return slices.DeleteFunc(slices.Clone(f), func(f Fault) bool { return !f.Warning })
}
