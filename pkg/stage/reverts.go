package stage

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/netpol-project/netpol/pkg/policy"
)

// maxReverts bounds how many reverts are kept apart from policies.
const maxReverts = 256

// RevertedPolicy is a policy that went because its trial ended and there was none
// before. Nothing is left that could carry that.
type RevertedPolicy struct {
	Kind      policy.Kind `json:"kind"`
	Namespace string      `json:"namespace,omitempty"`
	Name      string      `json:"name"`
	Revert    Revert      `json:"revert"`
}

// Reverts has such policies by ArchiveName, as JSON texts. It has no specs, so
// that who may write it can have nothing put in force by way of it.
type Reverts map[string]string

// Put notes a revert, and drops the oldest until there are not too many.
func (r Reverts) Put(key policy.Key, by Revert) error {
	if _, err := by.note(); err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	text, err := json.Marshal(RevertedPolicy{key.Kind, key.Namespace, key.Name, by})
	if err != nil {
		return fmt.Errorf("%s: who took it back: %w", key, err)
	}
	r[ArchiveName(key)] = string(text)
	for len(r) > maxReverts {
		oldest := slices.MinFunc(slices.Sorted(maps.Keys(r)), func(a, b string) int {
			switch x, y := r.time(a), r.time(b); {
			case x < y:
				return -1
			case x > y:
				return 1
			}
			return 0
		})
		delete(r, oldest)
	}
	return nil
}

func (r Reverts) time(name string) string {
	var one RevertedPolicy
	_ = json.Unmarshal([]byte(r[name]), &one)
	return one.Revert.Time
}

// All are the reverts that can be read, sorted.
func (r Reverts) All() []RevertedPolicy {
	var out []RevertedPolicy
	for _, name := range slices.Sorted(maps.Keys(r)) {
		var one RevertedPolicy
		if json.Unmarshal([]byte(r[name]), &one) == nil {
			out = append(out, one)
		}
	}
	return out
}

// WithReverts ends the histories of policies whose last revision was taken back
// with that.
func (a Archive) WithReverts(list []RevertedPolicy) error {
	for _, one := range list {
		key := policy.Key{Kind: one.Kind, Namespace: one.Namespace, Name: one.Name}
		kept := a.Get(key)
		last := lastOf(kept)
		if last == nil || last.Deleted || last.Revision < 1 || uint64(last.Revision) != one.Revert.Revision {
			continue
		}
		text, err := json.Marshal(Archived{key.Kind, key.Namespace, key.Name, append(kept, one.Revert.revision(last.Revision+1, nil))})
		if err != nil {
			return fmt.Errorf("%s: history: %w", key, err)
		}
		a[ArchiveName(key)] = string(text)
	}
	return nil
}
