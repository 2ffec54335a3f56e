package prometheus

import (
	"strconv"
	"time"
)

// segment is a span of time that one query asks for, in equal steps: at from,
// from+step, … to.
type segment struct {
	from, to time.Time
	step     time.Duration
}

// Steps are as wide as these at most: of flows in the last hour, of flows before
// that, and of whether agents were scraped. What was not scraped for a scrapeStep
// was not scraped.
const (
	fineStep   = 5 * time.Minute
	coarseStep = time.Hour
	scrapeStep = 5 * time.Minute
)

// The spans of one query are so long at most, and so the size of its answer: of the
// flows of one agent, and of the scrapes of all.
const (
	perQuery    = 7 * 24 * time.Hour
	scrapesOnce = 24 * time.Hour
)

// scrapesEvery is how often is looked at a span for whether agents were scraped:
// short ones are told more exactly.
func scrapesEvery(span time.Duration) time.Duration {
	return min(max(span/60, time.Second), scrapeStep)
}

// plan cuts a span into queries for flows: by the hour, and finer in the last
// hour. Each begins where the one before ended.
func plan(since, until time.Time) []segment {
	fine := until.Add(-coarseStep)
	if !fine.After(since) {
		return evenly(nil, since, until, fineStep, perQuery)
	}
	return evenly(evenly(nil, since, fine, coarseStep, perQuery), fine, until, fineStep, perQuery)
}

// evenly adds segments with equal steps of at most so much, each no longer than
// longest.
func evenly(out []segment, since, until time.Time, most, longest time.Duration) []segment {
	for from := since; from.Before(until); {
		to := until
		if to.Sub(from) > longest {
			to = from.Add(longest)
		}
		steps := (to.Sub(from) + most - 1) / most
		// Milliseconds are all that Prometheus knows; rather too early than late.
		step := (to.Sub(from)/steps + time.Millisecond - 1).Truncate(time.Millisecond)
		out = append(out, segment{from: to.Add(-steps * step), to: to, step: step})
		from = to
	}
	return out
}

// width is a duration as PromQL writes it.
func width(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) + "ms" }
