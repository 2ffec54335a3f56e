package policy

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
)

// fromAny makes a tree of decoded JSON. Keys are sorted, so that faults come
// in a stable order.
func fromAny(v any, to *node) {
	switch v := v.(type) {
	case nil:
		to.kind = isNull
	case string:
		to.kind, to.text = isString, v
	case bool:
		to.kind, to.text = isBool, strconv.FormatBool(v)
	case int64:
		to.kind, to.text = isNumber, strconv.FormatInt(v, 10)
	case int:
		to.kind, to.text = isNumber, strconv.Itoa(v)
	case float64:
		to.kind, to.text = isNumber, strconv.FormatFloat(v, 'g', -1, 64)
	case json.Number:
		to.kind, to.text = isNumber, v.String()
	case []any:
		to.kind = isList
		to.kids = make([]entry, len(v))
		for i := range v {
			fromAny(v[i], &to.kids[i].node)
		}
	case map[string]any:
		to.kind = isMap
		to.kids = make([]entry, 0, len(v))
		for _, k := range slices.Sorted(maps.Keys(v)) {
			to.kids = append(to.kids, entry{key: k})
			fromAny(v[k], &to.kids[len(to.kids)-1].node)
		}
	default:
		// Objects in memory may hold Go types of their own ([]string).
		fromJSON(v, to)
	}
}

// fromJSON takes any other value the long way round.
func fromJSON(v any, to *node) {
	b, err := json.Marshal(v)
	if err != nil {
		to.kind, to.text = isString, fmt.Sprint(v)
		return
	}
	var plain any
	if json.Unmarshal(b, &plain) == nil {
		fromAny(plain, to)
	}
}
