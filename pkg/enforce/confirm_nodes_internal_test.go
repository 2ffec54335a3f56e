//go:build linux

package enforce

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/netpol-project/netpol/internal/cluster"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/stage"
)

// reachable is a store that one node reaches, or not.
type reachable struct {
	*cluster.Dir
	away atomic.Bool
}

var errAway = errors.New("the API server can't be reached")

func (s *reachable) Get(ctx context.Context, key policy.Key) (*unstructured.Unstructured, error) {
	if s.away.Load() {
		return nil, errAway
	}
	return s.Dir.Get(ctx, key)
}

// trialAgent is an agent as far as trials go, on a node of its own.
type trialAgent struct {
	*Agent
	store *reachable
	clock atomic.Int64
}

func newTrialAgent(t *testing.T, root, node string, boot time.Duration) *trialAgent {
	t.Helper()
	dir, err := cluster.OpenDir(root)
	if err != nil {
		t.Fatal(err)
	}
	a := &trialAgent{store: &reachable{Dir: dir}}
	a.clock.Store(int64(boot))
	opts := Options{
		Source: a.store, Node: node, Socket: filepath.Join(t.TempDir(), "agent.sock"), Now: time.Now, Log: slog.New(slog.DiscardHandler),
		since: func() time.Duration { return time.Duration(a.clock.Load()) },
	}
	a.Agent = &Agent{opts: opts, trials: newTrials(&opts)}
	return a
}

// inForce is the order of the policy that the node enforces, which tells one from
// the other; 0: none.
func (a *trialAgent) inForce(t *testing.T) int {
	t.Helper()
	if _, err := a.store.Reload(context.Background()); err != nil {
		t.Fatal(err)
	}
	snap, _, err := a.store.Snapshot(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	policies := a.trials.apply(snap).Policies
	if len(policies) == 0 {
		return 0
	}
	return int(policies[0].Order)
}

const trialOfServer = `apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata:
  name: server
  namespace: shop
  annotations:
    netpol.dev/revision: "2"
    netpol.dev/confirm-by: "2100-01-01T00:05:00Z"
    netpol.dev/confirm-within: 5m0s
    netpol.dev/previous: '{"order":20,"selector":"app == ''server''","types":["Ingress"]}'
spec: {order: 10, selector: app == 'server', types: [Ingress]}
`

// Three nodes go back, each by its own clock; one of them can't reach the API.
// Of the two that can one writes back, and all three agree with what it wrote.
func TestTrialEndsOnThreeNodes(t *testing.T) {
	root := t.TempDir()
	file := filepath.Join(root, "server.yaml")
	var agents []*trialAgent
	for i, node := range []string{"n1", "n2", "n3"} {
		a := newTrialAgent(t, root, node, time.Duration(i+1)*time.Hour)
		a.inForce(t) // before the trial began
		agents = append(agents, a)
	}
	if err := os.WriteFile(file, []byte(trialOfServer), 0o644); err != nil {
		t.Fatal(err)
	}
	all := func(what string, want int) {
		t.Helper()
		for _, a := range agents {
			if got := a.inForce(t); got != want {
				t.Errorf("%s: %s has order %d, want %d", what, a.opts.Node, got, want)
			}
		}
	}
	all("on trial", 10)
	for _, a := range agents {
		a.clock.Add(int64(5*time.Minute) - 1)
	}
	all("just before the end", 10)
	agents[0].store.away.Store(true)
	for _, a := range agents {
		a.clock.Add(1)
	}
	all("at the end", 20)
	takeBackAll(t, agents)
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if text := string(data); strings.Count(text, "reverted-by") != 1 || strings.Contains(text, "confirm-by") ||
		!strings.Contains(text, `agent on n2`) && !strings.Contains(text, `agent on n3`) {
		t.Errorf("written back: %s", text)
	}
	if got := strings.Join(agents[0].trials.problems(), ""); !strings.Contains(got, "that can't be written back: the API server can't be reached") {
		t.Errorf("problems of the one that is cut off: %q", got)
	}
	agents[0].store.away.Store(false)
	all("written back", 20)
	takeBackAll(t, agents)
	for _, a := range agents {
		if open := a.trials.open(); len(open) > 0 || len(a.trials.problems()) > 0 {
			t.Errorf("%s: still to write back %v, problems %q", a.opts.Node, open, a.trials.problems())
		}
	}
	after, err := os.ReadFile(file)
	if err != nil || string(after) != string(data) {
		t.Errorf("written once more: %s, %v", after, err)
	}
}

// takeBackAll has all agents write back what is over, at the same time.
func takeBackAll(t *testing.T, agents []*trialAgent) {
	t.Helper()
	var wg sync.WaitGroup
	for _, a := range agents {
		wg.Go(func() {
			for _, id := range a.trials.open() {
				a.trials.tried(id, a.takeBackOne(context.Background(), a.store, id))
			}
		})
	}
	wg.Wait()
}

// Who confirms at the very deadline and the agents that go back: the one that the
// API hears first wins on every node, also on one that has gone back already.
func TestTrialConfirmedAsItEnds(t *testing.T) {
	for _, first := range []string{"person", "agent"} {
		root := t.TempDir()
		file := filepath.Join(root, "server.yaml")
		agents := []*trialAgent{newTrialAgent(t, root, "n1", time.Hour), newTrialAgent(t, root, "n2", time.Minute)}
		for _, a := range agents {
			a.inForce(t)
		}
		if err := os.WriteFile(file, []byte(trialOfServer), 0o644); err != nil {
			t.Fatal(err)
		}
		for _, a := range agents {
			a.inForce(t)
			a.clock.Add(int64(5 * time.Minute))
			if got := a.inForce(t); got != 20 {
				t.Errorf("%s has order %d at its deadline, want 20", a.opts.Node, got)
			}
		}
		store := agents[0].store
		read, err := store.Get(t.Context(), policy.Key{Kind: policy.KindNetworkPolicy, Namespace: "shop", Name: "server"})
		if err != nil {
			t.Fatal(err)
		}
		if first == "agent" {
			takeBackAll(t, agents[1:])
		}
		edits, err := stage.Confirm(read, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, err = store.Change(t.Context(), []cluster.Change{{Object: edits[0].Object}}, false)
		if errors.Is(err, cluster.ErrConflict) != (first == "agent") || first == "person" && err != nil {
			t.Errorf("%s first: to confirm says %v", first, err)
		}
		takeBackAll(t, agents)
		want := map[string]int{"person": 10, "agent": 20}[first]
		for _, a := range agents {
			if got := a.inForce(t); got != want || len(a.trials.open()) > 0 {
				t.Errorf("%s first: %s has order %d, want %d", first, a.opts.Node, got, want)
			}
		}
	}
}
