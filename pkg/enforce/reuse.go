//go:build linux

package enforce

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/netpol-project/netpol/pkg/tier"
)

// forgetFormer deletes the conntrack entries of addresses that have become
// another pod's, before the new rules are in force: what the former owner was
// allowed must not go on as an established connection of the new one (S35).
func (a *Agent) forgetFormer(ctx context.Context, prev, next *tier.Model) error {
	if slices.Equal(prev.Snapshot().Endpoints, next.Snapshot().Endpoints) {
		return nil
	}
	var former []*liveConn
	for _, c := range a.live.list() {
		src, dst := refOf(next.Owner(c.shape.src)), refOf(next.Owner(c.shape.dst))
		from, to := a.live.pods(c, src, dst)
		if src != (podRef{}) && src != from || dst != (podRef{}) && dst != to {
			former = append(former, c)
		}
	}
	return a.forget(ctx, former)
}

// forget deletes the conntrack entries of connections that are cut.
func (a *Agent) forget(ctx context.Context, conns []*liveConn) error {
	var failed error
	n := 0
	for _, c := range conns {
		if ctx.Err() != nil {
			break
		}
		if _, err := a.conns.Delete(c.entry()); err != nil {
			failed, n = err, n+1
		}
	}
	if n == 0 {
		return nil
	}
	return errors.Join(fmt.Errorf("%d conntrack entries not deleted", n), failed)
}
