package kube

import (
	"cmp"
	"reflect"
	"slices"
	"strings"

	"github.com/netpol-project/netpol/internal/cluster"
	"github.com/netpol-project/netpol/pkg/policy"
)

// cache is the resources of a cluster as they were decoded. It is not safe for
// use by several goroutines.
type cache struct {
	// flat is every resource; the place of one that is gone has no Value and
	// is in free, so that a change moves no other resource: what changes from
	// one snapshot to the next stays one short stretch.
	flat   []policy.Resource
	free   []int32
	kinds  map[policy.Kind]*kindCache
	gone   []cluster.Deletion
	faults int // resources with faults
}

// kindCache is the resources of a kind.
type kindCache struct {
	at     map[name]int32 // in flat
	faults map[name]policy.Faults
	// in is how many there are in each namespace.
	in map[string]int
	// version is the newest that was seen; empty where there is no such API.
	version string
}

// name is how the server knows a resource of a kind.
type name struct{ namespace, name string }

func newCache() *cache { return &cache{kinds: map[policy.Kind]*kindCache{}} }

func (c *cache) kind(k policy.Kind) *kindCache {
	kc := c.kinds[k]
	if kc == nil {
		kc = &kindCache{at: map[name]int32{}, faults: map[name]policy.Faults{}, in: map[string]int{}}
		c.kinds[k] = kc
	}
	return kc
}

// put takes a resource in and says whether that changes anything that is kept.
func (c *cache) put(kind policy.Kind, s policy.Served) bool {
	kc, id := c.kind(kind), name{s.Namespace, s.Name}
	changed := c.setFaults(kc, id, s.Faults)
	i, known := kc.at[id]
	if known {
		old := &c.flat[i]
		// Most changes are of what is not kept: what stays the same stays the
		// same pointer.
		if old.Key == s.Key && reflect.DeepEqual(old.Value, s.Value) {
			return changed
		}
		*old = s.Resource
		return true
	}
	if n := len(c.free); n > 0 {
		i, c.free = c.free[n-1], c.free[:n-1]
		c.flat[i] = s.Resource
	} else {
		i = int32(len(c.flat))
		c.flat = append(c.flat, s.Resource)
	}
	kc.at[id] = i
	kc.in[id.namespace]++
	return true
}

// remove takes a resource out; version is that of its deletion.
func (c *cache) remove(kind policy.Kind, id name, version string) bool {
	kc := c.kind(kind)
	i, known := kc.at[id]
	if !known {
		return false
	}
	c.bury(c.flat[i].Key, version)
	c.flat[i] = policy.Resource{}
	c.free = append(c.free, i)
	delete(kc.at, id)
	if kc.in[id.namespace]--; kc.in[id.namespace] == 0 {
		delete(kc.in, id.namespace)
	}
	c.setFaults(kc, id, nil)
	return true
}

func (c *cache) setFaults(kc *kindCache, id name, faults policy.Faults) bool {
	old := kc.faults[id]
	if slices.Equal(old, faults) {
		return false
	}
	if len(old) > 0 {
		c.faults--
	}
	if len(faults) > 0 {
		c.faults++
		kc.faults[id] = faults
	} else {
		delete(kc.faults, id)
	}
	return true
}

// replace takes all resources of a kind at once.
func (c *cache) replace(kind policy.Kind, items []policy.Served, version string) bool {
	kc := c.kind(kind)
	there := make(map[name]bool, len(items))
	changed := false
	if room := len(c.flat) + len(items) - len(kc.at); room > cap(c.flat) {
		c.flat = slices.Grow(c.flat, room-len(c.flat))
	}
	for i := range items {
		there[name{items[i].Namespace, items[i].Name}] = true
		changed = c.put(kind, items[i]) || changed
	}
	var gone []name
	for id := range kc.at {
		if !there[id] {
			gone = append(gone, id)
		}
	}
	slices.SortFunc(gone, name.compare)
	for _, id := range gone {
		changed = c.remove(kind, id, version) || changed
	}
	kc.version = version
	return changed
}

func (n name) compare(o name) int {
	return cmp.Or(strings.Compare(n.namespace, o.namespace), strings.Compare(n.name, o.name))
}

// mostGone is how many deletions are remembered.
const mostGone = 64

// bury remembers a deletion. Lists that were handed out stay as they are.
func (c *cache) bury(key policy.Key, version string) {
	kept := c.gone
	if len(kept) >= mostGone {
		kept = kept[len(kept)-mostGone+1:]
	}
	c.gone = append(slices.Clone(kept), cluster.Deletion{Key: key, Version: version})
}

// versions are how far the cache has come.
func (c *cache) versions() *cluster.Versions {
	v := &cluster.Versions{Seen: make(map[policy.Kind]string, len(c.kinds)), Gone: c.gone}
	for k, kc := range c.kinds {
		if kc.version != "" {
			v.Seen[k] = kc.version
		}
	}
	return v
}

// allFaults are those of all resources, by kind and name.
func (c *cache) allFaults() policy.Faults {
	if c.faults == 0 {
		return nil
	}
	var out policy.Faults
	for _, kc := range c.kinds {
		for _, f := range kc.faults {
			out = append(out, f...)
		}
	}
	slices.SortStableFunc(out, func(a, b policy.Fault) int {
		return cmp.Or(a.Key.Compare(b.Key), strings.Compare(a.Field, b.Field))
	})
	return out
}

// keys are the keys of all resources, sorted.
func (c *cache) keys() []policy.Key {
	var out []policy.Key
	for _, kc := range c.kinds {
		for _, i := range kc.at {
			out = append(out, c.flat[i].Key)
		}
	}
	slices.SortFunc(out, policy.Key.Compare)
	return out
}
