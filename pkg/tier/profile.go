package tier

import (
	"fmt"
	"net/netip"
	"slices"
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

// SourcePorts are the classes of source ports that local's policies in a
// direction judge alike, whoever the peer is: each a sorted list of ranges;
// together they cover all ports. Class 0 is the one with AssumedSourcePort.
// nil: no rule looks at source ports. They matter to protocols with ports.
func (m *Model) SourcePorts(scope Scope, dir policy.Direction, local *policy.Endpoint) [][]policy.PortRange {
	id := m.ids.of(local)
	w := m.walk(m.view(scope), dir, id)
	if !w.sourcePorts {
		return nil
	}
	var lists [][]policy.PortRange
	w.each(dir, func(r *rule) {
		if r.by == nil || !r.by.onSource() {
			return
		}
		for _, list := range [][]policy.PortRange{r.by.source, r.by.notSource} {
			if len(list) > 0 {
				lists = append(lists, list)
			}
		}
		for _, names := range [][]string{r.by.sourceNamed, r.by.notSourceNamed} {
			for _, n := range m.anyones(names, r, dir, id) {
				lists = append(lists, []policy.PortRange{n})
			}
		}
	})
	return classes(lists)
}

// anyones are the ports that the source may declare under names.
func (m *Model) anyones(names []string, r *rule, dir policy.Direction, id int32) []policy.PortRange {
	if len(names) == 0 {
		return nil
	}
	if dir == policy.Egress {
		return m.numbers(names, &end{id: id}, r.local, r.protocol)
	}
	var out []policy.PortRange
	for id := range m.ids.reps {
		for _, n := range m.numbers(names, &end{id: int32(id)}, r.peer, r.protocol) {
			if !slices.Contains(out, n) {
				out = append(out, n)
			}
		}
	}
	return out
}

// classes groups ports by which of the lists they are in.
func classes(lists [][]policy.PortRange) [][]policy.PortRange {
	starts := []uint16{0}
	for _, list := range lists {
		for _, r := range list {
			starts = append(starts, r.Min)
			if r.Max < 65535 {
				starts = append(starts, r.Max+1)
			}
		}
	}
	slices.Sort(starts)
	starts = slices.Compact(starts)
	var out [][]policy.PortRange
	number := map[string]int{}
	first := 0
	for i, lo := range starts {
		hi := uint16(65535)
		if i+1 < len(starts) {
			hi = starts[i+1] - 1
		}
		key := make([]byte, len(lists))
		for j, list := range lists {
			if inRanges(list, lo) {
				key[j] = 1
			}
		}
		n, ok := number[string(key)]
		if !ok {
			n = len(out)
			number[string(key)] = n
			out = append(out, nil)
		}
		if lo <= AssumedSourcePort && AssumedSourcePort <= hi {
			first = n
		}
		if k := len(out[n]); k > 0 && out[n][k-1].Max+1 == lo {
			out[n][k-1].Max = hi
		} else {
			out[n] = append(out[n], policy.PortRange{Min: lo, Max: hi})
		}
	}
	out[0], out[first] = out[first], out[0]
	return out
}
