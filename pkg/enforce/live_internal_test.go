//go:build linux

package enforce

import (
	"testing"
	"time"

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
	c := &liveConn{shape: &tuple{protocol: policy.TCP, dstPort: 80}}
	records := []attributed{{key: before}}
	c.said = &said{reports: l.shared(records)}
	steps := make(chan string, 2)
	l.mu.Lock()
	l.add(c)
	go func() {
		l.update(c, []attributed{{key: after}}, func(_, _ *flow.Key, _ flow.Ends) { steps <- "moved" })
	}()
	time.Sleep(10 * time.Millisecond) // time enough to do it wrong
	steps <- "told"
	l.mu.Unlock()
	if first, second := <-steps, <-steps; first != "told" || second != "moved" {
		t.Errorf("%s, then %s", first, second)
	}
}
