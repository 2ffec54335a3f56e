//go:build linux

package enforce

import (
	"testing"

	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
)

// A report can't be moved to another verdict before it was made, or it would
// be of a connection that never ends.
func TestS29_NotJudgedAgainBeforeItIsTold(t *testing.T) {
	l := newLive()
	before := flow.Key{Port: 80, Direction: policy.Ingress}
	after := before
	after.Enforced.Action = policy.Deny
	c := &liveConn{tuple: tuple{protocol: policy.TCP, dstPort: 80}}
	records := []attributed{{key: before}}
	c.said = &said{reports: l.shared(records)}
	listed, steps := make(chan struct{}), make(chan string, 2)
	go func() {
		<-listed
		l.update(c, []attributed{{key: after}}, func(_, _ *flow.Key, _ flow.Ends) { steps <- "moved" })
	}()
	l.add(c, func() {
		close(listed)
		steps <- "told"
	})
	if first, second := <-steps, <-steps; first != "told" || second != "moved" {
		t.Errorf("%s, then %s", first, second)
	}
}
