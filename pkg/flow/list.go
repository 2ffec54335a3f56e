package flow

import (
	"maps"
	"slices"
	"time"
)

// List returns the flows that pass the filter, each summed up over the
// filter's span, sorted by key. Buckets that reach into the span count whole.
// A connection that is open belongs to every span that ends after it started.
func (a *Aggregator) List(f Filter, now time.Time) ([]Flow, Coverage) {
	records, coverage := a.records(f, now)
	flows := make([]Flow, len(records))
	for i := range records {
		flows[i] = records[i].Flow
	}
	return flows, coverage
}

// record is a flow with a number that stays its own as long as it is kept.
type record struct {
	ID int64
	Flow
}

// Coverage says what List with this filter is evidence of.
func (a *Aggregator) Coverage(f Filter, now time.Time) Coverage {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.coverage(f, now)
}

func (a *Aggregator) records(f Filter, now time.Time) ([]record, Coverage) {
	a.mu.Lock()
	out := a.collect(f)
	coverage := a.coverage(f, now)
	a.mu.Unlock()
	sortRecords(out)
	return out, coverage
}

// collect needs the lock.
func (a *Aggregator) collect(f Filter) []record {
	since, until := nanos(f.Since), nanos(f.Until)
	var out []record
	for _, s := range a.byKey {
		if !f.Match(s.key) {
			continue
		}
		if fl, ok := s.flow(since, until); ok {
			out = append(out, record{ID: s.id, Flow: fl})
		}
	}
	return out
}

func sortRecords(r []record) {
	slices.SortFunc(r, func(x, y record) int { return Compare(x.Key, y.Key) })
}

func (a *Aggregator) coverage(f Filter, now time.Time) Coverage {
	c := Coverage{From: a.start.UTC(), To: now.UTC()}
	if oldest := now.Add(-a.limits.Keep).UTC(); oldest.After(c.From) {
		c.From = oldest
	}
	if f.Since.After(c.From) {
		c.From = f.Since.UTC()
	}
	if !f.Until.IsZero() && f.Until.Before(c.To) {
		c.To = f.Until.UTC()
	}
	if c.From.After(c.To) { // the clock was set back
		c.From = c.To
	}
	from, to := nanos(f.Since), nanos(f.Until)
	for _, m := range a.missing {
		if (from == 0 || m.hour+int64(coarse) > from) && (to == 0 || m.hour < to) {
			c.Lost += m.lost
			c.LostUnknown = c.LostUnknown || m.unknown
			c.Evicted += m.evicted
		}
	}
	a.nodes(&c)
	c.Policies = a.policies()
	return c
}

// namespaces are those that some workload is of which has flows, sorted.
func (a *Aggregator) namespaces() []string {
	a.mu.Lock()
	found := map[string]bool{}
	for k := range a.byKey {
		for _, end := range []*Peer{&k.Source, &k.Destination} {
			if end.Kind == PeerWorkload {
				found[end.Workload.Namespace] = true
			}
		}
	}
	a.mu.Unlock()
	return slices.Sorted(maps.Keys(found))
}

// Len is how many different flows are kept.
func (a *Aggregator) Len() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.byKey)
}
