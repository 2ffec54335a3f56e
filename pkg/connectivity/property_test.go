package connectivity_test

import (
	"net/netip"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/netpol-project/netpol/internal/prove"
	"github.com/netpol-project/netpol/pkg/connectivity"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

var scopes = []tier.Scope{tier.Enforced(), tier.Pending()}

// doors are what connections are asked about: a few drawn anew each time.
func doors(t *rapid.T) []tier.Conn {
	ports := []uint16{0, 1, 53, 79, 80, 81, 443, 5432, 8080, 8443, 0x0800, 0x0801, 0x8000, 0x0301, 65535}
	var out []tier.Conn
	for range 6 {
		out = append(out, tier.Conn{
			Protocol: rapid.SampledFrom([]policy.Protocol{1, 6, 6, 6, 17, 17, 47, 58, 132, 136, 253, 2}).Draw(t, "protocol"),
			Port:     rapid.OneOf(rapid.SampledFrom(ports), rapid.Uint16()).Draw(t, "port"),
		})
	}
	return out
}

// pairsOf counts the pairs of pods of two workloads that meet, and those that
// the model allows: over all addresses that the two have in common.
func pairsOf(m *tier.Model, scope tier.Scope, src, dst policy.Workload, c tier.Conn) (allowed, some, all int) {
	s := m.Snapshot()
	for _, a := range s.WorkloadEndpoints(src) {
		for _, b := range s.WorkloadEndpoints(dst) {
			if a == b {
				continue
			}
			yes, n := 0, 0
			for _, f := range meets(a, b) {
				c.Source, c.Destination = f[0], f[1]
				n++
				if m.Evaluate(scope, c).Allowed() {
					yes++
				}
			}
			all++
			if yes == n {
				allowed++
			}
			if yes > 0 {
				some++
			}
		}
	}
	return allowed, some, all
}

// meets are the ways in which two pods can meet: by addresses of one family,
// or, where that can't be, without any.
func meets(a, b *policy.Endpoint) [][2]tier.Peer {
	var out [][2]tier.Peer
	for _, is4 := range []bool{true, false} {
		x, okX := addrOf(a, is4)
		y, okY := addrOf(b, is4)
		if okX && okY || okX && len(b.Addrs) == 0 || okY && len(a.Addrs) == 0 {
			out = append(out, [2]tier.Peer{{Endpoint: a, Addr: x}, {Endpoint: b, Addr: y}})
		}
	}
	if len(out) == 0 {
		out = append(out, [2]tier.Peer{{Endpoint: a}, {Endpoint: b}})
	}
	return out
}

func addrOf(ep *policy.Endpoint, is4 bool) (netip.Addr, bool) {
	for _, a := range ep.Addrs {
		if a.Is4() == is4 {
			return a, true
		}
	}
	return netip.Addr{}, false
}

// crowd puts the pods of a world into a few workloads.
func crowd(s *policy.Snapshot) *policy.Snapshot {
	out := *s
	out.Endpoints = nil
	for _, ep := range s.Endpoints {
		c := *ep
		name := string('a' + ep.Name[len(ep.Name)-1]%2)
		c.Workload = policy.Workload{Kind: policy.KindDeployment, Namespace: c.Namespace, Name: name}
		out.Endpoints = append(out.Endpoints, &c)
	}
	return &out
}

// modelOf reads a world.
func modelOf(t *rapid.T, w *prove.World) *tier.Model {
	s, err := w.Snapshot(nil)
	if err != nil {
		t.Fatal(err)
	}
	return tier.New(crowd(s), nil)
}

// TestMatrixIsTheModel: what the matrix says of all pods of two workloads at
// once is what the model says of each pair.
func TestMatrixIsTheModel(t *testing.T) {
	partly := 0
	rapid.Check(t, func(t *rapid.T) {
		w := prove.Worlds().Draw(t, "world")
		m := modelOf(t, w)
		asked := doors(t)
		for _, scope := range scopes {
			for _, p := range connectivity.Matrix(m, scope, connectivity.Options{Spaces: true}) {
				for _, c := range asked {
					allowed, some, all := pairsOf(m, scope, p.Source, p.Destination, c)
					open, part := p.Open.Contains(c.Protocol, c.Port), p.Partly.Contains(c.Protocol, c.Port)
					if open != (allowed == all) || part != (some > 0 && allowed < all) {
						t.Fatalf("%s → %s %s: open %v, partly %v; the model allows %d of %d\n%s", p.Source, p.Destination,
							connectivity.PortText(c.Protocol, c.Port), open, part, allowed, all, w.Manifests())
					}
					if part {
						partly++
					}
				}
				for _, v := range p.Ports {
					allowed, _, all := pairsOf(m, scope, p.Source, p.Destination, tier.Conn{Protocol: v.Protocol, Port: v.Port})
					if v.All() != (allowed == all) {
						t.Fatalf("%s → %s %s: %d of %d; the model allows %d of %d\n%s", p.Source, p.Destination,
							connectivity.PortText(v.Protocol, v.Port), v.Allowed, v.Pairs, allowed, all, w.Manifests())
					}
				}
			}
		}
	})
	if partly == 0 {
		t.Error("no workload had pods that are judged differently")
	}
}

// TestOutsideIsTheModel: what the matrix says of the internet and of nets is
// what the model says of every address that an atom stands for.
func TestOutsideIsTheModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := prove.Worlds().Draw(t, "world")
		m := modelOf(t, w)
		s := m.Snapshot()
		atoms := connectivity.NewAtoms(s)
		for _, addr := range prove.Outside {
			twin := tier.Peer{Addr: atoms.Atom(addr).Addr}
			peer := tier.Peer{Addr: addr}
			for _, ep := range s.Endpoints {
				for _, c := range doors(t) {
					for _, dir := range []policy.Direction{policy.Ingress, policy.Egress} {
						a := m.Judge(tier.Pending(), dir, tier.Peer{Endpoint: ep}, peer, c.Protocol, c.Port)
						b := m.Judge(tier.Pending(), dir, tier.Peer{Endpoint: ep}, twin, c.Protocol, c.Port)
						if a.By != b.By {
							t.Fatalf("%s and %s are one atom, but %s at %s: %v and %v\n%s", addr, twin.Addr, dir, ep.ID(), a.By, b.By, w.Manifests())
						}
					}
				}
			}
		}
	})
}

// TestChangesAreTheModels: a connection of two workloads is among the changes
// if, and only if, the model judges some pair of their pods in one way before
// and in another after.
func TestChangesAreTheModels(t *testing.T) {
	added, removed := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		w := prove.Worlds().Draw(t, "world")
		e := *prove.Edited(w).Draw(t, "edited")
		e.Pods = w.Pods
		before, after := connectivity.View{Model: modelOf(t, w)}, connectivity.View{Model: modelOf(t, &e)}
		if rapid.Bool().Draw(t, "pending") {
			after = connectivity.View{Model: before.Model, Scope: tier.Pending()}
		}
		changes := connectivity.Changes(before, after, connectivity.Options{})
		for _, src := range workloadsOf(before.Model.Snapshot()) {
			for _, dst := range workloadsOf(before.Model.Snapshot()) {
				for _, c := range doors(t) {
					plus, minus := flips(before, after, src, dst, c)
					gotPlus, gotMinus := told(changes, src, dst, c)
					if plus != gotPlus || minus != gotMinus {
						t.Fatalf("%s → %s %s: added %v, removed %v; the model says %v and %v\nBEFORE\n%s\nAFTER\n%s", src, dst,
							connectivity.PortText(c.Protocol, c.Port), gotPlus, gotMinus, plus, minus, w.Manifests(), e.Manifests())
					}
					if plus {
						added++
					}
					if minus {
						removed++
					}
				}
			}
		}
	})
	if added == 0 || removed == 0 {
		t.Errorf("%d added and %d removed: nothing was tried", added, removed)
	}
}

func workloadsOf(s *policy.Snapshot) []policy.Workload {
	var out []policy.Workload
	for _, ep := range s.Endpoints {
		if !slices.Contains(out, ep.Workload) {
			out = append(out, ep.Workload)
		}
	}
	return out
}

// flips asks both models about every pair of pods.
func flips(before, after connectivity.View, src, dst policy.Workload, c tier.Conn) (plus, minus bool) {
	sb, sa := before.Model.Snapshot(), after.Model.Snapshot()
	for _, a := range sb.WorkloadEndpoints(src) {
		for _, b := range sb.WorkloadEndpoints(dst) {
			if a == b {
				continue
			}
			then := meets(sa.Endpoint(a.Namespace, a.Name), sa.Endpoint(b.Namespace, b.Name))
			for i, f := range meets(a, b) {
				c.Source, c.Destination = f[0], f[1]
				was := before.Model.Evaluate(before.Scope, c).Allowed()
				c.Source, c.Destination = then[i][0], then[i][1]
				is := after.Model.Evaluate(after.Scope, c).Allowed()
				plus, minus = plus || is && !was, minus || was && !is
			}
		}
	}
	return plus, minus
}

func told(changes []connectivity.Change, src, dst policy.Workload, c tier.Conn) (plus, minus bool) {
	for i := range changes {
		ch := &changes[i]
		if ch.Source == src && ch.Destination == dst && ch.What.Contains(c.Protocol, c.Port) {
			plus, minus = plus || ch.Added, minus || !ch.Added
		}
	}
	return plus, minus
}

// TestChangesOutsideAreTheModels is the same for addresses that no pod has.
func TestChangesOutsideAreTheModels(t *testing.T) {
	changed := 0
	rapid.Check(t, func(t *rapid.T) {
		w := prove.Worlds().Draw(t, "world")
		e := *prove.Edited(w).Draw(t, "edited")
		e.Pods = w.Pods
		before, after := connectivity.View{Model: modelOf(t, w)}, connectivity.View{Model: modelOf(t, &e)}
		changes := connectivity.Changes(before, after, connectivity.Options{Outside: true})
		for _, ep := range before.Model.Snapshot().Endpoints {
			now := after.Model.Snapshot().Endpoint(ep.Namespace, ep.Name)
			for _, addr := range prove.Outside {
				if _, ok := addrOf(ep, addr.Is4()); !ok && len(ep.Addrs) > 0 || !ok && addr.Is6() || before.Model.Owner(addr) != nil {
					continue
				}
				for _, c := range doors(t) {
					x := tier.Peer{Addr: addr}
					was := before.Model.Evaluate(before.Scope, tier.Conn{Source: x, Destination: tier.Peer{Endpoint: ep}, Protocol: c.Protocol, Port: c.Port}).Allowed()
					is := after.Model.Evaluate(after.Scope, tier.Conn{Source: x, Destination: tier.Peer{Endpoint: now}, Protocol: c.Protocol, Port: c.Port}).Allowed()
					if was == is {
						continue
					}
					changed++
					if !slices.ContainsFunc(changes, func(ch connectivity.Change) bool {
						return connectivity.Outside(ch.Source) && ch.Destination == ep.Workload && ch.Added == is && ch.What.Contains(c.Protocol, c.Port)
					}) {
						t.Fatalf("%s → %s %s: %v before, %v after, but no such change\nBEFORE\n%s\nAFTER\n%s", addr, ep.ID(),
							connectivity.PortText(c.Protocol, c.Port), was, is, w.Manifests(), e.Manifests())
					}
				}
			}
		}
	})
	if changed == 0 {
		t.Error("nothing changed")
	}
}
