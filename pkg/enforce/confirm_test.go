//go:build linux

package enforce_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/netpol-project/netpol/internal/cluster"
	"github.com/netpol-project/netpol/internal/netnstest"
	"github.com/netpol-project/netpol/pkg/enforce"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/stage"
)

// clock is one that nobody sets but a test.
type clock struct{ nanoseconds atomic.Int64 }

func newClock(at time.Duration) *clock {
	c := &clock{}
	c.nanoseconds.Store(int64(at))
	return c
}

func (c *clock) since() time.Duration { return time.Duration(c.nanoseconds.Load()) }
func (c *clock) pass(d time.Duration) { c.nanoseconds.Add(int64(d)) }

// trial writes a policy that is on trial, with a comment to be kept.
func (n *node) trial(name, spec, previous string, revision int, by time.Time, within time.Duration) {
	n.t.Helper()
	n.write(name, fmt.Sprintf("# Asked for by the shop.\napiVersion: projectcalico.org/v3\nkind: NetworkPolicy\nmetadata:\n  name: %s\n  namespace: %s\n  annotations:\n"+
		"    netpol.dev/revision: \"%d\"\n    netpol.dev/confirm-by: %q\n    netpol.dev/confirm-within: %s\n    netpol.dev/previous: '%s'\nspec: %s\n",
		name, namespace, revision, by.UTC().Format(time.RFC3339Nano), within, previous, spec))
}

const (
	// closesServer leaves nothing open but another port.
	closesServer = `{selector: app == 'server', types: [Ingress], ingress: [{action: Allow, protocol: TCP, destination: {ports: [9]}}]}`
	opensServer  = `{"selector":"app == ''server''","types":["Ingress"],"ingress":[{"action":"Allow","protocol":"TCP","destination":{"ports":[8080]}}]}`
)

func (n *node) file(name string) string {
	data, err := os.ReadFile(filepath.Join(n.dir, name+".yaml"))
	if os.IsNotExist(err) {
		return ""
	}
	n.must(err)
	return string(data)
}

// What nobody confirms comes back by itself, with real packets, by the agent
// alone; the file is as it was, with its comments.
func TestTrialEndsByItself(t *testing.T) {
	netnstest.Run(t, func(t *testing.T) {
		n := newNode(t)
		client, server := n.addPod("client"), n.addPod("server")
		l := n.listen(server, serverPort)
		// While the clock stands still nothing ends, however slow the machine is.
		c := newClock(time.Hour)
		a := n.start(func(o *enforce.Options) { enforce.SetClocks(o, c.since, nil) })
		for name, tc := range map[string]struct{ previous, after string }{
			"what was before comes back":       {opensServer, "app == 'server'"},
			"where nothing was, nothing stays": {"null", ""},
		} {
			n.trial("server", closesServer, tc.previous, 1, time.Now().Add(time.Second), time.Second)
			a.sync()
			for family := range 2 {
				if got := a.try(client, server, family, serverPort); got != denied {
					t.Errorf("%s: on trial: %s, want %s", name, got, denied)
				}
			}
			c.pass(time.Second)
			await(t, name+": in the file", func() bool {
				text := n.file("server")
				return strings.Contains(text, tc.after) && !strings.Contains(text, "confirm-by")
			})
			if text := n.file("server"); tc.after != "" && (!strings.Contains(text, "# Asked for by the shop.") || !strings.Contains(text, `netpol.dev/reverted: "1"`)) {
				t.Errorf("%s: the file is %s", name, text)
			}
			link := n.tcp(client, netip.AddrPortFrom(server.addrs[0], serverPort), l)
			link.alive(t, name)
			link.close()
		}
		a.agreed()
	})
}

// An agent that nobody can write by goes back at the moment its clock says,
// whatever the time of day is, and stays there; so does the next one.
func TestTrialEndsWithoutTheAPI(t *testing.T) {
	netnstest.Run(t, func(t *testing.T) {
		n := newNode(t)
		client, server := n.addPod("client"), n.addPod("server")
		n.policy("server", strings.ReplaceAll(opensServer, "''", "'"))
		api, c := n.apiSource(), newClock(time.Hour)
		api.tell()
		var wall atomic.Int64
		with := func(o *enforce.Options) {
			o.Source = api
			enforce.SetClocks(o, c.since, func() time.Time { return time.Now().Add(time.Duration(wall.Load())) })
		}
		a := n.start(with)
		expect := func(what string, want answer) {
			t.Helper()
			for family := range 2 {
				if got := a.try(client, server, family, serverPort); got != want {
					t.Errorf("%s: %s, want %s", what, got, want)
				}
			}
		}
		expect("before", closed)
		n.trial("server", closesServer, opensServer, 1, time.Now().Add(5*time.Minute), 5*time.Minute)
		api.tell()
		a.sync()
		expect("on trial", denied)
		c.pass(4*time.Minute + 59*time.Second)
		wall.Store(int64(99 * time.Hour))
		a.sync()
		expect("on trial, and the time of day jumps", denied)
		// Another agent takes over: the time that was counted counts.
		a.stop()
		wall.Store(int64(-99 * time.Hour))
		a = n.start(with)
		a.sync()
		expect("with another agent", denied)
		c.pass(time.Second)
		a.sync()
		expect("nobody confirmed it", closed)
		a.stop()
		a = n.start(with)
		expect("with another agent after that", closed)
		// A confirmation that the API has, counts for all, however late.
		n.policy("server", closesServer)
		api.tell()
		a.sync()
		expect("confirmed after all", denied)
		a.agreed()
	})
}

// An agent that starts when the time is over never enforces what is on trial.
func TestTrialIsOverForWhoStartsLate(t *testing.T) {
	netnstest.Run(t, func(t *testing.T) {
		n := newNode(t)
		client, server := n.addPod("client"), n.addPod("server")
		n.trial("server", closesServer, opensServer, 1, time.Now().Add(-time.Minute), 5*time.Minute)
		api, c := n.apiSource(), newClock(time.Minute)
		api.tell()
		a := n.start(func(o *enforce.Options) {
			o.Source = api
			enforce.SetClocks(o, c.since, nil)
		})
		for family := range 2 {
			if got := a.try(client, server, family, serverPort); got != closed {
				t.Errorf("%s, want %s", got, closed)
			}
		}
		a.agreed()
	})
}

// Confirmed in time, it stays; confirmed at the same moment as it is taken back,
// one of the two wins, for the agent and the file alike.
func TestTrialConfirmed(t *testing.T) {
	netnstest.Run(t, func(t *testing.T) {
		n := newNode(t)
		client, server := n.addPod("client"), n.addPod("server")
		c := newClock(time.Hour)
		a := n.start(func(o *enforce.Options) { enforce.SetClocks(o, c.since, nil) })
		store, err := cluster.OpenDir(n.dir)
		n.must(err)
		key := policy.Key{Kind: policy.KindNetworkPolicy, Namespace: namespace, Name: "server"}
		confirm := func() error {
			u, err := store.Get(context.Background(), key)
			if err != nil {
				return err
			}
			edits, err := stage.Confirm(u, nil)
			if err != nil {
				return err
			}
			_, err = store.Change(context.Background(), []cluster.Change{{Object: edits[0].Object}}, false)
			return err
		}
		n.trial("server", closesServer, opensServer, 1, time.Now().Add(time.Second), time.Second)
		a.sync()
		n.must(confirm())
		c.pass(time.Second) // its time would be over
		a.sync()
		if got := a.try(client, server, 0, serverPort); got != denied {
			t.Errorf("confirmed: %s, want %s", got, denied)
		}
		for i := range 5 {
			n.trial("server", closesServer, opensServer, i+2, time.Now().Add(time.Second), 150*time.Millisecond)
			a.sync()
			c.pass(150 * time.Millisecond)                      // the agent looks when its timer says so
			time.Sleep(time.Duration(145+i) * time.Millisecond) // about then
			err := confirm()
			await(t, "the trial to end", func() bool { return !strings.Contains(n.file("server"), "confirm-by") })
			a.sync()
			want := denied
			if err != nil {
				want = closed
			}
			if reverted := strings.Contains(n.file("server"), "netpol.dev/reverted"); reverted != (err != nil) {
				t.Errorf("round %d: confirm says %v, and the file is %s", i, err, n.file("server"))
			}
			if got := a.try(client, server, i%2, serverPort); got != want {
				t.Errorf("round %d: %s, want %s: confirm said %v", i, got, want, err)
			}
		}
		a.agreed()
	})
}

// What an agent kept for the next one may be lost or spoilt: the time of day
// counts then.
func TestTrialFileIsLost(t *testing.T) {
	netnstest.Run(t, func(t *testing.T) {
		n := newNode(t)
		n.trial("server", closesServer, "null", 1, time.Now().Add(time.Hour), time.Hour)
		h := &heard{word: "can't be read; the time of day counts"}
		kept := filepath.Join(filepath.Dir(socketOf(n.dir)), "trials.json")
		a := n.start(nil)
		a.stop()
		if data, err := os.ReadFile(kept); err != nil || !strings.Contains(string(data), `"Name":"server"`) {
			t.Errorf("kept: %s, %v", data, err)
		}
		n.must(os.WriteFile(kept, []byte("{"), 0o600))
		n.start(func(o *enforce.Options) { o.Log = slog.New(slog.NewTextHandler(h, nil)) })
		if !h.yes.Load() {
			t.Error("it is not said that it is spoilt")
		}
	})
}

// A pod that is deleted takes the socket's directory along; the one that comes
// after it, with an API that has been away since, ends the trial when the first
// would have.
func TestTrialOutlastsTheAgentsPod(t *testing.T) {
	netnstest.Run(t, func(t *testing.T) {
		n := newNode(t)
		client, server := n.addPod("client"), n.addPod("server")
		n.policy("server", strings.ReplaceAll(opensServer, "''", "'"))
		api, c, data := n.apiSource(), newClock(time.Hour), t.TempDir()
		api.tell()
		with := func(o *enforce.Options) {
			o.Source, o.Data = api, data
			// A time of day by which the trial has not begun.
			enforce.SetClocks(o, c.since, func() time.Time { return time.Now().Add(-99 * time.Hour) })
		}
		a := n.start(with)
		n.trial("server", closesServer, opensServer, 1, time.Now().Add(5*time.Minute), 5*time.Minute)
		api.tell()
		a.sync()
		c.pass(4 * time.Minute)
		a.stop()
		n.must(os.RemoveAll(filepath.Dir(socketOf(n.dir))))
		a = n.start(with)
		a.sync()
		if got := a.try(client, server, 0, serverPort); got != denied {
			t.Errorf("on trial, in another pod: %s, want %s", got, denied)
		}
		c.pass(time.Minute)
		a.sync()
		for family := range 2 {
			if got := a.try(client, server, family, serverPort); got != closed {
				t.Errorf("five minutes after it began: %s, want %s", got, closed)
			}
		}
		if s := a.status(); s.Disagreements != 0 { // between the two agents nobody counted
			t.Errorf("%d disagreements, want none", s.Disagreements)
		}
	})
}
