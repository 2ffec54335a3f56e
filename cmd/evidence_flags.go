package cmd

import (
	"strconv"
	"time"

	"github.com/netpol-project/netpol/internal/cli"
)

// namespacesOf are the namespaces asked for, none for all.
func namespacesOf(f *cli.Factory) ([]string, error) {
	ns := f.Namespaces()
	if len(ns) > 0 && f.AllNamespaces() {
		return nil, cli.Usage("", "-n and -A can't be given together")
	}
	return ns, nil
}

// parseSince reads --since: how long ago (90s, 10m, 2h, 7d) or a moment in
// RFC 3339. Empty is the zero time.
func parseSince(s string, now time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if at, err := time.Parse(time.RFC3339, s); err == nil {
		if at.After(now) {
			return time.Time{}, cli.Usage("--since 10m", "--since %s is in the future: it is %s now", s, now.UTC().Format(time.RFC3339))
		}
		return at, nil
	}
	d, err := cli.ParseSpan(s)
	if err != nil || d <= 0 {
		return time.Time{}, cli.Usage("--since 10m", "--since %q: expected how long ago (90s, 10m, 2h, 7d) or a time such as %s", s, now.UTC().Format(time.RFC3339))
	}
	return now.Add(-d), nil
}

// sinceHelp is the help of --since.
const sinceHelp = "only what was seen since: how long ago (10m, 2h, 7d) or a time (RFC 3339); default: all there is"

// parsePort reads --port.
func parsePort(s string) (uint16, error) {
	if s == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil || n == 0 {
		return 0, cli.Usage("", "--port %q: expected a number from 1 to 65535", s)
	}
	return uint16(n), nil
}
