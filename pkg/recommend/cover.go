package recommend

import (
	"fmt"
	"maps"
	"slices"
)

// block is peers that all need the same ports: one rule, if it stays within the
// API's bounds.
type block struct {
	members []*one
	ports   []uint16 // sorted; none for what has no ports
}

// cover is the fewest blocks that hold what the members need and nothing else.
// Members that have no port in common, not even by way of others, are covered
// apart; those that do are put together by equal ports, or if that takes fewer
// blocks, ports are put together by equal members.
func cover(members []*one) []block {
	var out []block
	for _, part := range connected(members) {
		byMember, byPort := rows(part), columns(part)
		if len(byPort) < len(byMember) {
			byMember = byPort
		}
		out = append(out, byMember...)
	}
	return out
}

// connected splits members into those that share ports, directly or by way of
// others.
func connected(members []*one) [][]*one {
	group := make([]int, len(members)) // the first member of each one's part
	find := func(i int) int {
		for group[i] != i {
			group[i] = group[group[i]]
			i = group[i]
		}
		return i
	}
	first := map[uint16]int{}
	for i, m := range members {
		group[i] = i
		for p := range m.flows {
			if j, ok := first[p]; ok {
				a, b := find(i), find(j)
				group[max(a, b)] = min(a, b)
			} else {
				first[p] = i
			}
		}
	}
	parts := map[int][]*one{}
	for i, m := range members {
		if len(m.flows) > 0 {
			parts[find(i)] = append(parts[find(i)], m)
		}
	}
	out := make([][]*one, 0, len(parts))
	for _, k := range slices.Sorted(maps.Keys(parts)) {
		out = append(out, parts[k])
	}
	return out
}

// rows puts members with equal ports together.
func rows(members []*one) []block {
	byPorts := map[string]*block{}
	for _, m := range members {
		ports := slices.Sorted(maps.Keys(m.flows))
		key := fmt.Sprint(ports)
		if byPorts[key] == nil {
			byPorts[key] = &block{ports: ports}
		}
		byPorts[key].members = append(byPorts[key].members, m)
	}
	return inOrder(byPorts)
}

// columns puts ports with equal members together.
func columns(members []*one) []block {
	byPort := map[uint16][]int{}
	for i, m := range members {
		for p := range m.flows {
			byPort[p] = append(byPort[p], i)
		}
	}
	byMembers := map[string]*block{}
	for _, p := range slices.Sorted(maps.Keys(byPort)) {
		key := fmt.Sprint(byPort[p])
		if byMembers[key] == nil {
			byMembers[key] = &block{}
			for _, i := range byPort[p] {
				byMembers[key].members = append(byMembers[key].members, members[i])
			}
		}
		byMembers[key].ports = append(byMembers[key].ports, p)
	}
	return inOrder(byMembers)
}

func inOrder(blocks map[string]*block) []block {
	out := make([]block, 0, len(blocks))
	for _, k := range slices.Sorted(maps.Keys(blocks)) {
		out = append(out, *blocks[k])
	}
	return out
}
