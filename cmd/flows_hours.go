package cmd

import (
	"context"
	"time"

	"github.com/netpol-project/netpol/pkg/flow"
)

// hourly writes what was seen hour by hour, so that the recording tells in which
// hours a flow was seen: agents and the flows server keep that. What is open is
// of no hour and stands in the last.
func (r *flowRecorder) hourly(ctx context.Context, c flow.Coverage) error {
	filter := r.filter
	for hour := c.From.Truncate(time.Hour); ; hour = hour.Add(time.Hour) {
		last := hour.Add(time.Hour).After(c.To)
		if filter.Since = hour; hour.Before(r.filter.Since) {
			filter.Since = r.filter.Since
		}
		if filter.Until = hour.Add(time.Hour); last {
			filter.Until = time.Time{}
		}
		flows, _, err := r.source.List(ctx, filter)
		if err != nil {
			return r.opts.Source.failed(r.source, err)
		}
		for i := range flows {
			if !last && !ofItsOwn(&flows[i]) {
				continue
			}
			if err := r.write(&flows[i]); err != nil {
				return nil // Close tells it again
			}
		}
		if last {
			return nil
		}
	}
}

// ofItsOwn drops what is open, and says whether the hour has anything else of the
// flow.
func ofItsOwn(f *flow.Flow) bool {
	f.Live = 0
	return f.Connections+f.Completed+f.PacketsIn+f.PacketsOut+f.BytesIn+f.BytesOut > 0
}

// byHours says whether the flows of a source are to be asked for by hours: there
// are several, and it keeps them apart.
func (r *flowRecorder) byHours(c flow.Coverage) bool {
	return !r.opts.Source.isFile() && !flow.IsForeign(r.source) && !flow.IsMetrics(r.source) && c.To.Sub(c.From) > time.Hour
}
