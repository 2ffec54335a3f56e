package cli

import (
	"os"

	"golang.org/x/term"

	"github.com/netpol-project/netpol/internal/output"
)

// SystemStreams are the process's own streams. noColor is the value of
// NO_COLOR: any text switches colours off.
func SystemStreams(noColor string) *Streams {
	s := &Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}
	s.Terminal = term.IsTerminal(int(os.Stdout.Fd()))
	s.ErrTerminal = term.IsTerminal(int(os.Stderr.Fd()))
	if s.Terminal {
		s.Width = 80
		if w, _, err := term.GetSize(int(os.Stdout.Fd())); err == nil && w > 0 {
			s.Width = w
		}
		s.Color = noColor == "" && os.Getenv("TERM") != "dumb"
	}
	return s
}

// Printer writes data to Out, laid out for what Out is.
func (s *Streams) Printer() *output.Printer {
	return &output.Printer{W: s.Out, Width: s.Width, Color: s.Color}
}

// ErrPrinter writes messages and narration to Err. It never wraps.
func (s *Streams) ErrPrinter() *output.Printer {
	return &output.Printer{W: s.Err, Color: s.Color && s.ErrTerminal}
}
