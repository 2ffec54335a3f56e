package prove

import (
	"maps"
	"net/netip"

	"pgregory.net/rapid"

	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

// twins gives some pods the namespace, labels and account of another, so that
// identities and profiles are shared, and to half of them addresses side by
// side, which few nets tell apart.
func (w *World) twins(t *rapid.T) {
	g := gen{t}
	for i := range g.between(1, 3) {
		a, b := pick(g, w.Pods), pick(g, w.Pods)
		b.Namespace, b.ServiceAccount, b.Labels = a.Namespace, a.ServiceAccount, maps.Clone(a.Labels)
		if a != b && g.eighths(4) {
			a.Addrs, b.Addrs = bothFamilies(64+2*i), bothFamilies(65+2*i)
		}
	}
}

func (s *subject) identity(e End) int { return s.model.Identity(s.peer(e).Endpoint) }

func (s *subject) profile(scope tier.Scope, dir policy.Direction, e End) string {
	return s.model.Profile(scope, dir, s.peer(e).Endpoint)
}

// nets are all nets that any rule of the world names, also by way of network
// sets, host endpoints and services.
func (w *World) nets() []netip.Prefix {
	var out []netip.Prefix
	for _, s := range w.Sets {
		out = append(out, s.Nets...)
	}
	var addrs []netip.Addr
	for _, h := range w.HostEndpoints {
		addrs = append(addrs, h.Addrs...)
	}
	for _, s := range w.Services {
		for _, slice := range s.Slices {
			addrs = append(addrs, slice.Addrs...)
		}
	}
	for _, a := range addrs {
		out = append(out, netip.PrefixFrom(a, a.BitLen()))
	}
	for _, p := range w.Policies {
		for _, r := range append(append([]Rule(nil), p.Ingress...), p.Egress...) {
			for _, e := range []Entity{r.Source, r.Destination} {
				out = append(append(out, e.Nets...), e.NotNets...)
			}
		}
		if p.Cluster != nil {
			for _, r := range p.Cluster.Egress {
				for _, k := range r.Peers {
					out = append(out, k.Networks...)
				}
			}
		}
		if p.Kube == nil {
			continue
		}
		for _, r := range append(append([]KubeRule(nil), p.Kube.Ingress...), p.Kube.Egress...) {
			for _, k := range r.Peers {
				if k.Block.IsValid() {
					out = append(append(out, k.Block), k.Except...)
				}
			}
		}
	}
	return out
}

// sameNets says whether none of the nets tells a from b.
func sameNets(nets []netip.Prefix, a, b netip.Addr) bool {
	for _, n := range nets {
		if n.Contains(a) != n.Contains(b) {
			return false
		}
	}
	return true
}

// view is what a comparison looks through: one scope, some services.
type view struct {
	scopePair
	services []Wire
}

// views are the comparisons in every scope.
func (w *World) views(services []Wire) []view {
	var out []view
	for _, pair := range w.scopes() {
		out = append(out, view{pair, services})
	}
	return out
}

// alike asks about x and y with every service of v, and fails where the
// model's answers differ.
func (s *subject) alike(t *rapid.T, v view, x, y Packet) {
	for _, service := range v.services {
		x, y = x.Over(service), y.Over(service)
		p, q := s.ask(v.same, x), s.ask(v.same, y)
		if !sameAnswer(p, q) {
			t.Fatalf("count as alike, but %s with %s gets %+v\nand %s with %s gets %+v\n%s",
				x.Local, x.Peer, p, y.Local, y.Peer, q, s.describe(v.scope, x))
		}
		if want := s.Judge(v.scope, x); !sameAnswer(want, p) {
			t.Fatalf("want %+v\n got %+v\n%s", want, p, s.describe(v.scope, x))
		}
	}
}

// alikeSubjects compares a and b as subjects, for every peer.
func (s *subject) alikeSubjects(t *rapid.T, v view, dir policy.Direction, a, b End) {
	for _, peer := range s.Ends() {
		if a.Meets(peer) && b.Meets(peer) {
			s.alike(t, v, Packet{Direction: dir, Local: a, Peer: peer}, Packet{Direction: dir, Local: b, Peer: peer})
		}
	}
}

// alikePeers compares a and b as peers, for every subject.
func (s *subject) alikePeers(t *rapid.T, v view, dir policy.Direction, a, b End) {
	for _, local := range s.PodEnds() {
		if local.Meets(a) && local.Meets(b) {
			s.alike(t, v, Packet{Direction: dir, Local: local, Peer: a}, Packet{Direction: dir, Local: local, Peer: b})
		}
	}
}

// pairs calls f for every two ends of pods that have an address of one family.
func (w *World) pairs(f func(a, b End)) {
	ends := w.PodEnds()
	for i, a := range ends {
		for _, b := range ends[:i] {
			if a.Addr.IsValid() && b.Addr.IsValid() && a.Addr.Is4() == b.Addr.Is4() {
				f(a, b)
			}
		}
	}
}

// emptyProfile: the empty key promises that no policy judges the endpoint.
func (s *subject) emptyProfile(t *rapid.T, a End) {
	for _, v := range s.scopes() {
		for _, dir := range []policy.Direction{policy.Ingress, policy.Egress} {
			judged := false
			for _, p := range s.inForce(v.scope) {
				judged = judged || s.acts(p, dir) && s.selects(p, a.Pod)
			}
			if judged == (s.profile(v.same, dir, a) == "") {
				t.Fatalf("profile of %s in %s is %q, judged by policies: %v\n%s", a, dir, s.profile(v.same, dir, a), judged, s.Manifests())
			}
		}
	}
}
