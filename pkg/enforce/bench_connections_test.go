//go:build linux

package enforce_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"github.com/netpol-project/netpol/internal/netnstest"
	"github.com/netpol-project/netpol/pkg/enforce/internal/nfnl"
	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
)

const (
	// pairs of runs that a ratio is the median of.
	pairs = 10
	// burstSize is how many connections a run makes.
	burstSize = 20_000
)

// BenchmarkConnections is how many new TCP connections a second reach a pod
// that many policies select, the allowing one last, as a ratio to the same
// with nothing but one conntrack rule on the node. Runs are interleaved: bare,
// our rules without an agent (no flow logs), our rules with one. Where others use
// the machine, the ratio of processor time says more: what a connection costs
// all of them together, the agent included.
func BenchmarkConnections(b *testing.B) {
	netnstest.Bench(b, func(b *testing.B) {
		for _, policies := range []int{1, 1000, 5000} {
			b.Run(fmt.Sprintf("policies=%d", policies), func(b *testing.B) { connections(b, policies) })
		}
	})
}

func connections(b *testing.B, policies int) {
	n := newNode(b)
	client, server := n.addPod("client"), n.addPod("server")
	for i := range policies - 1 {
		n.write(fmt.Sprintf("p%d", i), crowdPolicy(i, 10_000+i))
	}
	n.policy("last", fmt.Sprintf(`{order: %d, selector: app == 'server', types: [Ingress], ingress: [{action: Allow, protocol: TCP, source: {selector: app == 'client'}, destination: {ports: ["20:29"]}}]}`, policies))
	n.plainTable() // so that it can be put to sleep
	n.bareRule(true)
	defer n.bareRule(false)
	var off, on, bare, cost, work []float64
	for b.Loop() {
		for range pairs {
			a, cmd := n.startProcess()
			n.rate(client, server) // its first steps are no measure
			start, here := n.workedFor(cmd.Process.Pid), worked()
			with := n.rate(client, server)
			here = worked() - here
			n.told(a, 2*burstSize)
			agent := n.workedFor(cmd.Process.Pid) - start
			a.agreed()
			n.must(cmd.Process.Kill())
			_ = cmd.Wait()
			without := n.rate(client, server)
			n.must(n.sleep(true))
			start = worked()
			base := n.rate(client, server)
			idle := worked() - start
			n.must(n.sleep(false))
			on, off, bare = append(on, with/base), append(off, without/base), append(bare, base)
			cost = append(cost, float64(agent.Nanoseconds())/1000/burstSize)
			work = append(work, float64(idle)/float64(here+agent))
		}
	}
	b.ReportMetric(median(off), "ratio")
	b.ReportMetric(median(on), "ratio-flowlogs")
	b.ReportMetric(median(bare), "bare-conns/s")
	b.ReportMetric(median(cost), "agent-µs/conn")
	b.ReportMetric(median(work), "cpu-ratio-flowlogs")
	b.ReportMetric(0, "ns/op")
}

func median(list []float64) float64 {
	slices.Sort(list)
	return list[len(list)/2]
}

// rate makes connections and says how many a second there were.
func (n *node) rate(client, server *pod) float64 {
	n.t.Helper()
	n.must(forgetAll()) // source ports are used again
	start := time.Now()
	n.burst(client, server, burstSize)
	return burstSize / time.Since(start).Seconds()
}

// told waits until so many connections were told at the destination's end.
func (n *node) told(a *agent, connections int64) {
	n.t.Helper()
	var sum int64
	n.t.Cleanup(func() {
		if sum < connections {
			n.t.Logf("%d connections told of %d, %v", sum, connections, a.status())
		}
	})
	await(n.t, "the connections to be told", func() (all bool) {
		sum = 0
		for _, f := range a.list(flow.Filter{}) {
			if f.Direction == policy.Ingress {
				sum += f.Connections
			}
		}
		time.Sleep(20 * time.Millisecond) // asking costs time, too
		return sum >= connections
	})
}

// worked is how long processors have worked for this process.
func worked() time.Duration {
	var r unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &r) // its one error is an unknown argument
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// workedFor is how long processors have worked for another process, whose
// threads stay.
func (n *node) workedFor(pid int) (sum time.Duration) {
	n.t.Helper()
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	n.must(err)
	for _, thread := range threads {
		text, err := os.ReadFile(thread)
		n.must(err)
		var ns time.Duration
		_, err = fmt.Sscan(string(text), (*int64)(&ns))
		n.must(err)
		sum += ns
	}
	return sum
}

// bareRule makes or removes a table with one rule: what is known passes.
func (n *node) bareRule(on bool) {
	n.t.Helper()
	conn := n.nft()
	table := &nftables.Table{Name: "bare", Family: nftables.TableFamilyINet}
	if !on {
		conn.DelTable(table)
		n.must(conn.Flush())
		return
	}
	conn.AddTable(table)
	chain := conn.AddChain(&nftables.Chain{
		Name: "forward", Table: table, Type: nftables.ChainTypeFilter,
		Hooknum: nftables.ChainHookForward, Priority: nftables.ChainPriorityFilter,
	})
	conn.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: []expr.Any{
		&expr.Ct{Register: 1, Key: expr.CtKeySTATE},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: []byte{6, 0, 0, 0}, Xor: make([]byte, 4)},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: make([]byte, 4)},
		&expr.Verdict{Kind: expr.VerdictAccept},
	}})
	n.must(conn.Flush())
}

// sleep takes our table's hooks away, or puts them back; its rules stay.
// Counting of packets, which our table switches on, sleeps too.
func (n *node) sleep(asleep bool) error {
	const dormant = 1
	flags, accounting := uint32(0), "1"
	if asleep {
		flags, accounting = dormant, "0"
	}
	if err := os.WriteFile("/proc/sys/net/netfilter/nf_conntrack_acct", []byte(accounting), 0); err != nil {
		return err
	}
	var enc nfnl.Encoder
	edge := func(kind uint16) {
		enc.Begin(nfnl.Header{Type: kind, ResID: unix.NFNL_SUBSYS_NFTABLES})
		enc.End()
	}
	edge(unix.NFNL_MSG_BATCH_BEGIN)
	enc.Begin(nfnl.Header{
		Type: unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_NEWTABLE, Flags: unix.NLM_F_ACK, Seq: 1, Family: unix.NFPROTO_INET,
	})
	enc.String(unix.NFTA_TABLE_NAME, ourTable.Name)
	enc.Uint32(unix.NFTA_TABLE_FLAGS, flags)
	enc.End()
	edge(unix.NFNL_MSG_BATCH_END)
	return request(&enc)
}

// forgetAll empties the table of connections.
func forgetAll() error {
	const ctDelete = 2
	var enc nfnl.Encoder
	enc.Begin(nfnl.Header{Type: unix.NFNL_SUBSYS_CTNETLINK<<8 | ctDelete, Flags: unix.NLM_F_ACK, Family: unix.AF_UNSPEC})
	enc.End()
	return request(&enc)
}

// request sends one request to the kernel and waits for its answer.
func request(enc *nfnl.Encoder) error {
	conn, err := nfnl.Open(nfnl.Options{})
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.Send(enc.Bytes()); err != nil {
		return err
	}
	buf := make([]byte, 4096)
	size, err := conn.Receive(buf)
	if err != nil {
		return err
	}
	m, _, err := nfnl.Next(buf[:size])
	return errors.Join(err, m.Err)
}
