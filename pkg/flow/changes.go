package flow

import "slices"

// Head is what is known of a flow but its counts.
type Head struct {
	ID  int64
	Key Key
	// Gone: it is to be forgotten.
	Gone bool
	// Whole: nothing of it is told yet.
	Whole bool
	// The labels that all pods at an end share; nil if nobody has looked, which
	// is not the same as none.
	SourceLabels, DestinationLabels map[string]string

	of *series
}

// Cell is one bucket of one flow.
type Cell struct {
	Plane Plane
	ID    int64
	Start int64
	// Gone: there is no such bucket any more.
	Gone bool
	Span Span

	of *series
}

// Changes are what changed in an Aggregator: first all cells are to be dropped
// that start before FineFrom or CoarseFrom (Unix nanoseconds), by their planes'
// width; then the rest is to be written.
type Changes struct {
	FineFrom, CoarseFrom int64
	Heads                []Head
	Cells                []Cell
	// Records are all else, by name; nil is to be deleted.
	Records map[string][]byte
}

// Empty says that there is nothing to write.
func (c *Changes) Empty() bool { return len(c.Heads)+len(c.Cells)+len(c.Records) == 0 }

// add tells the changes of a series, which has none then.
func (c *Changes) add(s *series) {
	if labels := s.source.changes + s.destination.changes; s.headDue || labels != s.labels {
		s.labels = labels
		if !s.gone || s.kept {
			h := Head{ID: s.id, Key: s.key, Gone: s.gone, Whole: s.whole, of: s}
			h.SourceLabels, h.DestinationLabels = s.source.kept(), s.destination.kept()
			c.Heads = append(c.Heads, h)
			s.kept = true
		}
	}
	slices.SortFunc(s.cells, compareCells)
	for _, at := range slices.Compact(s.cells) {
		cell := Cell{Plane: at.plane, ID: s.id, Start: at.start, Gone: true, of: s}
		if b := find(s.plane(at.plane), at.start); b != nil && !s.gone {
			cell.Gone, cell.Span = false, b.span(at.plane.Coarse())
		}
		c.Cells = append(c.Cells, cell)
	}
	s.cells, s.listed, s.headDue = s.cells[:0], false, false
}
