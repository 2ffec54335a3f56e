package tier

import "slices"

// intern numbers an entity, and finds out whom it matches if it is new. It is
// called while the model is being built only.
func (m *Model) intern(e entity) int32 {
	key := e.key()
	if n, ok := m.entityNumbers.get(key); ok {
		return n
	}
	n := int32(len(m.entities))
	if !m.ownNumbers {
		m.entityNumbers, m.ownNumbers = m.entityNumbers.with(8), true
	}
	m.entityNumbers.set(key, n)
	m.labels = m.labels.with(&e, m.snap)
	m.entities = append(m.entities, e)
	m.columns = append(m.columns, m.count(&e))
	m.reaches = append(m.reaches, m.reachOf(&e))
	return n
}

func (m *Model) count(e *entity) column {
	col := make(column, (len(m.ids.reps)+63)/64)
	for id, rep := range m.ids.reps {
		if e.matchesPod(rep, &m.labels) {
			col[id>>6] |= 1 << (uint(id) & 63)
		}
	}
	return col
}

// extendColumns adds new identities to the entities that match them.
func (m *Model) extendColumns(newIDs []int32) {
	if len(newIDs) == 0 {
		return
	}
	m.columns = slices.Clone(m.columns)
	for i := range m.entities {
		for _, id := range newIDs {
			if m.entities[i].matchesPod(m.ids.reps[id], &m.labels) {
				m.columns[i] = m.columns[i].plus(id)
			}
		}
	}
}

// updateEntities looks again at the entities that may match something else
// than in prev because of things that are not endpoints.
func (m *Model) updateEntities(prev *Model) {
	sameNames := m.labels.sameNames(&prev.labels)
	sameSets := slices.Equal(m.snap.NetworkSets, prev.snap.NetworkSets) && slices.Equal(m.snap.HostEndpoints, prev.snap.HostEndpoints)
	m.sameEntities = sameNames
	ownColumns, ownReaches := false, false // an older model has the arrays too
	for i := range m.entities {
		e := &m.entities[i]
		ref := e.service
		served := ref.Name != "" && m.labels.services[ref] != prev.labels.services[ref]
		if !sameNames || served {
			if !ownColumns {
				m.columns, ownColumns = slices.Clone(m.columns), true
			}
			m.columns[i] = m.count(e)
			m.sameEntities = m.sameEntities && !served
		}
		if !served && (ref.Name != "" || sameSets && sameNames) {
			continue
		}
		now := m.reachOf(e)
		if sameReach(now, m.reaches[i]) && !served {
			continue // the old one stays, so that it is the same by pointer
		}
		if !ownReaches {
			m.reaches, ownReaches = slices.Clone(m.reaches), true
		}
		m.reaches[i], m.sameEntities = now, false
	}
}

func sameReach(a, b *reach) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.digest == b.digest
}
