package flow

import (
	"encoding/json"
	"time"
)

// The names of records.
const (
	recordState  = "state"
	recordStaged = "staged"
	recordWindow = "window/"
)

// stateRecord is what an Aggregator knows beside flows.
type stateRecord struct {
	Start   int64       // since when it has counted
	NextID  int64       // identities before it are used up
	Missing []missingOf `json:",omitempty"`
}

// Take tells what changed since the call before; now is the present.
func (j *Journal) Take(now time.Time) Changes {
	a := j.a
	a.mu.Lock()
	defer a.mu.Unlock()
	c := Changes{FineFrom: j.fineFrom, CoarseFrom: j.coarseFrom, Records: map[string][]byte{}}
	for _, s := range j.list {
		c.add(s)
	}
	j.list, j.fineFrom, j.coarseFrom = nil, 0, 0
	for _, name := range j.gone {
		c.Records[name] = nil
	}
	j.gone = nil
	if text := mustJSON(a.stateRecord()); string(text) != j.state {
		j.state = string(text)
		c.Records[recordState] = text
	}
	if j.stagedChange != a.stagedChange {
		j.stagedChange = a.stagedChange
		c.Records[recordStaged] = mustJSON(a.stagedSpecs())
	}
	a.takeWindows(&c, now)
	return c
}

const (
	// heartbeat is how often is noted that a node is counted on if there is
	// nothing else to note, and heardOf how often that another one is.
	heartbeat = 10 * time.Second
	heardOf   = time.Minute
)

// takeWindows tells the windows that have changed.
func (a *Aggregator) takeWindows(c *Changes, now time.Time) {
	busy := !c.Empty()
	for node, w := range a.windows {
		least := heardOf
		if w.own {
			w.To, least = max(w.To, now.UnixNano()), heartbeat
		}
		if w.dirty || w.To-w.keptEnd >= int64(least) || w.own && busy {
			w.dirty, w.keptEnd = false, w.To
			c.Records[recordWindow+node] = mustJSON(w)
		}
	}
}

func (a *Aggregator) stateRecord() stateRecord {
	r := stateRecord{Start: a.start.UnixNano(), NextID: a.nextID}
	for _, m := range a.missing {
		r.Missing = append(r.Missing, missingOf{
			Hour: m.hour, Lost: m.lost, Evicted: m.evicted, Unknown: m.unknown,
			ToldLost: m.told.lost, ToldEvicted: m.told.evicted, ToldUnknown: m.told.unknown,
		})
	}
	return r
}

// mustJSON writes records of ours, all of which can be written.
func mustJSON(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		return []byte("null")
	}
	return text
}

// Again notes changes once more that could not be kept.
func (j *Journal) Again(c Changes) {
	a := j.a
	a.mu.Lock()
	defer a.mu.Unlock()
	j.fineFrom, j.coarseFrom = max(j.fineFrom, c.FineFrom), max(j.coarseFrom, c.CoarseFrom)
	for i := range c.Heads {
		s := c.Heads[i].of
		j.head(s)
		// It may not have been kept, but a part of it may.
	}
	for i := range c.Cells {
		cell := &c.Cells[i]
		j.note(cell.of, cell.Plane, cell.Start)
	}
	j.state, j.stagedChange = "", a.stagedChange-1
	for name, value := range c.Records {
		if value == nil {
			j.gone = append(j.gone, name)
		}
	}
	for _, w := range a.windows {
		w.dirty = true
	}
}
