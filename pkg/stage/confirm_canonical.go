package stage

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/json"
)

// canonical writes a spec as JSON in the one form that an API server can compare
// with a spec: what '%s'.format([spec]) is in its expression language, which has
// no reader of JSON. Keys are sorted, ", " stands between members and nothing
// behind a colon, and strings are quoted as Go does; numbers have six digits behind the point or none. So an admission policy can
// hold those who write a trial, and those who take it back, to the very spec
// that was enforced. A string that Go quotes in a way that JSON does not know is
// an error.
func canonical(spec any) (string, error) {
	var b strings.Builder
	if err := writeCanonical(&b, orEmpty(spec)); err != nil {
		return "", err
	}
	back, err := fromCanonical(b.String())
	if err != nil || !same(back, orEmpty(spec)) {
		return "", errors.New("it has characters, or a number with more than six digits behind the point, that a policy on trial can't carry")
	}
	return b.String(), nil
}

// fromCanonical reads it again.
func fromCanonical(text string) (map[string]any, error) {
	var out map[string]any
	if err := json.Unmarshal([]byte(text), &out); err != nil {
		return nil, err
	}
	return out, nil
}

// same compares specs, with whole numbers of any type alike.
func same(a, b any) bool {
	switch a := a.(type) {
	case map[string]any:
		b, ok := b.(map[string]any)
		return ok && maps.EqualFunc(a, b, same)
	case []any:
		b, ok := b.([]any)
		return ok && slices.EqualFunc(a, b, same)
	}
	return number(a) == number(b)
}

func number(v any) any {
	if n, ok := v.(int64); ok {
		return float64(n)
	}
	return v
}

// orEmpty is a spec, or an empty one where there is none.
func orEmpty(spec any) any {
	if m, ok := spec.(map[string]any); spec == nil || ok && m == nil {
		return map[string]any{}
	}
	return spec
}

func writeCanonical(b *strings.Builder, v any) error {
	switch v := v.(type) {
	case nil:
		b.WriteString("null")
	case bool:
		b.WriteString(strconv.FormatBool(v))
	case int64:
		b.WriteString(strconv.FormatInt(v, 10))
	case float64:
		b.WriteString(canonicalNumber(v))
	case string:
		b.WriteString(strconv.Quote(v))
	case []any:
		b.WriteByte('[')
		for i := range v {
			if i > 0 {
				b.WriteString(", ")
			}
			if err := writeCanonical(b, v[i]); err != nil {
				return err
			}
		}
		b.WriteByte(']')
	case map[string]any:
		return writeMap(b, v)
	default:
		return fmt.Errorf("a %T is no part of a spec", v)
	}
	return nil
}

// canonicalNumber writes a whole number as a server keeps it, and others with six
// digits, as its expression language does. One that has more is told by who
// compares.
func canonicalNumber(v float64) string {
	if v == math.Trunc(v) && math.Abs(v) < 1e15 {
		return strconv.FormatInt(int64(v), 10)
	}
	return strconv.FormatFloat(v, 'f', 6, 64)
}

// writeMap sorts keys as they are quoted.
func writeMap(b *strings.Builder, m map[string]any) error {
	keys := slices.SortedFunc(maps.Keys(m), func(x, y string) int {
		return strings.Compare(strconv.Quote(x), strconv.Quote(y))
	})
	b.WriteByte('{')
	for i, k := range keys {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(strconv.Quote(k))
		b.WriteByte(':')
		if err := writeCanonical(b, m[k]); err != nil {
			return err
		}
	}
	b.WriteByte('}')
	return nil
}
