//go:build linux

package nft

import (
	"net"
	"testing"

	"github.com/netpol-project/netpol/internal/netnstest"
	"github.com/netpol-project/netpol/pkg/enforce/ruleset"
)

// send sends UDP packets from one socket; nobody answers.
func (w *world) send(t *testing.T, n int) {
	t.Helper()
	w.client.Must(t, func() error {
		conn, err := net.Dial("udp", address(server4, port))
		if err != nil {
			return err
		}
		defer conn.Close()
		for range n {
			// The server's refusal of an earlier one may be told here.
			_, _ = conn.Write([]byte("x"))
		}
		return nil
	})
}

// What a limit keeps from the log is counted, and does not pass for it.
func TestS7_LimitsAreCountedBeside(t *testing.T) {
	netnstest.Run(t, func(t *testing.T) {
		w := newWorld(t)
		k := w.open(t, Options{})
		limit := &ruleset.Limit{PerSecond: 1, Burst: 5}
		isUDP := is(ruleset.L4Proto, []byte{17})
		fresh := ruleset.Match{Fields: []ruleset.Field{ruleset.CTStatus}, Op: ruleset.NotAny, Value: u32(ruleset.StatusConfirmed)}
		log := ruleset.Rule{Matches: []ruleset.Match{isUDP, fresh}, Counter: true, Limit: limit, Log: &ruleset.Log{Group: 6, Prefix: "netpol:20"}}
		rs := rules([]*ruleset.Chain{
			{Name: "egress", Hook: &ruleset.Hook{Name: "forward"}, Rules: []ruleset.Rule{log, rule(ruleset.Verdict{Kind: ruleset.Goto, Chain: "deny-17"}, isUDP)}},
			chain("deny-17", ruleset.Rule{Limit: limit, Log: &ruleset.Log{Group: 5, Prefix: "netpol:17"}}, ruleset.Rule{Counter: true, Verdict: drop})})
		check := func(what string, log, deny uint64) {
			t.Helper()
			got, err := k.Logged()
			if err != nil || got[LogKey{6, "netpol:20"}] != log || got[LogKey{5, "netpol:17"}] != deny {
				t.Errorf("%s: %v, %v; want %d and %d", what, got, err, log, deny)
			}
		}
		apply(t, k, rs)
		check("at first", 0, 0)
		w.send(t, 50)
		// What is dropped is never confirmed, so each packet begins anew.
		check("dropped", 50, 50)

		pass := chain("deny-17", rule(accept))
		apply(t, k, rules([]*ruleset.Chain{rs.Chains[0], pass}))
		w.send(t, 50)
		check("let through", 51, 0)
	})
}
