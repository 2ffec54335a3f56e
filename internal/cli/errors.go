package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/netpol-project/netpol/internal/cluster"
	"github.com/netpol-project/netpol/pkg/policy"
)

// The exit codes, the same for every command.
const (
	ExitOK          = 0   // done, or the answer is yes
	ExitNo          = 1   // the command was asked to judge, and the answer is no
	ExitFailed      = 2   // it could not be done
	ExitInterrupted = 130 // Ctrl-C
)

// ErrNo is the error of a command whose answer is no and which has said so
// already: exit code 1, nothing more on stderr.
var ErrNo = errors.New("the answer is no")

// Answer is nil for yes and ErrNo for no.
func Answer(yes bool) error {
	if yes {
		return nil
	}
	return ErrNo
}

// Error is an error as users see it: what could not be done, where, and what
// to type next.
type Error struct {
	// What went wrong, one line, lower case, no full stop.
	What string
	// Where are the places or details, one a line; may be empty.
	Where []string
	// Try is the next command to type; may be empty.
	Try string
	// No marks a refusal to do what was judged bad: exit code 1 instead of 2.
	No bool
	// Err is the cause, for errors.Is; it is not printed.
	Err error
}

// Error is What and Where on one line.
func (e *Error) Error() string {
	if len(e.Where) == 0 {
		return e.What
	}
	return e.What + ": " + strings.Join(e.Where, "; ")
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is makes a refusal match ErrNo.
func (e *Error) Is(target error) bool { return e.No && target == ErrNo }

// Usage is an error in what was typed: try is the command to type instead.
func Usage(try, format string, args ...any) error {
	return &Error{What: fmt.Sprintf(format, args...), Try: try}
}

// Refuse is an answer of no that stops the command: exit code 1.
func Refuse(what string, where []string, try string) error {
	return &Error{What: what, Where: where, Try: try, No: true}
}

// Code is the exit code for an error.
func Code(err error) int {
	switch {
	case err == nil:
		return ExitOK
	case errors.Is(err, ErrNo):
		return ExitNo
	case errors.Is(err, context.Canceled), status.Code(err) == codes.Canceled:
		return ExitInterrupted
	}
	return ExitFailed
}

// Report writes an error to w in the one format that all commands have:
//
//	error: what
//	  where
//	  try: next command
func Report(w io.Writer, err error) {
	if e := reported(err); e != nil {
		report(w, e)
	}
}

// reported is an error as it is written; nil for one that needs no word.
func reported(err error) *Error {
	var typed *Error
	var faults policy.Faults
	var failure *cluster.Failure
	switch {
	case err == nil, err == ErrNo, Code(err) == ExitInterrupted && !(errors.As(err, &failure) && failure.Partly):
		return nil
	case errors.As(err, &typed):
		return typed
	case errors.As(err, &failure):
		return &Error{What: failure.What, Where: failure.Where, Try: failure.Try, Err: err}
	case errors.As(err, &faults):
		if e, ok := FaultsError(faults).(*Error); ok {
			return e
		}
	}
	return &Error{What: plain(err)}
}

func report(w io.Writer, e *Error) {
	lines := strings.Split(strings.TrimRight(e.What, "\n"), "\n")
	fmt.Fprintf(w, "error: %s\n", lines[0])
	for _, l := range append(lines[1:], e.Where...) {
		fmt.Fprintf(w, "  %s\n", strings.ReplaceAll(l, "\n", "\n  "))
	}
	if e.Try != "" {
		fmt.Fprintf(w, "  try: %s\n", e.Try)
	}
}

// plain is the text of an error without the noise of gRPC.
func plain(err error) string {
	if s, ok := status.FromError(err); ok && s.Code() != codes.OK {
		return s.Message()
	}
	return err.Error()
}

// FaultsError is every fault of some resources as one error, nil for none but
// warnings.
func FaultsError(faults policy.Faults) error {
	faults = faults.Errors()
	if len(faults) == 0 {
		return nil
	}
	e := &Error{What: fmt.Sprintf("%d faults", len(faults)), Err: faults}
	if len(faults) == 1 {
		e.What = faults[0].Error()
		return e
	}
	for i := range faults {
		e.Where = append(e.Where, faults[i].Error())
	}
	return e
}

// Unknown is the error for a name that does not exist: what is "policy",
// "tier", …; known are the names there are, and the nearest is offered.
func Unknown(what, name string, known []string, try string) error {
	e := &Error{What: fmt.Sprintf("no %s %q", what, name), Try: try}
	if near := Nearest(name, known); near != "" {
		e.What += fmt.Sprintf("; did you mean %q?", near)
	}
	return e
}
