package tier

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/netpol-project/netpol/pkg/policy"
)

// identities number the distinct (namespace, labels, named ports) that
// endpoints have.
type identities struct {
	byEndpoint overlay[*policy.Endpoint, int32]
	byKey      overlay[string, int32]
	// reps has one endpoint of each identity, by number.
	reps []*policy.Endpoint
}

func identityKey(ep *policy.Endpoint) string {
	var b strings.Builder
	b.WriteString(ep.Namespace)
	for _, k := range slices.Sorted(maps.Keys(ep.Labels)) {
		b.WriteByte(0)
		b.WriteString(k)
		b.WriteByte(1)
		b.WriteString(ep.Labels[k])
	}
	for i := range ep.Ports {
		if p := &ep.Ports[i]; p.Name != "" { // S21
			fmt.Fprintf(&b, "\x02%s\x01%d:%d", p.Name, p.Protocol, p.Port)
		}
	}
	return b.String()
}

// extend returns the table with more endpoints, and the numbers of identities
// that are new.
func (t identities) extend(added []*policy.Endpoint) (identities, []int32) {
	if len(added) == 0 {
		return t, nil
	}
	var fresh []int32
	t.byEndpoint = t.byEndpoint.with(len(added))
	t.byKey = t.byKey.with(len(added))
	t.reps = slices.Clip(t.reps) // an append must not write into an older model's array
	for _, ep := range added {
		key := identityKey(ep)
		id, ok := t.byKey.get(key)
		if !ok {
			id = int32(len(t.reps))
			t.reps = append(t.reps, ep)
			t.byKey.set(key, id)
			fresh = append(fresh, id)
		}
		t.byEndpoint.set(ep, id)
	}
	return t, fresh
}

// of is the identity of an endpoint of the snapshot. An endpoint that the
// model has never seen gets the identity that its labels have, or -1: no
// selector matches it then, so nothing is allowed by mistake of the caller.
func (t *identities) of(ep *policy.Endpoint) int32 {
	if ep == nil {
		return -1
	}
	if id, ok := t.byEndpoint.get(ep); ok {
		return id
	}
	if id, ok := t.byKey.get(identityKey(ep)); ok {
		return id
	}
	return -1
}

// rep is an endpoint of the identity; nil for -1.
func (t *identities) rep(id int32) *policy.Endpoint {
	if id < 0 {
		return nil
	}
	return t.reps[id]
}
