package kube

import (
	"context"
	"time"
)

// Raw reads single documents of an API server, for what is no resource that
// policies are made of.
type Raw struct{ api *api }

// NewRaw opens nothing yet. Each Get takes at most timeout.
func NewRaw(conn *Conn, timeout time.Duration) (*Raw, error) {
	a, err := newAPI(conn, Options{Timeout: timeout, Warn: func(string) {}})
	if err != nil {
		return nil, err
	}
	return &Raw{a}, nil
}

// Get reads the JSON at a path; parts are not escaped. An error of the server is
// a StatusError of client-go.
func (r *Raw) Get(ctx context.Context, path ...string) ([]byte, error) {
	return r.api.get(ctx, path, nil)
}

// Select is Get of a list, of what has these labels.
func (r *Raw) Select(ctx context.Context, labels string, path ...string) ([]byte, error) {
	return r.api.get(ctx, path, params{"labelSelector": labels})
}

// Failure is an error of Get as users see it; what is what was to be done.
func (r *Raw) Failure(what string, err error) error {
	return r.api.fail(request{verb: what}, err)
}
