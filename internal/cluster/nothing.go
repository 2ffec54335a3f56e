package cluster

import (
	"context"
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/netpol-project/netpol/pkg/policy"
)

// ErrNowhere: there is no place to write to.
var ErrNowhere = errors.New("there is nowhere to write to")

// Nothing is a Store without resources, which takes none: for commands that look
// at flows that bring their world with them.
func Nothing() Store { return nothing{} }

type nothing struct{}

// Get implements Store.
func (nothing) Get(_ context.Context, key policy.Key) (*unstructured.Unstructured, error) {
	return nil, fmt.Errorf("%s: %w", key, ErrNotFound)
}

// Keys implements Store.
func (nothing) Keys(context.Context) ([]policy.Key, error) { return nil, nil }

// List implements Store.
func (nothing) List(context.Context, policy.Kind, string) ([]*unstructured.Unstructured, error) {
	return nil, nil
}

// Change implements Store.
func (nothing) Change(context.Context, []Change, bool) ([]Result, error) { return nil, ErrNowhere }

// Snapshot implements Store.
func (nothing) Snapshot(context.Context) (*policy.Snapshot, policy.Faults, error) {
	snap, faults := policy.NewSnapshot(1, nil, nil)
	return snap, faults, nil
}

// Watch implements Store: nothing ever changes.
func (n nothing) Watch(ctx context.Context) (<-chan State, error) {
	snap, faults, err := n.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	out := make(chan State, 1)
	out <- State{Snapshot: snap, Faults: faults}
	context.AfterFunc(ctx, func() { close(out) })
	return out, nil
}
