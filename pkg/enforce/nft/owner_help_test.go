//go:build linux

package nft

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/netpol-project/netpol/pkg/enforce/internal/nfnl"
	"github.com/netpol-project/netpol/pkg/enforce/ruleset"
)

func contextOf(t *testing.T) (context.Context, context.CancelFunc) {
	return context.WithCancel(t.Context())
}

// awaitListener waits until a socket in the router listens to nftables.
func awaitListener(t *testing.T, w *world) {
	t.Helper()
	const group = uint64(1) << (unix.NFNLGRP_NFTABLES - 1)
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(time.Millisecond) {
		var table []byte
		w.router.Must(t, func() (err error) {
			table, err = os.ReadFile("/proc/thread-self/net/netlink")
			return err
		})
		for line := range strings.Lines(string(table)) {
			// sk Eth Pid Groups ...
			f := strings.Fields(line)
			if len(f) > 3 && f[1] == "12" && f[3] != "00000000" && strings.HasSuffix(f[3], "40") && group == 0x40 {
				return
			}
		}
	}
	t.Fatal("nobody listens to nftables")
}

// stranger is another process's socket.
func stranger(t *testing.T, w *world) *Kernel {
	t.Helper()
	conn, err := nfnl.Open(nfnl.Options{NetNS: w.router.FD()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &Kernel{conn: conn, limit: conn.WriteBuffer(), answer: make([]byte, 1<<16)}
}

// otherTable makes and deletes a table that is not ours.
func otherTable(t *testing.T, w *world) {
	t.Helper()
	k := stranger(t, w)
	for _, kind := range []uint16{unix.NFT_MSG_NEWTABLE, unix.NFT_MSG_DELTABLE} {
		b := newBatch(k.limit, nil)
		b.begin(kind, unix.NLM_F_CREATE*(1-kind/2), "another table")
		b.enc.String(unix.NFTA_TABLE_NAME, "kube-proxy")
		b.end()
		if err := k.commit(b); err != nil {
			t.Fatal(err)
		}
	}
}

// otherRule adds a rule to our chain.
func otherRule(t *testing.T, w *world) {
	t.Helper()
	k := stranger(t, w)
	b := newBatch(k.limit, nil)
	b.addRules(&ruleset.Chain{Name: "egress", Rules: []ruleset.Rule{rule(drop, isTCP)}}, func(s string) string { return s })
	if err := k.commit(b); err != nil {
		t.Fatal(err)
	}
}
