//go:build linux

package enforce_test

import (
	"math/bits"
	"os/exec"
	"slices"
	"testing"
	"time"

	"github.com/netpol-project/netpol/internal/netnstest"
)

// Somebody else's flush of all rules leaves ours: not one forbidden packet
// passes, and no allowed connection fails.
func TestFlushByOthersLeavesNoGap(t *testing.T) {
	netnstest.Run(t, func(t *testing.T) {
		n := newNode(t)
		client, server := n.addPod("client"), n.addPod("server")
		n.policy("server", onlyAllowed)
		a := n.start(nil)
		if !n.owned() {
			netnstest.Skip(t, "the kernel can't protect a table (6.9 and later can)")
		}
		w := n.watch(client, server)
		w.sees(t, 100)
		for range 20 {
			n.must(n.flush())
			w.sees(t, 10)
		}
		if nft, err := exec.LookPath("nft"); err != nil {
			t.Log("no nft here: flushed over netlink only")
		} else {
			for range 5 {
				if out, err := exec.Command(nft, "flush", "ruleset").CombinedOutput(); err != nil {
					t.Errorf("nft flush ruleset: %v %s", err, out)
				}
				w.sees(t, 10)
			}
		}
		w.stop(t)
		if s := a.status(); s.Repairs != 0 {
			t.Errorf("%d repairs of what can't be removed", s.Repairs)
		}
		a.agreed()
	})
}

// Where the kernel can't protect the table, its removal is repaired within
// 100 ms.
func TestFlushByOthersIsRepaired(t *testing.T) {
	netnstest.Run(t, func(t *testing.T) {
		n := newNode(t)
		client, server := n.addPod("client"), n.addPod("server")
		n.listen(server, forbiddenPort)
		n.policy("server", onlyAllowed)
		n.plainTable()
		a := n.start(nil)
		var took []time.Duration
		for i := range 15 {
			n.must(n.flush())
			start := time.Now()
			await(t, "the repair", n.enforces)
			took = append(took, time.Since(start))
			if got := a.try(client, server, i%2, forbiddenPort); got != denied {
				t.Errorf("after the repair: %s, want %s", got, denied)
			}
		}
		slices.Sort(took)
		t.Logf("repaired after %v (median), %v at most", took[len(took)/2], took[len(took)-1])
		// Looking now and then would hold back nearly all of them; a busy machine
		// only some.
		if took[len(took)/4] > 100*time.Millisecond {
			t.Errorf("repaired after %v", took)
		}
		if s := a.status(); s.Repairs < 15 {
			t.Errorf("%d repairs counted, want 15", s.Repairs)
		}
		a.agreed()
	})
}

// enforces tells whether our rules are where packets pass.
func (n *node) enforces() bool {
	conn := n.nft()
	chains, err := conn.ListChainsOfTableFamily(ourTable.Family)
	if err != nil {
		return false
	}
	for _, c := range chains {
		if c.Table.Name == ourTable.Name && c.Name == "ingress" {
			rules, err := conn.GetRules(c.Table, c)
			return err == nil && len(rules) > 0
		}
	}
	return false
}

// owned tells whether the table belongs to a process.
func (n *node) owned() bool {
	conn := n.nft()
	tables, err := conn.ListTablesOfFamily(ourTable.Family)
	n.must(err)
	for _, table := range tables {
		if table.Name == ourTable.Name {
			return bits.ReverseBytes32(table.Flags)&0x2 != 0 // the library takes it for native order
		}
	}
	return false
}
