package cluster

import (
	"context"
	"errors"
	"fmt"

	"github.com/netpol-project/netpol/pkg/stage"
)

// TakeBack writes back what was enforced before a trial, if the policy is still
// on it. done tells whether this call did. by is who does it and why; if that
// can't be noted, done is true and err says so.
func TakeBack(ctx context.Context, store Store, id stage.TrialID, by stage.Revert) (done bool, err error) {
	object, err := store.Get(ctx, id.Key)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	edit, err := stage.TakeBack(object, id, by)
	if errors.Is(err, stage.ErrNoTrial) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	changes := []Change{{Object: edit.Object, Delete: edit.Delete, Version: edit.Version}}
	if server, ok := store.(Server); ok {
		_, err = server.ChangeWith(ctx, changes, ChangeOptions{Force: true})
	} else {
		_, err = store.Change(ctx, changes, false)
	}
	switch {
	case errors.Is(err, ErrConflict), errors.Is(err, ErrNotFound):
		return false, nil // somebody was faster; what it is now will be told
	case err != nil:
		return false, fmt.Errorf("%s: %w", id.Key, err)
	}
	if edit.Object == nil { // nothing is left that could carry it
		by.Revision = id.Revision
		err = noteRevert(ctx, store, id.Key, by)
	}
	return true, err
}
