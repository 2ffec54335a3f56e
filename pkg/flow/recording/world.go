package recording

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/netpol-project/netpol/pkg/policy"
)

// world gathers objects; the later of two with one key counts.
type world struct {
	dec   *policy.Decoder
	at    map[policy.Key]int
	all   []policy.Resource
	snap  *policy.Snapshot
	stale bool
}

func newWorld() *world {
	return &world{dec: policy.NewDecoder(), at: map[policy.Key]int{}, stale: true}
}

// add reads an object. Kinds that a recording has no business to have are
// refused, policies among them.
func (w *world) add(name string, object json.RawMessage) error {
	resources, faults := w.dec.Decode(name, object)
	if err := faults.Errors().Err(); err != nil {
		return fmt.Errorf("object: %s", strings.TrimSpace(err.Error()))
	}
	for _, r := range resources {
		switch r.Value.(type) {
		case *policy.Namespace, *policy.Node, *policy.ServiceAccount, *policy.Endpoint, *policy.Service,
			*policy.Slice, *policy.NetworkSet, *policy.HostEndpoint:
		default:
			return fmt.Errorf("object: a recording has no %s", r.Key.Kind)
		}
		w.stale = true
		if i, again := w.at[r.Key]; again {
			w.all[i] = r
			continue
		}
		w.at[r.Key] = len(w.all)
		w.all = append(w.all, r)
	}
	return nil
}

// snapshot is everything that was read so far.
func (w *world) snapshot() *policy.Snapshot {
	if w.stale {
		w.snap, _ = policy.NewSnapshot(1, w.all, w.snap)
		w.stale = false
	}
	return w.snap
}
