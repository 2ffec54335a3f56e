package policy

import "maps"

// resolve finds the workload of every pod.
func (st *snapshotState) resolve(old *snapshotState) {
	st.owners = old.ownersOf(st.templates)
	if st.pods == old.pods && maps.Equal(st.owners, old.owners) {
		st.resolved = old.resolved
		return
	}
	st.resolved = make([]*Endpoint, len(st.pods.unique))
	var before []*Endpoint // what is left of the pods before, sorted
	if old.pods != nil {
		before = old.pods.unique
	}
	j := 0
	for i, ep := range st.pods.unique {
		for j < len(before) && before[j] != ep && byEndpoint.key(before[j], ep) < 0 {
			j++
		}
		var known *Endpoint
		if j < len(before) && before[j] == ep {
			known = old.resolved[j]
			j++
		}
		st.resolved[i] = st.withWorkload(ep, known)
	}
}

// ownersOf lists the workloads that another one made.
func (old *snapshotState) ownersOf(templates *series[Template]) map[Workload]Workload {
	if templates == old.templates {
		return old.owners
	}
	owners := map[Workload]Workload{}
	for _, t := range templates.unique {
		if t.Owner.Name != "" {
			owners[t.Workload] = t.Owner
		}
	}
	return owners
}

// withWorkload is ep with the workload at the top of its owners: ep itself or
// the copy made earlier, if that is right.
func (st *snapshotState) withWorkload(ep, known *Endpoint) *Endpoint {
	top := ep.Workload
	// A chain of owners is short; one that goes round must end too.
	for range 4 {
		if len(st.owners) == 0 {
			break
		}
		owner, ok := st.owners[top]
		if !ok {
			break
		}
		top = owner
	}
	switch {
	case known != nil && known.Workload == top:
		return known
	case top == ep.Workload:
		return ep
	}
	c := *ep
	c.Workload = top
	return &c
}
