package stage

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/netpol-project/netpol/pkg/policy"
)

// Archived is the history of a policy that does not carry it itself: it was
// deleted, or it is a file.
type Archived struct {
	Kind      policy.Kind `json:"kind"`
	Namespace string      `json:"namespace,omitempty"`
	Name      string      `json:"name"`
	Revisions []Revision  `json:"revisions"`
}

// Key is the policy.
func (a Archived) Key() policy.Key {
	return policy.Key{Kind: a.Kind, Namespace: a.Namespace, Name: a.Name}
}

// Archive has the histories of several policies, sorted by ArchiveName: JSON
// texts by names that a ConfigMap takes.
type Archive map[string]string

// ArchiveName is the name of a policy's history in an archive.
func ArchiveName(key policy.Key) string {
	name := strings.Join([]string{string(key.Kind), key.Namespace, key.Name}, ".")
	if len(name) <= 253 {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	return name[:200] + "-" + hex.EncodeToString(sum[:16])
}

// Get is a policy's history; none if it can't be read.
func (a Archive) Get(key policy.Key) []Revision {
	var out Archived
	if json.Unmarshal([]byte(a[ArchiveName(key)]), &out) != nil || out.Key() != key {
		return nil
	}
	return out.Revisions
}

// Put writes a policy's history, and drops those that changed longest ago until
// all together have at most limit bytes.
func (a Archive) Put(key policy.Key, history []Revision, limit int) error {
	text, err := json.Marshal(Archived{key.Kind, key.Namespace, key.Name, history})
	if err != nil {
		return fmt.Errorf("%s: history: %w", key, err)
	}
	name := ArchiveName(key)
	a[name] = string(text)
	for a.size() > limit && len(a) > 1 {
		oldest := ""
		for _, other := range a.names() {
			if other != name && (oldest == "" || a.changed(other) < a.changed(oldest)) {
				oldest = other
			}
		}
		delete(a, oldest)
	}
	return nil
}

// All are the histories that can be read, sorted.
func (a Archive) All() []Archived {
	var out []Archived
	for _, name := range a.names() {
		var one Archived
		if json.Unmarshal([]byte(a[name]), &one) == nil {
			out = append(out, one)
		}
	}
	return out
}

func (a Archive) names() []string {
	out := make([]string, 0, len(a))
	for name := range a {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

func (a Archive) size() int {
	n := 0
	for name, text := range a {
		n += len(name) + len(text)
	}
	return n
}

// changed is when a history got its last revision, as text that sorts; "" where
// that is not known.
func (a Archive) changed(name string) string {
	var one Archived
	if json.Unmarshal([]byte(a[name]), &one) != nil {
		return ""
	}
	for _, r := range slices.Backward(one.Revisions) {
		if r.Time != "" {
			return r.Time
		}
	}
	return ""
}
