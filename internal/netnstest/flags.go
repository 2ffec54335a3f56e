//go:build linux

package netnstest

import (
	"flag"
	"strings"
	"time"
)

// subPattern is what the user asked for below the top level: "/a/b" of
// -run=Test/a/b.
func subPattern(name string) string {
	_, sub, ok := strings.Cut(flagValue("test."+name), "/")
	if !ok {
		return ""
	}
	return "/" + sub
}

func flagValue(name string) string {
	if f := flag.Lookup(name); f != nil {
		return f.Value.String()
	}
	return ""
}

// remaining leaves the outer process five seconds to say what happened.
func remaining(deadline time.Time) string {
	return max(time.Until(deadline)-5*time.Second, time.Second).String()
}
