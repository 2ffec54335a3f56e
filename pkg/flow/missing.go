package flow

import "time"

// missing is what is known to be missing of one hour.
type missing struct {
	hour int64
	lack
	told lack // by the outbox
}

// lack says how much is missing.
type lack struct {
	lost    int64
	unknown bool
	evicted int64
}

// Lost notes n connections that are known to be missing around t; more says
// that others are missing too, and nobody knows how many.
func (a *Aggregator) Lost(n int64, more bool, t time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	m := a.missingAt(t.UnixNano())
	m.lost += n
	m.unknown = m.unknown || more
}

// doubt notes that connections are missing in all hours from one moment to
// another, also if that was told before, and nobody knows how many. It needs the
// lock.
func (a *Aggregator) doubt(from, to int64) {
	from = max(min(from, to), to-int64(a.limits.Keep))
	for hour := hourOf(from); hour <= to; hour += int64(coarse) {
		m := a.missingAt(hour)
		m.unknown, m.told.unknown = true, false
	}
}

// missingAt is the entry for the hour of moment t.
func (a *Aggregator) missingAt(t int64) *missing {
	hour := hourOf(t)
	for i := range a.missing {
		if a.missing[i].hour == hour {
			return &a.missing[i]
		}
	}
	a.missing = append(a.missing, missing{hour: hour})
	return &a.missing[len(a.missing)-1]
}
