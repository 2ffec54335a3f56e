package tier

import (
	"slices"

	"github.com/netpol-project/netpol/pkg/policy"
)

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
	peer := r.peer
	if peer != noEntity && m.entities[peer].service.Name != "" {
		peer = noEntity // which pods it is depends on addresses, too: take all
	}
	for id, alive := range m.alive() {
		if !alive {
			continue
		}
		for _, n := range m.numbers(names, &end{id: int32(id)}, peer, r.protocol) {
			if !slices.Contains(out, n) {
				out = append(out, n)
			}
		}
	}
	return out
}

// alive tells of each identity whether an endpoint has it. A model that was made
// from another one knows identities of endpoints that are gone, and a name that
// they alone declared stands for no port any more.
func (m *Model) alive() []bool {
	m.livingOnce.Do(func() {
		m.living = make([]bool, len(m.ids.reps))
		for _, ep := range m.snap.Endpoints {
			if id := m.ids.of(ep); id >= 0 {
				m.living[id] = true
			}
		}
	})
	return m.living
}

// classes groups ports by which of the lists they are in.
func classes(lists [][]policy.PortRange) [][]policy.PortRange {
	starts := startsOf(lists)
	of := classesOf(starts, lists)
	var out [][]policy.PortRange
	number := map[int]int{} // classes in the order of their first ports
	first := 0
	for i, lo := range starts {
		hi := uint16(65535)
		if i+1 < len(starts) {
			hi = starts[i+1] - 1
		}
		n, ok := number[of[i]]
		if !ok {
			n = len(out)
			number[of[i]] = n
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

// startsOf are the first ports of the intervals in which no list begins or ends.
func startsOf(lists [][]policy.PortRange) []uint16 {
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
	return slices.Compact(starts)
}

// classesOf is the class of each interval. Each list in turn parts the classes
// in which it has some intervals from what is left of them, so that a thousand
// rules that name a port or two cost a step or two each.
func classesOf(starts []uint16, lists [][]policy.PortRange) []int {
	of, in, next := make([]int, len(starts)), make([]int, len(starts)), 1
	for n, list := range lists {
		parted := map[int]int{}
		for _, r := range list {
			i, _ := slices.BinarySearch(starts, r.Min)
			for ; i < len(starts) && starts[i] <= r.Max; i++ {
				if in[i] == n+1 {
					continue // ranges of one list may overlap
				}
				in[i] = n + 1
				to, ok := parted[of[i]]
				if !ok {
					to = next
					parted[of[i]] = to
					next++
				}
				of[i] = to
			}
		}
	}
	return of
}
