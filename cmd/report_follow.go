package cmd

import (
	"context"
	"slices"
	"time"

	"github.com/netpol-project/netpol/internal/cluster/declared"
	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/flow/recording"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/stage"
)

// follow adds the trend since the last of the policies changed.
func (r *impactReport) follow(ctx context.Context, opts *ReportOptions, ev *evidence, policies []*policy.Policy) error {
	if len(policies) == 0 {
		return nil
	}
	changed, err := r.lastChange(ctx, opts, ev, policies)
	if err != nil {
		return err
	}
	windows := stage.Windows(changed, ev.coverage.From, ev.coverage.To)
	if rec, ok := ev.source.(*recording.Source); ok {
		if began, ok := rec.Began(stage.Edges(windows)); ok {
			trend := r.Report.Follower(ev.model, windows)
			for i := range ev.flows {
				trend.Began(&ev.flows[i], began[i])
			}
			r.Trend = trend.Trend(changed)
			return nil
		}
	}
	if opts.Source.isFile() && opts.Source.Once() {
		return nil
	}
	if len(r.Items) == 0 { // there is nothing to count in them
		r.Trend = r.Report.Follow(ev.model, windows, changed)
		return nil
	}
	if opts.Source.isFile() {
		return r.followFile(ctx, opts, ev, windows, changed)
	}
	if err := ev.fill(ctx, opts, windows); err != nil {
		return err
	}
	r.Trend = r.Report.Follow(ev.model, windows, changed)
	return nil
}

// mostForeseen bounds the windows that are counted in while a recording is read.
const mostForeseen = 32

// foresee has a recording count in the windows of the trend while it is read for
// the report. They are those that its first line promises; where it turns out that
// they are others, the recording is read once more.
func foresee(ctx context.Context, opts *ReportOptions, w *world, source flow.Source, filter flow.Filter) error {
	rec, ok := source.(*recording.Source)
	if !ok {
		return nil
	}
	ev := &evidence{world: w, coverage: rec.Promised(filter)}
	r := &impactReport{Namespaces: filter.Namespaces}
	_, policies, err := r.choose(ev, opts.Policy)
	if err != nil || len(policies) == 0 {
		return err
	}
	changed, err := r.lastChange(ctx, opts, ev, policies)
	if err != nil {
		return err
	}
	windows := stage.Windows(changed, ev.coverage.From, ev.coverage.To)
	if len(windows) == 0 || len(windows) > mostForeseen || filter.Since.After(windows[0].From) { // of before that List tells nothing
		return nil
	}
	rec.CountIn(stage.Edges(windows))
	return nil
}

// followFile counts while the file is read once for all windows.
func (r *impactReport) followFile(ctx context.Context, opts *ReportOptions, ev *evidence, windows []stage.Window, changed time.Time) error {
	if len(windows) == 0 {
		return nil
	}
	filter := ev.filter
	filter.Since = windows[0].From
	trend := r.Report.Follower(ev.model, windows)
	err := ev.source.Follow(ctx, filter, func(fl flow.Flow) error {
		fl = ev.rename(fl)
		trend.Spread(&fl)
		return nil
	})
	if err != nil {
		return opts.Source.failed(ev.source, err)
	}
	r.Trend = trend.Trend(changed)
	return nil
}

// lastChange is when the last of the policies became what it is: by who counted
// the flows, or else by what tells when it was made.
func (r *impactReport) lastChange(ctx context.Context, opts *ReportOptions, ev *evidence, policies []*policy.Policy) (time.Time, error) {
	since := map[policy.Key]time.Time{}
	for _, p := range ev.coverage.Policies {
		since[p.Key] = p.Since
	}
	unknown := slices.DeleteFunc(slices.Clone(policies), func(p *policy.Policy) bool {
		_, asked := ev.made[p.Key]
		return asked || !since[p.Key].IsZero()
	})
	made, err := declared.Changed(ctx, ev.store, unknown, !opts.Factory.Offline())
	if err != nil {
		return time.Time{}, err
	}
	if ev.made == nil {
		ev.made = map[policy.Key]time.Time{}
	}
	for _, p := range unknown {
		ev.made[p.Key] = made[p.Key]
	}
	for key, at := range ev.made {
		if since[key].IsZero() {
			since[key] = at
		}
	}
	var last time.Time
	for i := range r.Policies {
		p := &r.Policies[i]
		at := since[p.key()].UTC().Truncate(time.Second)
		if at.IsZero() {
			continue
		}
		p.Since = &at
		if at.After(last) {
			last = at
		}
	}
	return last, nil
}

// fill asks for the flows of each window.
func (ev *evidence) fill(ctx context.Context, opts *ReportOptions, windows []stage.Window) error {
	flows, err := flow.Spans(ctx, ev.source, ev.filter, stage.Edges(windows))
	if err != nil {
		return opts.Source.failed(ev.source, err)
	}
	for i := range windows {
		for j := range flows[i] {
			flows[i][j] = ev.rename(flows[i][j])
		}
		windows[i].Flows = flows[i]
	}
	return nil
}
