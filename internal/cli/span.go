package cli

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"
)

// SpanExamples are lengths of time as users may write them.
const SpanExamples = "90s, 30m, 24h or 7d"

// mostDays bounds how many days a span may have: a hundred years, which is far from
// what a time.Duration holds.
const mostDays = 36500

// errSpan is why a text is no span; what would be is for the caller to say.
var errSpan = errors.New("expected a time such as " + SpanExamples)

// ParseSpan reads a length of time: what Go writes (90s, 1h30m), with whole days
// before it or alone (7d, 1d12h).
func ParseSpan(text string) (time.Duration, error) {
	days, rest, ok := strings.Cut(text, "d")
	if !ok {
		d, err := time.ParseDuration(text)
		if err != nil {
			return 0, errSpan
		}
		return d, nil
	}
	n, err := strconv.ParseUint(days, 10, 32)
	if err != nil || n > mostDays {
		return 0, errSpan
	}
	var more time.Duration
	if rest != "" {
		if more, err = time.ParseDuration(rest); err != nil || more < 0 || more > mostDays*24*time.Hour || rest[0] == '+' || rest[0] == '-' {
			return 0, errSpan
		}
	}
	return time.Duration(n)*24*time.Hour + more, nil
}

// spanValue is a flag that takes a span.
type spanValue struct{ d *time.Duration }

// SpanVar adds a flag that takes a length of time, days too: pflag's own knows no
// unit above hours.
func SpanVar(flags *pflag.FlagSet, p *time.Duration, name string, value time.Duration, usage string) {
	*p = value
	flag := flags.VarPF(spanValue{p}, name, "", usage)
	if value == 0 {
		flag.DefValue = "" // which help leaves out
	}
}

// IsSpan says whether a flag takes a span.
func IsSpan(v pflag.Value) bool { _, ok := v.(spanValue); return ok }

// Set implements pflag.Value.
func (s spanValue) Set(text string) error {
	d, err := ParseSpan(text)
	if err != nil {
		return err
	}
	*s.d = d
	return nil
}

// String implements pflag.Value.
func (s spanValue) String() string {
	if s.d == nil {
		return ""
	}
	return s.d.String()
}

// Type implements pflag.Value.
func (s spanValue) Type() string { return "duration" }
