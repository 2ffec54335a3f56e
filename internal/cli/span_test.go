package cli

import (
	"testing"
	"time"

	"github.com/spf13/pflag"
)

func TestParseSpan(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"90s": 90 * time.Second, "1h30m": 90 * time.Minute, "0": 0, "-1h": -time.Hour,
		"7d": 7 * 24 * time.Hour, "1d12h": 36 * time.Hour, "0d": 0, "36500d": 36500 * 24 * time.Hour,
	} {
		if got, err := ParseSpan(text); err != nil || got != want {
			t.Errorf("%q: got %s, %v, want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"", "5", "d", "7 d", "-7d", "+7d", "1.5d", "7d-1h", "7d+1h", "7d1", "36501d", "99999999999999999999d", "1w", "1h1d"} {
		if got, err := ParseSpan(text); err == nil {
			t.Errorf("%q: got %s, want an error", text, got)
		}
	}
}

// Help tells a default as it tells other durations', and none where there is none.
func TestSpanVar(t *testing.T) {
	flags := pflag.NewFlagSet("x", pflag.ContinueOnError)
	var day, none time.Duration
	SpanVar(flags, &day, "day", 24*time.Hour, "a day")
	SpanVar(flags, &none, "none", 0, "nothing")
	const want = "      --day duration    a day (default 24h0m0s)\n      --none duration   nothing\n"
	if got := flags.FlagUsages(); got != want {
		t.Errorf("got\n%s", got)
	}
	if err := flags.Parse([]string{"--day=2d", "--none", "1d1s"}); err != nil || day != 48*time.Hour || none != 24*time.Hour+time.Second {
		t.Errorf("got %s, %s, %v", day, none, err)
	}
	if got := flags.Lookup("day").Value.String(); got != "48h0m0s" {
		t.Errorf("it is told as %s", got)
	}
}
