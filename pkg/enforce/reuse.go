//go:build linux

package enforce

import (
	"context"
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
		src, dst := podName(next.Owner(c.tuple.src)), podName(next.Owner(c.tuple.dst))
		from, to := a.live.pods(c, src, dst)
		if src != "" && src != from || dst != "" && dst != to {
			former = append(former, c)
		}
	}
	return a.forget(ctx, former)
}
