package connectivity

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/policy/selector"
	"github.com/netpol-project/netpol/pkg/tier"
)

// sorts number who can't be told apart, as policed and as peer: pods of one
// namespace and service account, alike in the labels that some selector speaks
// of and in named ports, whose addresses are of the same atoms. Labels that are
// each pod's own (a StatefulSet's, a Job's) so make no more sorts.
type sorts struct {
	m     *tier.Model
	atoms *Atoms
	byKey map[sortKey]int32
	ports map[*policy.ContainerPort]string // by the first of a list
	// spoken are the labels that selectors speak of.
	spoken map[string]bool
	labels map[int]string // by identity
}

type sortKey struct {
	labels string // with the namespace; empty for addresses
	ports  string
	v4, v6 int
}

func newSorts(m *tier.Model, atoms *Atoms) *sorts {
	return &sorts{
		m: m, atoms: atoms, byKey: map[sortKey]int32{}, ports: map[*policy.ContainerPort]string{},
		spoken: spokenLabels(m.Snapshot()), labels: map[int]string{},
	}
}

// spokenLabels are the labels of pods that policies and Services look at.
func spokenLabels(s *policy.Snapshot) map[string]bool {
	out := map[string]bool{policy.LabelServiceAccount: true}
	add := func(list ...*selector.Selector) {
		for _, sel := range list {
			if sel != nil {
				for _, name := range sel.LabelNames() {
					out[name] = true
				}
			}
		}
	}
	for _, p := range s.Policies {
		add(p.Selector)
		for d := range p.Rules {
			for i := range p.Rules[d] {
				r := &p.Rules[d][i]
				add(r.Source.Selector, r.Source.NotSelector, r.Destination.Selector, r.Destination.NotSelector)
			}
		}
	}
	for _, svc := range s.Services {
		for name := range svc.Selector {
			out[name] = true
		}
	}
	return out
}

// spokenOf is a key of an endpoint's namespace and of those of its labels that
// selectors speak of.
func (s *sorts) spokenOf(ep *policy.Endpoint) string {
	id := s.m.Identity(ep)
	if key, ok := s.labels[id]; ok && id >= 0 {
		return key
	}
	var parts []string
	for name, value := range ep.Labels {
		if s.spoken[name] {
			parts = append(parts, name+"="+value)
		}
	}
	slices.Sort(parts)
	key := ep.Namespace + "\x00" + strings.Join(parts, "\x00")
	s.labels[id] = key
	return key
}

func (s *sorts) number(k sortKey) int32 {
	n, ok := s.byKey[k]
	if !ok {
		n = int32(len(s.byKey))
		s.byKey[k] = n
	}
	return n
}

// pod is the number of a pod's sort.
func (s *sorts) pod(ep *policy.Endpoint) int32 {
	a := addrsOf(ep)
	return s.number(sortKey{s.spokenOf(ep), s.portNames(ep), s.atoms.Of(a[0]), s.atoms.Of(a[1])})
}

// plain is the same without the addresses.
func (s *sorts) plain(ep *policy.Endpoint) int32 {
	return s.number(sortKey{s.spokenOf(ep), s.portNames(ep), -2, -2})
}

// atom is the number of an atom's addresses.
func (s *sorts) atom(a *Atom) int32 {
	return s.number(sortKey{"", "", s.atoms.Of(a.Addr), -1})
}

// portNames is a key of the named ports, which rules and Services may name.
func (s *sorts) portNames(ep *policy.Endpoint) string {
	if len(ep.Ports) == 0 {
		return ""
	}
	if key, ok := s.ports[&ep.Ports[0]]; ok {
		return key
	}
	named := slices.DeleteFunc(slices.Clone(ep.Ports), func(p policy.ContainerPort) bool { return p.Name == "" })
	slices.SortFunc(named, func(a, b policy.ContainerPort) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(a.Port, b.Port))
	})
	var b strings.Builder
	for _, p := range slices.Compact(named) {
		b.WriteString(p.Name + "/" + strconv.Itoa(int(p.Protocol)) + "/" + strconv.Itoa(int(p.Port)) + " ")
	}
	s.ports[&ep.Ports[0]] = b.String()
	return b.String()
}

// addrsOf are an endpoint's addresses of either family, IPv4 first.
func addrsOf(ep *policy.Endpoint) (out [2]netip.Addr) {
	for _, a := range ep.Addrs {
		a = a.Unmap()
		if f := family(a); !out[f].IsValid() {
			out[f] = a
		}
	}
	return out
}

// family is 0 for IPv4 and 1 for IPv6.
func family(a netip.Addr) int {
	if a.Is6() {
		return 1
	}
	return 0
}
