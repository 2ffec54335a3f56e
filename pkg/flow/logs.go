package flow

import (
	"strconv"
	"strings"

	"github.com/netpol-project/netpol/pkg/policy"
)

// Logs are the Log rules that a connection passed, in order (S7): a list that
// can be compared. Empty is none.
type Logs string

// The separators of what is packed into Logs; names have neither.
const (
	logField = "\x00"
	logHit   = "\x01"
)

// NewLogs packs hits of Log rules. One with a separator in a name, which no
// resource can have, is left out.
func NewLogs(hits []policy.Hit) Logs {
	if len(hits) == 0 {
		return ""
	}
	var b strings.Builder
	for _, h := range hits {
		fields := []string{h.Tier, string(h.Policy.Kind), h.Policy.Namespace, h.Policy.Name, strconv.Itoa(h.Rule)}
		if strings.ContainsAny(strings.Join(fields, ""), logField+logHit) {
			continue
		}
		if b.Len() > 0 {
			b.WriteString(logHit)
		}
		b.WriteString(strings.Join(fields, logField))
	}
	return Logs(b.String())
}

// Hits unpacks them.
func (l Logs) Hits() []policy.Hit {
	if l == "" {
		return nil
	}
	var out []policy.Hit
	for hit := range strings.SplitSeq(string(l), logHit) {
		f := strings.Split(hit, logField)
		if len(f) != 5 {
			continue
		}
		rule, err := strconv.Atoi(f[4])
		if err != nil {
			continue
		}
		out = append(out, policy.Hit{
			Tier: f[0], Policy: policy.Key{Kind: policy.Kind(f[1]), Namespace: f[2], Name: f[3]}, Rule: rule, Action: policy.Log,
		})
	}
	return out
}
