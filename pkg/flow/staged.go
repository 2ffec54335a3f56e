package flow

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/netpol-project/netpol/pkg/policy"
)

// StagedSpec is what was known of a staged policy from a moment on.
type StagedSpec struct {
	Key policy.Key
	// Spec stands for what the policy says; empty: it is not staged any more.
	Spec string
	// Since is when it was first seen, Unix nanoseconds.
	Since int64
}

// maxStaged bounds the policies whose time is remembered.
const maxStaged = 10_000

// Staged notes which policies are staged at the moment now, as one who sees all
// of them does.
func (a *Aggregator) Staged(snap *policy.Snapshot, now time.Time) {
	present := map[policy.Key]string{}
	for _, p := range snap.Policies {
		if p.Kind.Staged() && len(present) < maxStaged {
			present[p.Key] = specOf(p)
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sawStaged = true
	at := now.UnixNano()
	for k, was := range a.staged {
		if _, ok := present[k]; !ok && was.Spec != "" {
			a.stage(StagedSpec{Key: k, Since: at})
		}
	}
	for k, spec := range present {
		if was := a.staged[k]; was.Spec != spec {
			a.stage(StagedSpec{Key: k, Spec: spec, Since: max(at, was.Since+1)})
		}
	}
}

// HeardStaged notes what others have seen: of the same policy the earliest
// moment, of a policy that was changed the last change.
func (a *Aggregator) HeardStaged(list []StagedSpec, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, s := range list {
		s.Since = min(s.Since, now.UnixNano())
		was, known := a.staged[s.Key]
		switch {
		case known && was.Spec == s.Spec && was.Since <= s.Since,
			known && was.Spec != s.Spec && was.Since >= s.Since,
			!known && len(a.staged) >= 2*maxStaged:
		default:
			a.stage(s)
		}
	}
}

// stage needs the lock.
func (a *Aggregator) stage(s StagedSpec) {
	a.staged[s.Key] = s
	a.stagedChange++
}

// StagedSpecs are all that is remembered of staged policies, sorted by key.
// change is another number whenever something of it has changed.
func (a *Aggregator) StagedSpecs() (list []StagedSpec, change uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.stagedSpecs(), a.stagedChange
}

// StagedChange is StagedSpecs' number alone.
func (a *Aggregator) StagedChange() uint64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.stagedChange
}

func (a *Aggregator) stagedSpecs() []StagedSpec {
	return slices.SortedFunc(maps.Values(a.staged), func(x, y StagedSpec) int { return x.Key.Compare(y.Key) })
}

// policies are since when what is staged has been. It needs the lock.
func (a *Aggregator) policies() (out []PolicySince) {
	for _, s := range a.stagedSpecs() {
		if s.Spec != "" {
			out = append(out, PolicySince{Key: s.Key, Since: time.Unix(0, s.Since).UTC()})
		}
	}
	return out
}

// forgetStaged drops policies that were taken back before the moment oldest.
func (a *Aggregator) forgetStaged(oldest int64) {
	for k, s := range a.staged {
		if s.Spec == "" && s.Since < oldest {
			delete(a.staged, k)
			a.stagedChange++
		}
	}
}

// specOf stands for what a policy says: two that say the same have the same.
func specOf(p *policy.Policy) string {
	h := sha256.New()
	writeFields(h, reflect.ValueOf(p).Elem())
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// writeSpec writes what is set of a value; fields that are not are left out, so
// that one that a later version adds makes no policy another.
func writeSpec(h hash.Hash, v reflect.Value) {
	if v.CanInterface() {
		if s, ok := v.Interface().(fmt.Stringer); ok && v.Kind() != reflect.Slice {
			fmt.Fprintf(h, "%q", s.String())
			return
		}
	}
	switch v.Kind() {
	case reflect.Pointer:
		writeSpec(h, v.Elem())
	case reflect.Struct:
		writeFields(h, v)
	case reflect.Slice, reflect.Array:
		fmt.Fprint(h, "[")
		for i := range v.Len() {
			writeSpec(h, v.Index(i))
			fmt.Fprint(h, ",")
		}
		fmt.Fprint(h, "]")
	default:
		fmt.Fprintf(h, "%v", v.Interface())
	}
}

func writeFields(h hash.Hash, v reflect.Value) {
	fmt.Fprint(h, "{")
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if !v.Field(i).IsZero() && f.IsExported() && f.Name != "Origin" {
			fmt.Fprint(h, f.Name, ":")
			writeSpec(h, v.Field(i))
			fmt.Fprint(h, ";")
		}
	}
	fmt.Fprint(h, "}")
}
