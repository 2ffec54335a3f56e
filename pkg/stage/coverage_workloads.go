package stage

import (
	"cmp"
	"slices"
	"time"

	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
)

// workloads finds which of the selected ones were not seen, or not for long.
func (r *Readiness) workloads(selected map[policy.Workload]bool, observed spans, ev *Evidence) {
	seen := seenWorkloads(ev.Flows)
	for i := range ev.Declared {
		d := &ev.Declared[i]
		if d.Owned || !selected[d.Workload] {
			continue
		}
		if why := d.unseen(observed, ev); why != "" && !seen[d.Workload] && !seen[policy.Workload{Namespace: d.Namespace, Name: d.Name}] {
			u := Unseen{Namespace: d.Namespace, Workload: d.Name, Kind: string(d.Kind), Why: why, Schedule: d.Schedule}
			if last := d.lastRun(); !last.IsZero() {
				last = last.UTC().Truncate(time.Second)
				u.LastRun = &last
			}
			r.Unseen = append(r.Unseen, u)
			continue
		}
		if d.Created.After(ev.Coverage.From) && d.runsOn() {
			r.Young = append(r.Young, Young{
				Namespace: d.Namespace, Workload: d.Name, Kind: string(d.Kind), Created: d.Created.UTC().Truncate(time.Second),
				AgeSeconds: int64(max(ev.Now.Sub(d.Created), 0) / time.Second),
			})
		}
	}
	slices.SortFunc(r.Unseen, func(a, b Unseen) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Workload, b.Workload))
	})
	slices.SortFunc(r.Young, func(a, b Young) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Workload, b.Workload), cmp.Compare(a.Kind, b.Kind))
	})
}

// runsOn says whether pods of it run all the time. Of what runs now and then it
// is its runs that count, and not its age.
func (d *Declared) runsOn() bool { return d.Kind != policy.KindJob && d.Kind != policy.KindCronJob }

func (d *Declared) lastRun() time.Time {
	if d.Ended.After(d.Started) {
		return d.Ended
	}
	return d.Started
}

// ranIn says whether its last run was while somebody looked. A Job that has not
// ended runs on; of a CronJob only the beginning is known then.
func (d *Declared) ranIn(observed spans, to time.Time) bool {
	if d.Started.IsZero() {
		return false
	}
	end := d.lastRun()
	if d.Kind == policy.KindJob && d.Ended.IsZero() {
		end = to
	}
	return slices.ContainsFunc(observed, func(s span) bool { return d.Started.Before(s.to) && !end.Before(s.from) })
}

// unseen is why nothing of a workload can have been seen, "" if it can.
func (d *Declared) unseen(observed spans, ev *Evidence) string {
	switch {
	case !d.runsOn():
		switch {
		case d.ranIn(observed, ev.Coverage.To):
			return ""
		case d.Suspended:
			return Suspended
		}
		return NoRun
	case d.Replicas != nil && *d.Replicas == 0:
		return AtZero
	}
	return ""
}

// seenWorkloads are the workloads that flows tell of; also without their kinds,
// since some sources of flows do not tell these.
func seenWorkloads(flows []flow.Flow) map[policy.Workload]bool {
	out := map[policy.Workload]bool{}
	for i := range flows {
		for _, p := range []flow.Peer{flows[i].Source, flows[i].Destination} {
			if p.Kind == flow.PeerWorkload {
				out[p.Workload] = true
			}
		}
	}
	return out
}
