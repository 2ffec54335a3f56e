//go:build linux

package nft

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/netpol-project/netpol/internal/netnstest"
	"github.com/netpol-project/netpol/pkg/enforce/internal/nfnl"
	"github.com/netpol-project/netpol/pkg/enforce/ruleset"
)

var peerFields = []ruleset.Field{ruleset.SAddr4, ruleset.L4Proto, ruleset.DPort}

// large is a ruleset with profiles chains, each with a verdict map of peers
// elements; the client is in the last one. open lets it through.
func large(profiles, peers int, open bool) *ruleset.Ruleset {
	rs := &ruleset.Ruleset{}
	var first []ruleset.Rule
	for i := range profiles {
		name := fmt.Sprintf("profile-%03d", i)
		elements := make([]ruleset.Element, 0, peers)
		for j := range peers {
			elements = append(elements, ruleset.Element{Key: a4(addressNumber(j)) + b1(6) + p2(port), Verdict: accept})
		}
		if i == profiles-1 && open {
			elements = append(elements, ruleset.Element{Key: a4("10.255.0.1") + b1(6) + p2(port), Verdict: drop})
			elements = append([]ruleset.Element{{Key: a4(client4) + b1(6) + p2(port), Verdict: accept}}, elements...)
		}
		rs.Sets = append(rs.Sets, &ruleset.Set{Name: name, Fields: peerFields, Map: true, Elements: elements})
		rs.Chains = append(rs.Chains, &ruleset.Chain{Name: name, Rules: []ruleset.Rule{{
			Matches: []ruleset.Match{isIPv4}, VMap: &ruleset.VMap{Fields: peerFields, Map: name},
		}}})
		first = append(first, rule(ruleset.Verdict{Kind: ruleset.Jump, Chain: name}, isTCP))
	}
	rs.Chains = append([]*ruleset.Chain{forwardChain(first...)}, rs.Chains...)
	return rs
}

// A rebuild that does not fit into one batch goes in several, and at no
// moment are there fewer rules. What it replaces is gone afterwards.
func TestResyncInSmallBatches(t *testing.T) {
	netnstest.Run(t, func(t *testing.T) {
		w := newWorld(t)
		w.serve(t, server4, port)
		k := w.open(t, Options{MaxBatch: 100_000})
		if k.MaxBatch() != 100_000 {
			t.Fatalf("batches of %d bytes", k.MaxBatch())
		}
		shut, open := large(20, 500, false), large(20, 500, true)
		apply(t, k, shut)
		if k.Stats().Commits < 5 {
			t.Errorf("%d commits: the rules were not split", k.Stats().Commits)
		}
		stop := w.watchClosed(t)
		for range 10 {
			if err := k.Resync(t.Context(), shut); err != nil {
				t.Fatal(err)
			}
		}
		stop()
		have, err := k.list()
		if err != nil {
			t.Fatal(err)
		}
		if len(have.chains) != len(shut.Chains) || len(have.sets) != len(shut.Sets) {
			t.Errorf("%d chains and %d sets in the kernel, want %d and %d",
				len(have.chains), len(have.sets), len(shut.Chains), len(shut.Sets))
		}
		apply(t, k, open) // a small change in the generation of the rebuild
		w.want(t, port, true)
		apply(t, k, shut)
		w.want(t, port, false)
		if s := k.Stats(); s.Failed > 0 || s.Resyncs != 11 {
			t.Errorf("want changes in place, got %+v", s)
		}
	})
}

// spoil puts a message that the kernel refuses into the middle of a batch.
func spoil(messages []byte) []byte {
	var cuts []int
	for rest := messages; len(rest) > 0; {
		_, next, err := nfnl.Next(rest)
		if err != nil {
			panic(err)
		}
		rest = next
		cuts = append(cuts, len(messages)-len(rest))
	}
	at := cuts[len(cuts)/2]
	var enc nfnl.Encoder
	enc.Begin(nfnl.Header{Type: unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_DELCHAIN, Seq: 77, Family: unix.NFPROTO_INET})
	enc.String(unix.NFTA_CHAIN_TABLE, Table)
	enc.String(unix.NFTA_CHAIN_NAME, "no-such-chain")
	enc.End()
	out := append([]byte(nil), messages[:at]...)
	return append(append(out, enc.Bytes()...), messages[at:]...)
}

// A batch that fails in the middle changes nothing; the rebuild after it
// brings what was asked for. If that fails too, the old rules stand.
func TestFailedBatchLeavesTheOldRules(t *testing.T) {
	netnstest.Run(t, func(t *testing.T) {
		w := newWorld(t)
		w.serve(t, server4, port)
		k := w.open(t, Options{})
		apply(t, k, large(3, 50, false))
		faults := 1
		k.fault = func(messages []byte) []byte {
			if faults == 0 {
				return messages
			}
			faults--
			return spoil(messages)
		}
		if err := k.Apply(t.Context(), large(4, 50, true)); err != nil {
			t.Fatalf("one failure is repaired by a rebuild: %v", err)
		}
		w.want(t, port, true)
		if s := k.Stats(); s.Failed != 1 || s.Resyncs != 2 {
			t.Errorf("want one failed batch and one rebuild more, got %+v", s)
		}
		faults = 100
		if err := k.Apply(t.Context(), large(3, 50, false)); !errors.Is(err, unix.ENOENT) {
			t.Fatalf("error %v, want the kernel's", err)
		}
		w.want(t, port, true)
		faults = 0
		apply(t, k, large(3, 50, false))
		w.want(t, port, false)
		have, err := k.list()
		if err != nil {
			t.Fatal(err)
		}
		if len(have.chains) != 4 || len(have.sets) != 3 {
			t.Errorf("leftovers: %d chains, %d sets, want 4 and 3", len(have.chains), len(have.sets))
		}
	})
}

// A rebuild that breaks off between its batches leaves nothing behind.
func TestCancelledResyncLeavesTheOldRules(t *testing.T) {
	netnstest.Run(t, func(t *testing.T) {
		w := newWorld(t)
		w.serve(t, server4, port)
		k := w.open(t, Options{MaxBatch: 60_000})
		apply(t, k, large(2, 10, false))
		ctx, cancel := context.WithCancel(t.Context())
		batches := 0
		k.fault = func(messages []byte) []byte {
			if batches++; batches == 3 {
				cancel()
			}
			return messages
		}
		if err := k.Resync(ctx, large(10, 1000, true)); !errors.Is(err, context.Canceled) {
			t.Fatalf("error %v, want cancelled", err)
		}
		w.want(t, port, false)
		have, err := k.list()
		if err != nil {
			t.Fatal(err)
		}
		if len(have.chains) != 3 || len(have.sets) != 2 {
			t.Errorf("leftovers: %d chains, %d sets, want 3 and 2", len(have.chains), len(have.sets))
		}
	})
}

// A set that changes its shape and a base chain that changes its hook can't
// be changed in place.
func TestChangeOfShapeRebuilds(t *testing.T) {
	netnstest.Run(t, func(t *testing.T) {
		w := newWorld(t)
		w.serve(t, server4, port)
		k := w.open(t, Options{})
		base := func(priority int, rules ...ruleset.Rule) *ruleset.Chain {
			c := forwardChain(rules...)
			c.Hook.Priority = priority
			return c
		}
		byPort := &ruleset.Set{Name: "s", Fields: []ruleset.Field{ruleset.DPort}, Elements: []ruleset.Element{{Key: p2(port)}}}
		byAddress := &ruleset.Set{Name: "s", Fields: []ruleset.Field{ruleset.SAddr4}, Elements: []ruleset.Element{{Key: a4(server4)}}}
		apply(t, k, rules([]*ruleset.Chain{base(0, rule(accept, isTCP, inSet("s", ruleset.DPort)))}, byPort))
		w.want(t, port, true)
		apply(t, k, rules([]*ruleset.Chain{base(0, rule(accept, isIPv4, inSet("s", ruleset.SAddr4)))}, byAddress))
		w.want(t, port, false)
		apply(t, k, rules([]*ruleset.Chain{base(5, rule(accept, isTCP))}))
		w.want(t, port, true)
		apply(t, k, rules([]*ruleset.Chain{base(0)}))
		w.want(t, port, false)
		have, err := k.list()
		if err != nil {
			t.Fatal(err)
		}
		if len(have.chains) != 1 || len(have.sets) != 0 || k.Stats().Failed != 0 {
			t.Errorf("want one chain and no failure, got %v and %+v", have, k.Stats())
		}
	})
}

func TestHundredThousandElements(t *testing.T) {
	netnstest.Run(t, func(t *testing.T) {
		w := newWorld(t)
		w.serve(t, server4, port)
		k := w.open(t, Options{})
		rs := large(1, 100_000, true)
		apply(t, k, rs)
		t.Logf("first programming: %s in %d batches of at most %d bytes", k.Stats().LastCommit, k.Stats().Commits, k.MaxBatch())
		w.want(t, port, true)
		old := rs.Sets[0]
		rs = rules(rs.Chains, &ruleset.Set{Name: old.Name, Fields: old.Fields, Map: true, Elements: old.Elements[1:]})
		apply(t, k, rs)
		t.Logf("one element less: %s", k.Stats().LastCommit)
		w.want(t, port, false)
		start := time.Now()
		if err := k.Resync(t.Context(), rs); err != nil {
			t.Fatal(err)
		}
		t.Logf("rebuild: %s", time.Since(start))
		w.want(t, port, false)
	})
}

// A batch that the send buffer can't hold is refused before it is sent.
func TestBatchBounds(t *testing.T) {
	b := newBatch(200, nil)
	b.addChain(chain("a"), "a")
	if b.err != nil {
		t.Fatal(b.err)
	}
	b.addChain(chain("b-with-a-longer-name-than-that-and-longer-still-than-it-ever-was-before"), "b")
	b.addRules(&ruleset.Chain{Name: "a", Rules: []ruleset.Rule{rule(accept, isTCP)}}, func(s string) string { return s })
	if !errors.Is(b.err, errTooBig) {
		t.Errorf("error %v, want too big", b.err)
	}

	var sent [][]byte
	b = newBatch(200, func(b *batch) error {
		sent = append(sent, append([]byte(nil), b.close()...))
		return nil
	})
	for i := range 10 {
		b.delChain(fmt.Sprintf("chain-%d", i))
	}
	b.flush()
	n := 0
	for _, messages := range sent {
		if len(messages) > 200 {
			t.Errorf("a batch of %d bytes", len(messages))
		}
		seq := uint32(0)
		for rest := messages; len(rest) > 0; {
			m, next, err := nfnl.Next(rest)
			if err != nil {
				t.Fatal(err)
			}
			rest = next
			if m.Type>>8 == unix.NFNL_SUBSYS_NFTABLES {
				n++
				if seq++; m.Seq != seq {
					t.Errorf("message %d has number %d", seq, m.Seq)
				}
			}
		}
		if binary.NativeEndian.Uint16(messages[4:]) != unix.NFNL_MSG_BATCH_BEGIN {
			t.Error("a batch without its beginning")
		}
	}
	if n != 10 || len(sent) < 3 || b.err != nil {
		t.Errorf("%d messages in %d batches (%v), want 10 in several", n, len(sent), b.err)
	}
}
