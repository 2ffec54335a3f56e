package lab

import (
	"errors"
	"fmt"
)

// Errors that callers tell apart with errors.Is.
var (
	ErrNotRunning = errors.New("the lab is not running")
	ErrRunning    = errors.New("the lab is running already")
	// ErrForbidden: this machine does not let us make namespaces.
	ErrForbidden = errors.New("namespaces are forbidden")
	// ErrNotLinux: a lab needs Linux.
	ErrNotLinux = errors.New("not Linux")
)

// Hint is an error with the next command to try.
type Hint struct {
	// What went wrong; more than one line where there are details.
	What string
	Try  string
	// Err is the cause, for errors.Is; it is not part of the text.
	Err error
}

// Error is What.
func (h *Hint) Error() string { return h.What }

// Unwrap gives the cause.
func (h *Hint) Unwrap() error { return h.Err }

func notRunning(name string) error {
	return &Hint{
		What: fmt.Sprintf("lab %q is not running", name),
		Try:  "netpol lab up -f examples/vote -f examples/wordpress" + flag(name),
		Err:  ErrNotRunning,
	}
}

func running(name string) error {
	other := "netpol lab up --lab other -f …"
	return &Hint{
		What: fmt.Sprintf("lab %q is running already", name),
		Try:  "netpol lab status" + flag(name) + ", or netpol lab down" + flag(name) + " to end it, or " + other + " for a second one",
		Err:  ErrRunning,
	}
}

// flag is what picks a lab on the command line; nothing for the default one.
func flag(name string) string {
	if name == DefaultName {
		return ""
	}
	return " --lab " + name
}
