package prometheus

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/prometheus/common/model"
)

// matcher is one condition on a label, as PromQL writes it.
var matcher = regexp.MustCompile(`^\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*(=~|!~|!=|=)\s*("(?:[^"\\]|\\.)*")\s*(?:,|$)`)

// ParseMatch checks conditions on labels, as PromQL has them between braces, with
// a comma between two: cluster="prod",job=~"netpol.*".
func ParseMatch(text string) (string, error) {
	var out []string
	for rest := text; strings.TrimSpace(rest) != ""; {
		m := matcher.FindStringSubmatch(rest)
		if m == nil {
			return "", fmt.Errorf("%q is no condition on a label: expected NAME=\"VALUE\", or !=, =~ or !~", strings.TrimSpace(rest))
		}
		value, err := strconv.Unquote(m[3])
		if err != nil {
			return "", fmt.Errorf("%s is no string", m[3])
		}
		if strings.HasSuffix(m[2], "~") {
			if _, err := regexp.Compile(value); err != nil {
				return "", fmt.Errorf("%s is no regular expression", m[3])
			}
		}
		out = append(out, m[1]+m[2]+strconv.Quote(value))
		rest = rest[len(m[0]):]
	}
	return strings.Join(out, ","), nil
}

// selector picks the series of a metric, of one agent or of all.
func selector(metric, match string, target model.LabelSet) string {
	var conditions []string
	if match != "" {
		conditions = append(conditions, match)
	}
	for _, name := range sortedNames(target) {
		conditions = append(conditions, string(name)+"="+strconv.Quote(string(target[name])))
	}
	if len(conditions) == 0 {
		return metric
	}
	return metric + "{" + strings.Join(conditions, ",") + "}"
}
