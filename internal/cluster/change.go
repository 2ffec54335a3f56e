package cluster

import (
	"context"
	"slices"

	"github.com/netpol-project/netpol/pkg/policy"
)

// Change carries out the changes under a lock that other processes honour. All
// are checked and rendered before the first file is written; each file is
// written once, in the order in which the changes first touch it, so that of
// several changes in one file a reader sees all or none. An object with faults
// is refused with policy.Faults.
//
// A policy that is enforced or staged out of its twin of the same name (the
// one created, the other deleted by the same call) takes the twin's place in
// its file, comments and all.
func (d *Dir) Change(_ context.Context, changes []Change, dryRun bool) ([]Result, error) {
	if err := Validate(changes); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	unlock, err := d.lock(dryRun)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := d.rescan(); err != nil {
		return nil, err
	}
	p := plan{dir: d, texts: map[string]*text{}, moving: twins(changes), places: d.places(changes)}
	for _, c := range changes {
		if err := p.add(c); err != nil {
			return nil, err
		}
	}
	if dryRun {
		return p.results, nil
	}
	if err := p.write(); err != nil {
		return nil, err
	}
	// What was written is known now; a watch need not read it again.
	return p.results, d.rescan()
}

// Validate refuses objects with faults, all of them at once.
func Validate(changes []Change) error {
	var all policy.Faults
	for _, c := range changes {
		if c.Object == nil {
			continue
		}
		_, faults := policy.ValidateObject(c.Object)
		all = append(all, faults...)
	}
	return all.Err()
}

// twins are the keys to be created, by the staged or enforced twin that the
// same call deletes.
func twins(changes []Change) map[policy.Key]policy.Key {
	deleted := map[policy.Key]bool{}
	for _, c := range changes {
		if c.Object == nil {
			deleted[c.Delete] = true
		}
	}
	out := map[policy.Key]policy.Key{}
	for _, c := range changes {
		if c.Object == nil {
			continue
		}
		key := KeyOf(c.Object)
		for gone := range deleted {
			if gone.Kind != key.Kind && gone.Kind.Enforced() == key.Kind.Enforced() &&
				gone.Namespace == key.Namespace && gone.Name == key.Name {
				out[key] = gone
			}
		}
	}
	return out
}

// places are the files in which the resources of some changes, or their twins,
// are now. d.mu is held.
func (d *Dir) places(changes []Change) map[policy.Key][]string {
	out := map[policy.Key][]string{}
	for _, c := range changes {
		key := c.Delete
		if c.Object != nil {
			key = KeyOf(c.Object)
		}
		out[key] = nil
	}
	for _, f := range d.files {
		for i := range f.resources {
			key := f.resources[i].Key
			if paths, asked := out[key]; asked && !slices.Contains(paths, f.path) {
				out[key] = append(paths, f.path)
			}
		}
	}
	return out
}
