// Package demo is the workshop that "netpol lab demo" runs: ordinary commands,
// narrated, with a check of every outcome. The steps are in a table; this file
// runs them.
package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Options are what the demo needs.
type Options struct {
	// Show runs netpol with args for the user to see, and returns its exit code.
	Show func(ctx context.Context, args ...string) int
	// Ask runs netpol with args and returns what it writes.
	Ask func(ctx context.Context, args ...string) (stdout, stderr string, code int)
	// Down ends the lab; that there is none is no error.
	Down func(ctx context.Context) error
	// Examples is the directory with the example applications.
	Examples string
	// Dir is a directory for the demo's files.
	Dir     string
	Console Console
}

// Console is how the demo speaks.
type Console interface {
	Heading(text string)
	Say(text string)
	Command(line string)
	// Passed and Failed close a step's command.
	Passed(text string)
	Failed(text string)
}

// ErrFailed: an outcome was not as the demo says.
var ErrFailed = errors.New("the demo found something that is not as it should be")

// step is one part of the workshop.
type step struct {
	title string
	say   string
	acts  []act
}

// act is one command and what must be true after it.
type act struct {
	say  string
	args []string
	// exit is the exit code that the command must have.
	exit int
	// into is the file that the command's output goes to, as the user would
	// redirect it; it is not shown.
	into string
	// proves says what the check shows.
	proves string
	check  func(ctx context.Context, r *run) error
}

// run is a demo under way.
type run struct {
	Options
}

// cleanupTime is how long ending the lab may take after Ctrl-C.
const cleanupTime = 10 * time.Second

// Run runs the workshop. Whatever happens the lab is gone in the end. The error
// Is ErrFailed if an outcome was not as said; what, has been told.
func Run(ctx context.Context, o Options) (err error) {
	r := &run{Options: o}
	defer func() {
		// Also, and above all, if ctx has ended.
		cleanup, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTime)
		defer cancel()
		err = errors.Join(err, o.Down(cleanup))
	}()
	all := steps()
	for i, s := range all {
		o.Console.Heading(fmt.Sprintf("%d/%d  %s", i+1, len(all), s.title))
		o.Console.Say(s.say)
		for _, a := range s.acts {
			if err := r.act(ctx, a); err != nil {
				return err
			}
		}
	}
	return nil
}

// act runs one command and checks what came of it.
func (r *run) act(ctx context.Context, a act) error {
	if a.say != "" {
		r.Console.Say(a.say)
	}
	r.Console.Command(line(r.shown(a)))
	code, err := r.command(ctx, a)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return err
	}
	if code != a.exit {
		r.Console.Failed(fmt.Sprintf("exit code %d, expected %d", code, a.exit))
		return ErrFailed
	}
	if a.check == nil {
		return nil
	}
	if err := a.check(ctx, r); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		r.Console.Failed(fmt.Sprintf("expected that %s, but %v", a.proves, err))
		return ErrFailed
	}
	r.Console.Passed(a.proves)
	return nil
}

func (r *run) command(ctx context.Context, a act) (code int, err error) {
	if a.into == "" {
		return r.Show(ctx, r.real(a.args)...), nil
	}
	stdout, stderr, code := r.Ask(ctx, r.real(a.args)...)
	if code != a.exit {
		r.Console.Say(strings.TrimSpace(stderr))
	}
	return code, os.WriteFile(filepath.Join(r.Dir, a.into), []byte(stdout), 0o600)
}

// Words in a step's arguments that stand for a path: shown as the user would
// type it, run as it is here.
const (
	examplesWord = "examples/"
	fileWord     = "./"
)

func (r *run) real(args []string) []string {
	out := make([]string, len(args))
	for i, a := range args {
		switch {
		case strings.HasPrefix(a, examplesWord):
			a = filepath.Join(r.Examples, strings.TrimPrefix(a, examplesWord))
		case strings.HasPrefix(a, fileWord):
			a = filepath.Join(r.Dir, strings.TrimPrefix(a, fileWord))
		}
		out[i] = a
	}
	return out
}

// shown are the words that the user would type.
func (r *run) shown(a act) []string {
	out := []string{"netpol"}
	for _, arg := range a.args {
		if strings.HasPrefix(arg, examplesWord) && filepath.Clean(r.Examples) != "examples" {
			arg = filepath.Join(r.Examples, strings.TrimPrefix(arg, examplesWord))
		}
		out = append(out, quote(strings.TrimPrefix(arg, fileWord)))
	}
	if a.into != "" {
		out = append(out, ">", a.into)
	}
	return out
}

func line(words []string) string { return strings.Join(words, " ") }

// quote quotes a word for a shell, if it needs it.
func quote(s string) string {
	if s != "" && !strings.ContainsAny(s, " \t'\"$`\\|&;<>()*?[]{}!#~") {
		return s
	}
	if !strings.ContainsAny(s, "\"$`\\!") {
		return `"` + s + `"`
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// json asks for a command's JSON.
func (r *run) json(ctx context.Context, into any, args ...string) error {
	args = append(args, "-o", "json")
	stdout, stderr, code := r.Ask(ctx, args...)
	if code != 0 {
		return fmt.Errorf("netpol %s ended with exit code %d: %s", line(args), code, strings.TrimSpace(stderr))
	}
	if err := json.Unmarshal([]byte(stdout), into); err != nil {
		return fmt.Errorf("netpol %s: %w", line(args), err)
	}
	return nil
}
