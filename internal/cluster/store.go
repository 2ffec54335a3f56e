// Package cluster is where resources live: a directory of manifests, and in
// package kube below it a Kubernetes API server. Both answer the same small
// interface.
package cluster

import (
	"context"
	"errors"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/netpol-project/netpol/pkg/policy"
)

// Errors that callers tell apart with errors.Is.
var (
	ErrNotFound = errors.New("not found")
	// ErrConflict: the resource is not as the precondition says.
	ErrConflict = errors.New("conflict")
)

// Store reads and changes resources.
type Store interface {
	// Get returns one resource, or an error that Is ErrNotFound.
	Get(ctx context.Context, key policy.Key) (*unstructured.Unstructured, error)
	// Keys are the keys of all resources there are, also of those with faults.
	Keys(ctx context.Context) ([]policy.Key, error)
	// List returns the resources of a kind, sorted by namespace and name; an
	// empty namespace means all.
	List(ctx context.Context, kind policy.Kind, namespace string) ([]*unstructured.Unstructured, error)
	// Change carries out all changes in order, or none where the store can
	// (a directory writes each file once). With dryRun nothing is written.
	// The results are in the order of the changes.
	Change(ctx context.Context, changes []Change, dryRun bool) ([]Result, error)
	// Snapshot is everything now. Resources with faults are left out; faults
	// says which and why (policy.Faults), err that nothing could be read.
	Snapshot(ctx context.Context) (snap *policy.Snapshot, faults policy.Faults, err error)
	// Watch sends a State at once and after every change, newest only, until
	// ctx ends.
	Watch(ctx context.Context) (<-chan State, error)
}

// Server is a Store that others write to as well, with rules of its own.
type Server interface {
	Store
	// ChangeWith is Change with more to say about how.
	ChangeWith(ctx context.Context, changes []Change, opts ChangeOptions) ([]Result, error)
	// Only is the store with a Snapshot of some kinds alone.
	Only(kinds ...policy.Kind) Store
}

// Narrow is a store whose Snapshot need have no more than some kinds: where
// reading is costly and needs rights, the others are left out.
func Narrow(s Store, kinds ...policy.Kind) Store {
	if server, ok := s.(Server); ok && len(kinds) > 0 {
		return server.Only(kinds...)
	}
	return s
}

// DryRun says how much of a change is only tried.
type DryRun uint8

// The ways to change something.
const (
	NoDryRun     DryRun = iota
	DryRunClient        // read what is there, write nothing
	DryRunServer        // let the server check it, too
)

// ChangeOptions say how a server is to be changed.
type ChangeOptions struct {
	DryRun DryRun
	// Force takes over fields that others manage.
	Force bool
}

// State is what Watch sends. It may have the Snapshot of the State before and
// newer Versions, where a change made no difference to any verdict.
type State struct {
	Snapshot *policy.Snapshot
	Faults   policy.Faults
	// Versions are for Has; nil for a directory.
	Versions *Versions
}

// Change is one edit: Object is created or replaced, or Delete is removed.
type Change struct {
	Object *unstructured.Unstructured // nil for a deletion
	Delete policy.Key                 // set for a deletion
	// Version is the resourceVersion that what is to be deleted was read with: a
	// deletion fails with ErrConflict if it is another by now. "" for any.
	Version string
	// IfAbsent fails with ErrConflict if the object exists already.
	IfAbsent bool
	// Text is what a directory writes for an object that it has not yet, with
	// comments; nil: the object as Render writes it. It must say the same.
	Text []byte
	// Comments are what a directory writes above elements that it adds to lists of
	// a spec, by the list's field and the element's index. They change nothing.
	Comments Comments
}

// Comments are comments on elements of lists of a spec, by field and index.
type Comments map[string]map[int]string

// Outcome is what a change did, as kubectl words it.
type Outcome string

// The outcomes.
const (
	Created    Outcome = "created"
	Configured Outcome = "configured"
	Unchanged  Outcome = "unchanged"
	Deleted    Outcome = "deleted"
)

// Result tells what one change did.
type Result struct {
	Key     policy.Key
	Outcome Outcome
	Where   policy.Origin // file it was written to
	// Version is the resource's version after the change, for an API server
	// alone; of a deletion the version before it.
	Version string
}
