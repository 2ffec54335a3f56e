package probe

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/netpol-project/netpol/internal/lab/prober"
	"github.com/netpol-project/netpol/pkg/connectivity"
)

// Expectation says for pairs whether they should be allowed.
type Expectation struct {
	all   string // "allow" or "deny": the same for every pair
	pairs map[expectKey]string
	order []expectKey
}

// expectKey names a pair in an expectation. Family is empty where the document
// does not tell: then it holds for both.
type expectKey struct {
	Source, Destination Peer
	Family, Protocol    string
	Port                uint16
}

// ExpectAll expects the same of every pair: "allow" or "deny".
func ExpectAll(verdict string) *Expectation { return &Expectation{all: verdict} }

// ParseExpectation reads a report of probe or connectivity in JSON.
func ParseExpectation(data []byte) (*Expectation, error) {
	var doc struct {
		Kind  string `json:"kind"`
		Items []struct {
			Source      Peer   `json:"source"`
			Destination Peer   `json:"destination"`
			Family      string `json:"family"`
			Protocol    string `json:"protocol"`
			Port        uint16 `json:"port"`
			Result      string `json:"result"`
		} `json:"items"`
	}
	if err := json.Unmarshal(data, &doc); err != nil {
		return nil, fmt.Errorf("expected the output of probe -o json or connectivity -o json: %w", err)
	}
	if len(doc.Items) == 0 {
		return nil, fmt.Errorf("expected the output of probe -o json or connectivity -o json: it has no items")
	}
	e := &Expectation{pairs: map[expectKey]string{}}
	for i, item := range doc.Items {
		v := verdict(item.Result)
		if v == "" {
			return nil, fmt.Errorf("items[%d].result %q: expected connected, closed, blocked, allow or deny", i, item.Result)
		}
		k := expectKey{item.Source, item.Destination, item.Family, protocolName(item.Protocol), item.Port}
		if old, ok := e.pairs[k]; ok && old != v {
			return nil, fmt.Errorf("items[%d]: %s is given before, with another result", i, k.describe())
		}
		if _, ok := e.pairs[k]; !ok {
			e.order = append(e.order, k)
		}
		e.pairs[k] = v
	}
	return e, nil
}

// verdict is what a result says about policies: allow, deny, or "" for
// neither.
func verdict(result string) string {
	switch result {
	case string(prober.Connected), string(prober.Closed), "allow":
		return "allow"
	case string(prober.Blocked), "deny":
		return "deny"
	}
	return ""
}

// Difference is a pair that is not as expected.
type Difference struct {
	Pair     string `json:"pair"`
	Expected string `json:"expected"`
	Result   string `json:"result"`
}

// Compare lists what differs, in the order of the report, then pairs that were
// expected and not probed, unless the probe was narrowed to some pairs on
// purpose.
func (e *Expectation) Compare(r Report, narrowed bool) []Difference {
	out := []Difference{}
	seen, families := map[expectKey]bool{}, map[string]bool{"": true}
	for _, item := range r.Items {
		k := expectKey{item.Source, item.Destination, item.Family, item.Protocol, item.Port}
		any := k
		any.Family = ""
		seen[k], seen[any], families[k.Family] = true, true, true
		want := e.want(k, any)
		switch got := verdict(string(item.Result)); {
		case want == "":
			out = append(out, Difference{k.describe(), "nothing", string(item.Result)})
		case got != want:
			result := string(item.Result)
			if item.Error != "" {
				result += ": " + item.Error
			}
			out = append(out, Difference{k.describe(), want, result})
		}
	}
	for _, k := range e.order {
		if !seen[k] && !narrowed && families[k.Family] {
			out = append(out, Difference{k.describe(), e.pairs[k], "not probed"})
		}
	}
	return out
}

func (e *Expectation) want(k, any expectKey) string {
	if e.all != "" {
		return e.all
	}
	if v, ok := e.pairs[k]; ok {
		return v
	}
	return e.pairs[any]
}

func (k expectKey) describe() string {
	s := fmt.Sprintf("%s → %s %s", k.Source, k.Destination, strings.ToLower(k.Protocol))
	if k.Port > 0 {
		s += fmt.Sprintf(":%d", k.Port)
	}
	if k.Family == "IPv6" {
		s += " (IPv6)"
	}
	return s
}

// protocolName is a protocol as reports spell it, however it was typed.
func protocolName(s string) string {
	if p, err := connectivity.ParseProtocol(s); err == nil {
		return p.String()
	}
	return s
}
