package tier

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/netpol-project/netpol/pkg/policy"
)

// Nets are all prefixes that rules of local's policies in a direction look at
// in the peer's addresses: nets, and what network sets, host endpoints and
// Services' backends of the peers add. Sorted, without duplicates.
func (m *Model) Nets(scope Scope, dir policy.Direction, local *policy.Endpoint) []netip.Prefix {
	w := m.walk(m.view(scope), dir, m.ids.of(local))
	if !w.nets {
		return nil
	}
	var out []netip.Prefix
	seen := map[int32]bool{}
	w.each(dir, func(r *rule) {
		if n := r.nets; n != nil {
			out = append(append(out, n.peer...), n.notPeer...)
		}
		if r.peer != noEntity && m.reaches[r.peer].wide() && !seen[r.peer] {
			seen[r.peer] = true
			out = append(out, m.reaches[r.peer].nets...)
		}
	})
	return sortNets(out)
}

// each calls f for every rule of the walk, in order.
func (w *walk) each(dir policy.Direction, f func(*rule)) {
	for gi := range w.groups {
		for _, c := range w.groups[gi].policies {
			for i := range c.rules[dir] {
				f(&c.rules[dir][i])
			}
		}
	}
}

// Profile is a comparable key of the policies (in their present content and
// order) that judge local in a direction; endpoints of one profile get the same
// verdict for the same peer. The empty string: no policy at all. A key is the
// same in every model and process in which the policies, and what they look at
// beside endpoints, are the same.
func (m *Model) Profile(scope Scope, dir policy.Direction, local *policy.Endpoint) string {
	id := m.ids.of(local)
	w := m.walk(m.view(scope), dir, id)
	if !w.local {
		return w.key
	}
	var b strings.Builder
	b.WriteString(w.key)
	b.WriteByte('/')
	bit := func(v bool) {
		if v {
			b.WriteByte('1')
		} else {
			b.WriteByte('0')
		}
	}
	// The endpoint's address of each family.
	ends := [2]end{{id, addrOfFamily(local, true)}, {id, addrOfFamily(local, false)}}
	w.each(dir, func(r *rule) {
		for i := range ends {
			if r.local != noEntity && (i == 0 || m.reaches[r.local] != nil) {
				bit(m.entityMatches(r.local, &ends[i]))
			}
			if r.nets != nil && len(r.nets.local)+len(r.nets.notLocal) > 0 {
				bit(netsMatch(r.nets.local, r.nets.notLocal, ends[i].addr))
			}
		}
		if r.by == nil {
			return
		}
		for _, names := range r.by.local(dir) {
			for _, n := range m.numbers(names, &ends[0], r.local, r.protocol) {
				fmt.Fprintf(&b, ":%d", n.Min)
			}
			b.WriteByte(';')
		}
	})
	return b.String()
}

// local are the names of ports that the endpoint itself may declare.
func (by *portCriteria) local(dir policy.Direction) [2][]string {
	if dir == policy.Egress {
		return [2][]string{by.sourceNamed, by.notSourceNamed}
	}
	return [2][]string{by.named, by.notNamed}
}

func addrOfFamily(ep *policy.Endpoint, is4 bool) netip.Addr {
	for _, a := range ep.Addrs {
		if a.Is4() == is4 {
			return a
		}
	}
	return netip.Addr{}
}
