// Package output lays out what commands print: tables, headings, JSON and
// YAML. On a terminal it is coloured and fits the width; in a pipe it is plain,
// unwrapped and stable, one row a line.
//
// It knows nothing of policies or flows, and prints to whatever it is given.
package output

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode"

	"github.com/charmbracelet/lipgloss"
	"github.com/muesli/termenv"
	"sigs.k8s.io/yaml"
)

// APIVersion is the version of the JSON that commands print.
const APIVersion = "netpol.dev/v1"

// Meta heads every JSON document; embed it first.
type Meta struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
}

// NewMeta is the head of a document of some kind.
func NewMeta(kind string) Meta { return Meta{APIVersion: APIVersion, Kind: kind} }

// Printer writes to one stream.
type Printer struct {
	W io.Writer
	// Width is the terminal's, in columns; 0 is a pipe: never wrap or cut.
	Width int
	// Color says whether to colour.
	Color bool
}

// Object writes v as JSON or YAML: the same fields, in the order of the JSON.
func (p *Printer) Object(format Format, v any) error {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("output: %w", err)
	}
	out := buf.Bytes()
	if format == YAML {
		var err error
		if out, err = yaml.JSONToYAML(out); err != nil {
			return fmt.Errorf("output: %w", err)
		}
	}
	_, err := p.W.Write(out)
	return err
}

// Heading writes a line that stands out, with a blank line before it unless
// first.
func (p *Printer) Heading(text string, first bool) {
	if !first {
		fmt.Fprintln(p.W)
	}
	fmt.Fprintln(p.W, p.paint(Strong, text))
}

// Line writes words, painted each in its own style, separated by blanks.
func (p *Printer) Line(words ...Cell) {
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = p.paint(w.Style, printable(w.Text))
	}
	fmt.Fprintln(p.W, strings.Join(out, " "))
}

// printable is text without what a terminal takes for orders, or shows in another
// order: names come from files and servers that anybody may have written. A row
// stays one line.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return ' '
		case unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r):
			return unicode.ReplacementChar
		}
		return r
	}, text)
}

// hanging is how much further in the lines are that a long line goes on in.
const hanging = 2

// Indented writes a line that begins at column indent. What a terminal has no
// room for goes on in lines that begin a little further in.
func (p *Printer) Indented(indent int, text string) {
	lines := []string{text}
	if p.Width > 0 {
		lines = wrap(text, max(p.Width-indent-hanging, 20))
	}
	for i, line := range lines {
		if i == 1 {
			indent += hanging
		}
		fmt.Fprintf(p.W, "%*s%s\n", indent, "", line)
	}
}

// Printf writes plain text.
func (p *Printer) Printf(format string, args ...any) { fmt.Fprintf(p.W, format, args...) }

// Style is how a word looks; it never carries meaning alone.
type Style uint8

// The styles.
const (
	Plain  Style = iota
	Good         // allowed, connected: green
	Bad          // blocked, denied: red
	Warn         // needs a look: yellow
	Faint        // details
	Strong       // headings, names
)

// paint colours text if p colours.
func (p *Printer) paint(s Style, text string) string {
	if !p.Color || s == Plain || text == "" {
		return text
	}
	// The profile is fixed, so that lipgloss never asks the terminal: a
	// query would cost time at every start.
	r := lipgloss.NewRenderer(p.W)
	r.SetColorProfile(termenv.ANSI)
	st := r.NewStyle()
	switch s {
	case Good:
		st = st.Foreground(lipgloss.Color("2"))
	case Bad:
		st = st.Foreground(lipgloss.Color("1")).Bold(true)
	case Warn:
		st = st.Foreground(lipgloss.Color("3"))
	case Faint:
		st = st.Faint(true)
	case Strong:
		st = st.Bold(true)
	}
	return st.Render(text)
}
