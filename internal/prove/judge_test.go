package prove

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"
	"testing"

	"pgregory.net/rapid"

	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

// TestMain lets NETPOL_PROVE_CASES set how many random worlds each property
// is tried on (make prove); rapid's own default is 100.
func TestMain(m *testing.M) {
	flag.Parse()
	// A failure prints its seed and its world; files of random bits beside the
	// code would say less.
	if err := flag.Set("rapid.nofailfile", "true"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	if cases := os.Getenv("NETPOL_PROVE_CASES"); cases != "" {
		if _, err := strconv.Atoi(cases); err != nil {
			fmt.Fprintf(os.Stderr, "NETPOL_PROVE_CASES: %v\n", err)
			os.Exit(2)
		}
		if err := flag.Set("rapid.checks", cases); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
	}
	os.Exit(m.Run())
}

// subject is a world beside the product's model of it.
type subject struct {
	*World
	snap  *policy.Snapshot
	model *tier.Model
	ends  map[string]*policy.Endpoint
}

// fataler is what rapid's T and testing's have in common.
type fataler interface {
	Fatalf(format string, args ...any)
	Helper()
}

// newSubject models the world; prev is the model before an edit, or nil.
func newSubject(t fataler, w *World, prev *subject) *subject {
	t.Helper()
	var prevSnap *policy.Snapshot
	var prevModel *tier.Model
	if prev != nil {
		prevSnap, prevModel = prev.snap, prev.model
	}
	snap, err := w.Snapshot(prevSnap)
	if err != nil {
		t.Fatalf("%v\n\nThe world:\n%s", err, w.Manifests())
	}
	return modelled(t, w, snap, prevModel)
}

func modelled(t fataler, w *World, snap *policy.Snapshot, prev *tier.Model) *subject {
	t.Helper()
	s := &subject{World: w, snap: snap, model: tier.New(snap, prev), ends: map[string]*policy.Endpoint{}}
	for _, ep := range snap.Endpoints {
		s.ends[ep.ID()] = ep
	}
	for _, p := range w.Pods {
		if (s.ends[p.ID()] != nil) != p.Endpoint() {
			t.Fatalf("pod %s: endpoint is %v, want %v (S12)\n\nThe world:\n%s", p.ID(), s.ends[p.ID()] != nil, p.Endpoint(), w.Manifests())
		}
	}
	return s
}

func (s *subject) peer(e End) tier.Peer {
	if e.Pod == nil {
		return tier.Peer{Addr: e.Addr}
	}
	return tier.Peer{Endpoint: s.ends[e.Pod.ID()], Addr: e.Addr}
}

// peers are the packet's ends, the source with its port.
func (s *subject) peers(c Packet) (local, peer tier.Peer) {
	local, peer = s.peer(c.Local), s.peer(c.Peer)
	if c.Direction == policy.Ingress {
		peer.Port = uint16(c.SourcePort)
	} else {
		local.Port = uint16(c.SourcePort)
	}
	return local, peer
}

// ask has the model judge what the oracle judges.
func (s *subject) ask(scope tier.Scope, c Packet) Answer {
	local, peer := s.peers(c)
	v := s.model.Judge(scope, c.Direction, local, peer, policy.Protocol(c.Protocol), uint16(c.Port))
	return Answer{Action: v.Action, By: v.By, Logs: v.Logs}
}

// scopePair is one scope as the oracle and as the model know it.
type scopePair struct {
	scope Scope
	same  tier.Scope
}

// scopes are: enforced, pending, each staged policy alone, and every other one
// together.
func (w *World) scopes() []scopePair {
	out := []scopePair{{Scope{}, tier.Enforced()}, {Scope{All: true}, tier.Pending()}}
	var some []policy.Key
	for i, p := range w.Policies {
		if p.Kind.Staged() && i%2 == 0 {
			some = append(some, p.Key())
		}
		if p.Kind.Staged() {
			out = append(out, scopePair{Scope{Only: p.Key()}, tier.Only(p.Key())})
		}
	}
	return append(out, scopePair{Scope{Some: some}, tier.Some(some...)})
}

// sameAnswer compares what both must agree on. A staged policy may be named
// by its own kind or by the one it would have, and the rules that the policies
// of Kubernetes turn into have no fixed numbers.
func sameAnswer(a, b Answer) bool {
	return a.Action == b.Action && plain(a.By) == plain(b.By) &&
		slices.EqualFunc(a.Logs, b.Logs, func(x, y policy.Hit) bool { return plain(x) == plain(y) })
}

func plain(h policy.Hit) policy.Hit {
	h.Policy.Kind = h.Policy.Kind.Enforced()
	if (h.Policy.Kind == policy.KindKubernetesNetworkPolicy || h.Policy.Kind == policy.KindClusterNetworkPolicy) && h.Rule >= 0 {
		h.Rule = 0
	}
	return h
}

// drawWires draws the protocols and ports that a world is asked about.
func drawWires(t *rapid.T, w *World) []Wire {
	out := []Wire{}
	for range 8 {
		out = append(out, gen{t}.wire(w))
	}
	return out
}

// packets calls f for both directions between all ends that can meet.
func (w *World) packets(services []Wire, f func(Packet)) {
	for _, local := range w.PodEnds() {
		for _, peer := range w.Ends() {
			if !local.Meets(peer) {
				continue
			}
			for _, s := range services {
				f(Packet{Direction: policy.Ingress, Local: local, Peer: peer}.Over(s))
				f(Packet{Direction: policy.Egress, Local: local, Peer: peer}.Over(s))
			}
		}
	}
}

// describe is what a failure prints: the packet and the world that it is in.
func (w *World) describe(scope Scope, c Packet) string {
	return fmt.Sprintf("scope %+v, %s of %s, peer %s, protocol %d, port %d, source port %d\n\nThe world:\n%s",
		scope, c.Direction, c.Local, c.Peer, c.Protocol, c.Port, c.SourcePort, w.Manifests())
}

// TestOracleAgreesWithModel is the first proof: on random worlds the product
// decides as the naive oracle does, in every scope, for every pair of ends.
func TestOracleAgreesWithModel(t *testing.T) {
	atLeast(t, 300)
	cases := 0
	rapid.Check(t, func(t *rapid.T) {
		w := Worlds().Draw(t, "world")
		services := drawWires(t, w)
		s := newSubject(t, w, nil)
		for _, v := range w.scopes() {
			w.packets(services, func(c Packet) {
				cases++
				want, got := w.Judge(v.scope, c), s.ask(v.same, c)
				if !sameAnswer(want, got) {
					t.Fatalf("want %+v\n got %+v\n%s", want, got, w.describe(v.scope, c))
				}
			})
		}
	})
	t.Logf("%d verdicts compared", cases)
	if cases < 100_000 {
		t.Errorf("only %d cases", cases)
	}
}
