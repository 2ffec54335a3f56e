package flow

import (
	"cmp"
	"slices"
	"time"
)

// Counts are what a flow counts, and when, as in Flow.
type Counts struct {
	FirstSeen, LastSeen                      time.Time
	Connections, Completed, Live             int64
	PacketsIn, PacketsOut, BytesIn, BytesOut int64
}

// Counts are what the flow counts.
func (f *Flow) Counts() Counts {
	return Counts{f.FirstSeen, f.LastSeen, f.Connections, f.Completed, f.Live, f.PacketsIn, f.PacketsOut, f.BytesIn, f.BytesOut}
}

// With is the flow with other counts, in UTC.
func (f Flow) With(c *Counts) Flow {
	f.count(c)
	f.FirstSeen, f.LastSeen = f.FirstSeen.UTC(), f.LastSeen.UTC()
	return f
}

func (f *Flow) count(c *Counts) {
	f.FirstSeen, f.LastSeen = c.FirstSeen, c.LastSeen
	f.Connections, f.Completed, f.Live = c.Connections, c.Completed, c.Live
	f.PacketsIn, f.PacketsOut, f.BytesIn, f.BytesOut = c.PacketsIn, c.PacketsOut, c.BytesIn, c.BytesOut
}

// add adds what is counted of the same flow. Where nothing was yet, the times are
// zero.
func (c *Counts) add(d *Counts) {
	if c.FirstSeen.IsZero() || d.FirstSeen.Before(c.FirstSeen) {
		c.FirstSeen = d.FirstSeen
	}
	if d.LastSeen.After(c.LastSeen) {
		c.LastSeen = d.LastSeen
	}
	c.Connections = sumOf(c.Connections, d.Connections)
	c.Completed = sumOf(c.Completed, d.Completed)
	c.Live = sumOf(c.Live, d.Live)
	c.PacketsIn = sumOf(c.PacketsIn, d.PacketsIn)
	c.PacketsOut = sumOf(c.PacketsOut, d.PacketsOut)
	c.BytesIn = sumOf(c.BytesIn, d.BytesIn)
	c.BytesOut = sumOf(c.BytesOut, d.BytesOut)
}

// MaxCount is the most that anything counts: more than there can be, and so far
// from the end of the numbers that sums of many flows don't run over it. A file may
// say anything. JSON's readers, too, count one by one up to there.
const MaxCount = 1 << 53

// sumOf is the sum of two counts, MaxCount at most.
func sumOf(a, b int64) int64 { return min(min(a, MaxCount)+min(b, MaxCount), MaxCount) }

// Add counts another flow of the same key. Traces that differ are not told.
func (f *Flow) Add(g Flow) {
	counts, more := f.Counts(), g.Counts()
	counts.add(&more)
	f.count(&counts)
	f.SourceLabels, f.DestinationLabels = intersect(f.SourceLabels, g.SourceLabels), intersect(f.DestinationLabels, g.DestinationLabels)
	f.Refused = joinRefused(f.Refused, g.Refused)
	f.Domains = joinDomains(f.Domains, g.Domains)
	if !slices.Equal(f.EnforcedTrace, g.EnforcedTrace) {
		f.EnforcedTrace = nil
	}
	if !slices.Equal(f.PendingTrace, g.PendingTrace) {
		f.PendingTrace = nil
	}
}

// Sums adds up flows while they are read, as Flow.Add does. It takes a quarter of
// the room of the flows, and no more for many flows of one key than for one.
type Sums struct {
	table *Table
	at    map[keyNumbers]int
	// pages of sums, so that none is moved when more come
	pages [][]sum
	n     int
}

const sumsPage = 1024

// sum is a flow that is being added up.
type sum struct {
	Subject
	Counts
}

// NewSums adds up flows of a table.
func NewSums(t *Table) *Sums { return &Sums{table: t, at: map[keyNumbers]int{}} }

// Find is the number of the sum for a subject's key, which is begun if there is
// none yet.
func (s *Sums) Find(subject Subject) int {
	i, ok := s.at[subject.key]
	if !ok {
		i = s.n
		s.at[subject.key] = i
		if i%sumsPage == 0 {
			s.pages = append(s.pages, make([]sum, sumsPage))
		}
		s.n++
		s.sum(i).Subject = subject
	}
	return i
}

func (s *Sums) sum(i int) *sum { return &s.pages[i/sumsPage][i%sumsPage] }

// Add adds to the sum of that number what a subject of its key counts. It
// returns the sum's counts.
func (s *Sums) Add(i int, subject Subject, c *Counts) *Counts {
	to := s.sum(i)
	if to.Subject != subject {
		to.Subject = s.table.both(to.Subject, subject)
	}
	to.add(c)
	return &to.Counts
}

// Flows are all of them, sorted by key. Nothing can be added any more.
func (s *Sums) Flows() []Flow {
	out, _ := s.Numbered()
	return out
}

// Numbered is Flows, with the number of each one's sum.
func (s *Sums) Numbered() (flows []Flow, numbers []int32) {
	s.at = nil
	flows = make([]Flow, 0, s.n)
	for i, page := range s.pages {
		for j := range page[:min(sumsPage, s.n-i*sumsPage)] {
			flows = append(flows, s.table.Flow(page[j].Subject).With(&page[j].Counts))
		}
		s.pages[i] = nil
	}
	return flows, sortFlows(flows)
}

// sortFlows sorts flows by key, and returns where each was. Flows are large, so
// each is moved once.
func sortFlows(flows []Flow) []int32 {
	order := make([]int32, len(flows))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortFunc(order, func(x, y int32) int {
		return cmp.Or(Compare(flows[x].Key, flows[y].Key), cmp.Compare(x, y))
	})
	was := slices.Clone(order)
	for i := range order {
		if order[i] < 0 {
			continue
		}
		first := flows[i]
		at := i
		for {
			from := int(order[at])
			order[at] = -1
			if from == i {
				flows[at] = first
				break
			}
			flows[at] = flows[from]
			at = from
		}
	}
	return was
}
