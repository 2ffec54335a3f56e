//go:build linux

package enforce

import (
	"context"
	"net/netip"

	"github.com/netpol-project/netpol/pkg/enforce/push"
	"github.com/netpol-project/netpol/pkg/policy"
)

// push tells the flows server until ctx ends.
func (a *Agent) push(ctx context.Context) {
	local := push.Local{Agent: &server{a: a}, Flows: a.flows, Store: a.store, Snapshot: a.newest, Namespace: a.namespaceOf}
	push.New(*a.opts.Push, local).Run(ctx)
}

// newest is the snapshot that is in the kernel, nil before the first.
func (a *Agent) newest() *policy.Snapshot {
	if r, ok := a.history.latest(); ok {
		return r.model.Snapshot()
	}
	return nil
}

// namespaceOf is the namespace of the pod that has an address.
func (a *Agent) namespaceOf(addr netip.Addr) (namespace string, ok bool) {
	r, ok := a.history.latest()
	if !ok {
		return "", false
	}
	ep := r.model.Peer(addr).Endpoint
	if ep == nil {
		return "", false
	}
	return ep.Namespace, true
}
