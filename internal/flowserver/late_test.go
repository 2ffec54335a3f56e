//go:build linux

package flowserver_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc"

	"github.com/netpol-project/netpol/pkg/enforce/agentpb"
)

// inTheWay puts a file where a store's directory should be, and says how to take
// it away.
func inTheWay(t *testing.T, dir string) (away func()) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.Rename(dir, dir+".hidden"))
	must(os.WriteFile(dir, nil, 0o600))
	return func() {
		t.Helper()
		// At once: a store that tries again in between would make a directory.
		must(unix.Renameat2(unix.AT_FDCWD, dir+".hidden", unix.AT_FDCWD, dir, unix.RENAME_EXCHANGE))
	}
}

// warned is what the flows server says of its own store.
func (w *world) warned() string {
	w.t.Helper()
	r, err := agentpb.NewNodesClient(w.dial("user-admin")).List(w.t.Context(), &agentpb.NodesRequest{}, grpc.WaitForReady(true))
	if err != nil {
		w.t.Fatal(err)
	}
	return strings.Join(r.GetWarnings(), "\n")
}

// A file that can't be opened when its process begins is opened once that is
// possible. In the end every connection that is known is counted once, on disk
// too: the agent goes on with what it had; the server has been told anew what
// agents know.
func TestSumsAreExactThoughFilesOpenLate(t *testing.T) {
	for name, late := range map[string]struct{ agent, server bool }{
		"the agent's": {agent: true}, "the server's": {server: true}, "both": {true, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := keeping(t, "n1")
			dir := t.TempDir() + "/agent"
			a := w.keeper("n1", dir)
			sees := func(want int64) {
				t.Helper()
				conn := w.dial("user-admin")
				var n int64
				w.eventually("the connections", func() bool { n, _, _, _ = w.connections(conn); return n >= want })
				if n != want {
					t.Fatalf("%d connections, want %d", n, want)
				}
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
			var away []func()
			if late.agent {
				away = append(away, inTheWay(t, dir))
			}
			if late.server {
				away = append(away, inTheWay(t, w.data))
			}
			w.start()
			a = w.keeper("n1", dir)
			count(5)
			// Both files: nobody has what was told before.
			known := int64(15)
			if late.agent && late.server {
				known = 5
			}
			sees(known)
			if text := w.warned(); strings.Contains(text, "in memory alone") != late.server {
				t.Errorf("the server warns: %q", text)
			}
			for _, f := range away {
				f()
			}
			w.eventually("the files to be opened", func() bool {
				return a.store.Durable() && a.store.Problem() == "" && !strings.Contains(w.warned(), "in memory alone")
			})
			count(2)
			sees(known + 2)
			a.stop()
			w.stop()
			w.start()
			a = w.keeper("n1", dir)
			count(1)
			sees(known + 3)
			// A server from nothing is told all that the agent has ever had.
			w.stop()
			w.data = t.TempDir()
			w.start()
			sees(18)
		})
	}
}

// Where the agent's file opens late, the server does not take flows of before for
// covered that it was not told of.
func TestWindowWhereBothFilesOpenLate(t *testing.T) {
	w := keeping(t, "n1")
	dir := t.TempDir() + "/agent"
	a := w.keeper("n1", dir)
	a.started(1)
	conn := w.dial("user-admin")
	w.eventually("one", func() bool { n, _, _, _ := w.connections(conn); return n == 1 })
	a.stop()
	w.stop()
	agents, servers := inTheWay(t, dir), inTheWay(t, w.data)
	begin := time.Now()
	w.start()
	a = w.keeper("n1", dir)
	w.eventually("the server to find that it can't open its file", func() bool { return strings.Contains(w.warned(), "in memory alone") })
	agents()
	servers()
	w.eventually("the agent's file", a.store.Durable)
	a.stop()
	a = w.keeper("n1", dir)
	a.started(2)
	conn = w.dial("user-admin")
	w.eventually("another", func() bool { n, _, _, _ := w.connections(conn); return n == 1 })
	if _, _, _, c := w.connections(conn); len(c.Nodes) != 1 || c.Nodes[0].From.Before(begin) {
		t.Errorf("%+v, want since %v", c.Nodes, begin)
	}
}
