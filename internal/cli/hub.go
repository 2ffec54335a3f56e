package cli

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"google.golang.org/grpc"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/netpol-project/netpol/internal/cluster/reach"
	"github.com/netpol-project/netpol/internal/cluster/review"
)

// once is a value that is made when it is first asked for.
type once[T any] struct {
	sync.Once
	value T
	err   error
}

func (o *once[T]) get(ctx context.Context, make func(context.Context) (T, error)) (T, error) {
	o.Do(func() { o.value, o.err = make(ctx) })
	return o.value, o.err
}

// dialHub connects to the flows server of a cluster.
func (f *Factory) dialHub(ctx context.Context) (*grpc.ClientConn, error) {
	conn, err := f.Cluster()
	if err != nil {
		return nil, err
	}
	hub, err := reach.Dial(ctx, conn.Config)
	if err != nil {
		err = hubError(err)
		if calicos := f.calicoWaits(ctx); errors.Is(err, ErrNotInstalled) && calicos != nil {
			return nil, calicos
		}
		return nil, err
	}
	return hub, nil
}

// grant is what an administrator types so that a step works.
func grant(step reach.Step) string {
	if step == reach.StepToken {
		return "a kubeconfig with a token; or as an administrator: kubectl create role netpol-flows-token -n netpol-system --verb=create --resource=serviceaccounts/token --resource-name=netpol-flows-reader, and a rolebinding of it"
	}
	return "as an administrator: kubectl create rolebinding NAME -n netpol-system --role=netpol-flows-connect --user=USER"
}

// hubError is why the flows server can't be reached, as users see it.
func hubError(err error) error {
	var step *reach.Error
	var none *review.NoServerError
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case !errors.As(err, &step):
		return &Error{What: "the flows server can't be reached", Where: []string{err.Error()}, Try: tryHub, Err: err}
	case errors.As(err, &none) && none.Pods > 0:
		return &Error{What: none.Error(), Try: "netpol status, or " + tryHub, Err: err}
	case apierrors.IsNotFound(err), errors.As(err, &none):
		return &Error{
			What: "netpol is not installed in this cluster, or its flows server has not started yet", Where: []string{err.Error()},
			Try: "netpol install, or where Calico enforces --flows goldmane://HOST:PORT", Err: fmt.Errorf("%w: %w", ErrNotInstalled, err),
		}
	case apierrors.IsForbidden(err):
		return &Error{What: "a right is missing for " + string(step.Step), Where: []string{step.Err.Error()}, Try: grant(step.Step), Err: err}
	}
	return &Error{What: "the flows server can't be reached", Where: []string{err.Error()}, Try: tryHub, Err: err}
}

// tryHub is where to look for what is wrong with the flows server.
const tryHub = "kubectl -n netpol-system get pods"

// ErrNotInstalled: the cluster has no flows server of netpol's.
var ErrNotInstalled = errors.New("netpol is not installed")
