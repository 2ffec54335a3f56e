package flowserver_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
)

// keeping is a world whose server keeps flows in a directory.
func keeping(t *testing.T, nodes ...string) *world {
	w := newWorld(t, nodes...)
	w.stop()
	w.data = t.TempDir()
	w.start()
	w.allow("admin list flows *")
	return w
}

// started counts a connection that ends at once, so that no agent has it open.
func (a *agent) started(n int) {
	k := tcp(workload("vote", fmt.Sprint("w", n)), workload("vote", "redis"), 6379)
	a.flows.Started(k, flow.Ends{}, time.Now())
	a.flows.Ended(k, flow.Counters{BytesIn: 10}, time.Now())
}

// Agents and the server restart again and again, in any order, each from what it
// has on disk: in the end every connection is counted once.
func TestSumsAreExactAfterRestartsFromDisk(t *testing.T) {
	nodes := []string{"n1", "n2"}
	w := keeping(t, nodes...)
	dirs := map[string]string{}
	agents := map[string]*agent{}
	for _, n := range nodes {
		dirs[n] = t.TempDir()
		agents[n] = w.keeper(n, dirs[n])
	}
	rng := rand.New(rand.NewPCG(3, 4))
	var want int64
	count := func() {
		for range 200 {
			agents[nodes[rng.IntN(2)]].started(rng.IntN(300))
			want++
		}
	}
	for round := range 10 {
		count()
		switch round % 5 {
		case 0: // the server alone
			w.stop()
			count()
			w.start()
		case 1: // an agent alone
			agents["n1"].stop()
			agents["n1"] = w.keeper("n1", dirs["n1"])
		case 2: // an agent while there is no server, with batches under way
			w.stop()
			count()
			agents["n2"].stop()
			agents["n2"] = w.keeper("n2", dirs["n2"])
			count()
			w.start()
		case 3: // both
			w.stop()
			agents["n1"].stop()
			w.start()
			agents["n1"] = w.keeper("n1", dirs["n1"])
		case 4: // the server, from nothing
			w.stop()
			w.data = t.TempDir()
			w.start()
		}
	}
	conn := w.dial("user-admin")
	var got int64
	w.eventually("all counts", func() bool { got, _, _, _ = w.connections(conn); return got >= want })
	time.Sleep(50 * time.Millisecond) // nothing comes twice
	if got, _, live, _ := w.connections(conn); got != want || live != 0 {
		t.Errorf("%d connections, %d open; want %d, 0", got, live, want)
	}
}

// What is open is told anew by an agent that has restarted, and once more to a
// server that has.
func TestOpenConnectionsAfterRestarts(t *testing.T) {
	w := keeping(t, "n1")
	dir := t.TempDir()
	k := tcp(workload("vote", "vote"), workload("vote", "redis"), 6379)
	a := w.keeper("n1", dir)
	conn := w.dial("user-admin")
	open := func(what string, want int64) {
		t.Helper()
		w.eventually(what, func() bool { n, _, live, _ := w.connections(conn); return n == 3 && live == want })
	}
	for range 3 {
		a.flows.Started(k, flow.Ends{}, time.Now())
	}
	open("three", 3)
	w.stop()
	w.start()
	conn = w.dial("user-admin")
	open("the server has restarted", 3)
	a.flows.Ended(k, flow.Counters{}, time.Now())
	open("one has ended", 2)
	a.stop()
	a = w.keeper("n1", dir)
	open("nothing is known to be open", 0)
	a.flows.Existing(k, flow.Ends{}, time.Now())
	open("one is found again", 1)
}

// backup copies a directory's file, to be put back as if what came later had
// never reached the disk.
func backup(t *testing.T, dir string) (restore func()) {
	t.Helper()
	path := filepath.Join(dir, "flows.db")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// An agent whose disk has lost what it told since, or a server whose disk has
// lost what it acknowledged, counts nothing twice and says that something is
// missing.
func TestDiskThatIsBehind(t *testing.T) {
	for _, who := range []string{"agent", "server"} {
		t.Run(who, func(t *testing.T) {
			w := keeping(t, "n1")
			dir := t.TempDir()
			a := w.keeper("n1", dir)
			conn := w.dial("user-admin")
			sees := func(want int64) {
				t.Helper()
				w.eventually(fmt.Sprint(want, " connections"), func() bool { n, _, _, _ := w.connections(conn); return n == want })
			}
			count := func(n int) {
				for range n {
					a.started(1)
				}
			}
			count(10)
			sees(10)
			a.stop()
			w.stop()
			restore := backup(t, map[string]string{"agent": dir, "server": w.data}[who])
			w.start()
			a = w.keeper("n1", dir)
			conn = w.dial("user-admin")
			count(5)
			sees(15)
			a.stop()
			w.stop()
			restore()
			w.start()
			a = w.keeper("n1", dir)
			conn = w.dial("user-admin")
			count(2)
			want := map[string]int64{"agent": 17, "server": 12}[who]
			w.eventually("what is missing", func() bool {
				n, _, _, c := w.connections(conn)
				return n == want && c.LostUnknown
			})
			time.Sleep(30 * time.Millisecond) // nothing comes twice
			if n, _, _, c := w.connections(conn); n != want || !c.LostUnknown {
				t.Errorf("%d connections, want %d; %+v", n, want, c)
			}
		})
	}
}

// Users are told when each node was counted on, which should have been and never
// was, and since when policies are staged, also after restarts.
func TestCoverageOfNodesAndPolicies(t *testing.T) {
	w := keeping(t, "n1", "n2", "n3")
	w.allow("voter list flows vote")
	dir := t.TempDir()
	begin := time.Now()
	snap := &policy.Snapshot{Policies: []*policy.Policy{
		{Key: policy.Key{Kind: policy.KindStagedNetworkPolicy, Namespace: "vote", Name: "db"}},
		{Key: policy.Key{Kind: policy.KindStagedNetworkPolicy, Namespace: "wordpress", Name: "db"}},
		{Key: policy.Key{Kind: policy.KindNetworkPolicy, Namespace: "vote", Name: "enforced"}},
	}}
	a, b := w.keeper("n1", dir), w.keeper("n2", t.TempDir())
	a.flows.Staged(snap, begin)
	b.flows.Staged(snap, begin.Add(time.Millisecond))
	a.started(1)
	conn := w.dial("user-admin")
	w.eventually("both", func() bool {
		n, _, _, c := w.connections(conn)
		return n == 1 && len(c.Policies) == 2 && !c.Nodes[0].From.IsZero() && !c.Nodes[1].From.IsZero()
	})
	a.stop()
	w.stop()
	w.start()
	a = w.keeper("n1", dir)
	a.flows.Staged(snap, time.Now())
	conn = w.dial("user-admin")
	var c flow.Coverage
	w.eventually("a gap", func() bool {
		_, _, _, c = w.connections(conn)
		return len(c.Nodes) == 3 && len(c.Nodes[0].Gaps) == 1 && c.Nodes[0].LostUnknown
	})
	n1, n2, n3 := c.Nodes[0], c.Nodes[1], c.Nodes[2]
	if n1.Node != "n1" || n1.From.Before(begin) || !n1.From.Before(n1.Gaps[0].From) || !n1.To.After(n1.Gaps[0].To) || !n1.LostUnknown {
		t.Errorf("%+v", n1)
	}
	if n2.Node != "n2" || n2.From.Before(begin) || len(n2.Gaps) != 0 || n2.LostUnknown {
		t.Errorf("%+v", n2)
	}
	if n3.Node != "n3" || !n3.From.IsZero() || !n3.To.IsZero() {
		t.Errorf("an agent that never was: %+v", n3)
	}
	if len(c.Policies) != 2 || !c.Policies[0].Since.Equal(begin) || !c.Policies[1].Since.Equal(begin) {
		t.Errorf("%+v, want since %v", c.Policies, begin)
	}
	_, _, _, c = w.connections(w.dial("user-voter"), "vote")
	if len(c.Nodes) != 3 || len(c.Policies) != 1 || c.Policies[0].Key.Namespace != "vote" {
		t.Errorf("who may see one namespace: %+v", c)
	}
}
