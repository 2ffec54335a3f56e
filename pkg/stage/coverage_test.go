package stage

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/policy/selector"
	"github.com/netpol-project/netpol/pkg/tier"
)

// covered is two days of evidence up to the present.
func covered(declared ...Declared) *Evidence {
	return &Evidence{
		Coverage: flow.Coverage{From: seen.Add(-48 * time.Hour), To: seen}, Declared: declared, Least: 24 * time.Hour, Now: seen,
	}
}

// coverageWorld is impactWorld with a CronJob and a Job, and a default-deny that
// selects them all.
func coverageWorld() (*tier.Model, tier.Scope) {
	deny := stagedDeny(policy.Ingress, policy.Egress)
	s := *impactWorld(deny).Snapshot()
	for i, kind := range []policy.Kind{policy.KindCronJob, policy.KindJob, policy.KindDeployment} {
		name := strings.ToLower(string(kind))
		ep := impactPod(name, name+"-0", byte(20+i))
		ep.Workload.Kind, ep.Addrs, ep.Node = kind, nil, ""
		s.Endpoints = append(s.Endpoints[:len(s.Endpoints):len(s.Endpoints)], ep)
	}
	other := impactPod("other", "other-1", 30)
	other.Namespace, other.Workload.Namespace = "elsewhere", "elsewhere"
	other.Labels = selector.Labels{"app": "other", "projectcalico.org/namespace": "elsewhere"}
	s.Endpoints = append(s.Endpoints, other)
	s.Namespaces = append(s.Namespaces[:1:1], &policy.Namespace{Name: "elsewhere", Labels: selector.Labels{"kubernetes.io/metadata.name": "elsewhere"}})
	return tier.New(&s, nil), tier.Only(deny.Key)
}

func decl(kind policy.Kind, name string) Declared {
	return Declared{Workload: policy.Workload{Kind: kind, Namespace: "vote", Name: name}, Created: seen.Add(-1000 * time.Hour)}
}

func TestCoverageVerdict(t *testing.T) {
	zero, one := int64(0), int64(1)
	cron := func(lastRun time.Duration) Declared {
		d := decl(policy.KindCronJob, "cronjob")
		d.Schedule = "0 3 * * 0"
		if lastRun != 0 {
			d.Started = seen.Add(-lastRun)
		}
		return d
	}
	job := func(started, ended time.Duration) Declared {
		d := decl(policy.KindJob, "job")
		if started != 0 {
			d.Started = seen.Add(-started)
		}
		if ended != 0 {
			d.Ended = seen.Add(-ended)
		}
		return d
	}
	scaled := func(n *int64) Declared {
		d := decl(policy.KindDeployment, "deployment")
		d.Replicas = n
		return d
	}
	with := func(ev *Evidence, change func(*Evidence)) *Evidence { change(ev); return ev }
	for _, c := range []struct {
		name string
		ev   *Evidence
		want string
	}{
		{"two days without a gap", covered(), "ready"},
		{"a CronJob that ran", covered(cron(time.Hour)), "ready"},
		{"a CronJob that ran before", covered(cron(72 * time.Hour)), "not ready: 1 CronJob unseen"},
		{"a CronJob that ran in a gap", with(covered(cron(9*time.Hour)), func(ev *Evidence) {
			ev.Coverage.Nodes = []flow.NodeCoverage{{Node: "n1", From: ev.Coverage.From, To: seen, Gaps: []flow.Gap{
				{From: seen.Add(-10 * time.Hour), To: seen.Add(-8 * time.Hour)},
			}}}
		}), "not ready: 1 CronJob unseen"},
		{"a CronJob that never ran", covered(cron(0)), "not ready: 1 CronJob unseen"},
		{"a CronJob whose flows were seen", with(covered(cron(0)), func(ev *Evidence) {
			f := impactFlow("cronjob", "db", 5432, policy.Egress, 1)
			f.Source.Workload.Kind = policy.KindCronJob
			ev.Flows = []flow.Flow{f}
		}), "ready"},
		{"a suspended CronJob", covered(func() Declared { d := cron(0); d.Suspended = true; return d }()), "not ready: 1 CronJob unseen"},
		{"a Job that ran in the window", covered(job(40*time.Hour, 39*time.Hour)), "ready"},
		{"a Job that reached into the window", covered(job(60*time.Hour, 40*time.Hour)), "ready"},
		{"a Job that runs on", covered(job(60*time.Hour, 0)), "ready"},
		{"a Job that ended before", covered(job(60*time.Hour, 50*time.Hour)), "not ready: 1 Job unseen"},
		{"a Job of a CronJob counts with that", covered(func() Declared { d := job(60*time.Hour, 50*time.Hour); d.Owned = true; return d }()), "ready"},
		{"a Deployment at zero", covered(scaled(&zero)), "not ready: 1 Deployment at zero"},
		{"a Deployment at one", covered(scaled(&one)), "ready"},
		{"a Deployment at zero that was seen", with(covered(scaled(&zero)), func(ev *Evidence) {
			ev.Flows = []flow.Flow{impactFlow("deployment", "db", 5432, policy.Egress, 1)}
		}), "ready"},
		{"a workload younger than the least", covered(func() Declared { d := scaled(&one); d.Created = seen.Add(-time.Hour); return d }()),
			"not ready: 1 workload younger than 24h"},
		{"a workload younger than the window", covered(func() Declared { d := scaled(&one); d.Created = seen.Add(-30 * time.Hour); return d }()), "ready"},
		{"one that no policy selects", covered(Declared{Workload: policy.Workload{Kind: policy.KindCronJob, Namespace: "elsewhere", Name: "other"}}), "ready"},
		{"too short", with(covered(), func(ev *Evidence) { ev.Coverage.From = seen.Add(-3 * time.Hour) }), "not ready: seen for 3h of 24h"},
		{"short, and that is enough", with(covered(), func(ev *Evidence) { ev.Coverage.From, ev.Least = seen.Add(-3*time.Hour), 2*time.Hour }), "ready"},
		{"no time at all", with(covered(), func(ev *Evidence) { ev.Coverage.From = seen }), "not ready: nothing was observed"},
		{"the same hours of both days", with(covered(), func(ev *Evidence) {
			ev.Coverage.Nodes = []flow.NodeCoverage{{Node: "n1", From: ev.Coverage.From, To: seen, Gaps: []flow.Gap{
				{From: seen.Add(-36 * time.Hour), To: seen.Add(-34 * time.Hour)}, {From: seen.Add(-12 * time.Hour), To: seen.Add(-10 * time.Hour)},
			}}}
		}), "not ready: 2 hours of the day missing"},
		{"a gap of one day alone", with(covered(), func(ev *Evidence) {
			ev.Coverage.Nodes = []flow.NodeCoverage{{Node: "n1", From: ev.Coverage.From, To: seen, Gaps: []flow.Gap{
				{From: seen.Add(-12 * time.Hour), To: seen.Add(-10 * time.Hour)},
			}}}
		}), "ready"},
		{"a node that nobody watched", with(covered(), func(ev *Evidence) {
			ev.Coverage.Nodes = []flow.NodeCoverage{{Node: "n7", From: ev.Coverage.From, To: seen}}
		}), "not ready: 1 node not observed"},
		{"a node that nothing was ever heard of", with(covered(), func(ev *Evidence) {
			ev.Coverage.Nodes = []flow.NodeCoverage{{Node: "n1"}, {Node: "n7", From: ev.Coverage.From, To: seen}}
		}), "not ready: 1 node not observed"},
		{"a node whose agent is gone", with(covered(), func(ev *Evidence) {
			ev.Coverage.Nodes = []flow.NodeCoverage{
				{Node: "n1", From: ev.Coverage.From, To: seen.Add(-20 * time.Hour)}, {Node: "n7", From: ev.Coverage.From, To: seen},
			}
		}), "not ready: 1 node no longer observed"},
		{"an agent that starts again", with(covered(), func(ev *Evidence) {
			ev.Coverage.Nodes = []flow.NodeCoverage{
				{Node: "n1", From: ev.Coverage.From, To: seen.Add(-time.Minute)}, {Node: "n7", From: ev.Coverage.From, To: seen},
			}
		}), "ready"},
		{"a node that went, with its pods", with(covered(), func(ev *Evidence) {
			ev.Coverage.Nodes = []flow.NodeCoverage{
				{Node: "n1", From: ev.Coverage.From, To: seen}, {Node: "n9", From: ev.Coverage.From, To: seen.Add(-20 * time.Hour)},
			}
		}), "ready"},
		{"lost", with(covered(), func(ev *Evidence) { ev.Coverage.Lost = 3 }), "not ready: 3 connections lost"},
		{"lost, at least", with(covered(), func(ev *Evidence) { ev.Coverage.Lost, ev.Coverage.LostUnknown = 1, true }), "not ready: ≥ 1 connection lost"},
		{"lost, nobody knows how many", with(covered(), func(ev *Evidence) { ev.Coverage.LostUnknown = true }), "not ready: connections lost"},
		{"dropped", with(covered(), func(ev *Evidence) { ev.Coverage.Evicted = 2 }), "not ready: 2 flows dropped"},
		{"what may not be read", with(covered(), func(ev *Evidence) { ev.Unreadable = []string{"cronjobs.batch"} }), "not ready: you may not list cronjobs.batch"},
		{"a namespace that was not recorded", with(covered(), func(ev *Evidence) { ev.Coverage.Namespaces = []string{"elsewhere"} }), "not ready: 1 namespace not recorded"},
		{"one that was", with(covered(), func(ev *Evidence) { ev.Coverage.Namespaces = []string{"vote"} }), "ready"},
		{"what has faults", with(covered(), func(ev *Evidence) { ev.Unjudged = 2 }), "not ready: 2 resources with faults"},
		{"all at once", with(covered(cron(0), job(0, 0), scaled(&zero)), func(ev *Evidence) { ev.Coverage.Lost = 1 }),
			"not ready: 1 CronJob unseen, 1 Job unseen, 1 Deployment at zero, 1 connection lost"},
		{"another namespace is asked about", with(covered(cron(0)), func(ev *Evidence) { ev.Namespaces = []string{"elsewhere"} }), "ready"},
	} {
		m, scope := coverageWorld()
		if got := Assess(m, scope, c.ev); got.Text() != c.want || got.Ready != (c.want == "ready") {
			t.Errorf("%s: %q, want %q", c.name, got.Text(), c.want)
		}
	}
}

// Where no time was observed at all, a policy that selects nobody known is not
// ready: nobody knows whom it selects.
func TestCoverageOfNothingObservedIsNotReady(t *testing.T) {
	scopeKey := policy.Key{Kind: policy.KindStagedNetworkPolicy, Namespace: "vote", Name: "deny"}
	ev := &Evidence{Least: time.Hour, Now: seen, Policies: []policy.Key{scopeKey}, Namespaces: []string{"elsewhere"}}
	m, scope := coverageWorld()
	if got := Assess(m, scope, ev); got.Ready || got.Text() != "not ready: nothing was observed" {
		t.Errorf("got %+v", got)
	}
}

// Where nothing is staged there is nothing that could be unseen; but a source that
// has seen no time may be the wrong one, and policies with it.
func TestCoverageOfNothingStaged(t *testing.T) {
	ev := covered()
	ev.Policies, ev.Unreadable = nil, []string{"jobs.batch"}
	if got := Assess(impactWorld(), tier.Pending(), ev); !got.Ready || got.Selected != 0 {
		t.Errorf("got %+v", got)
	}
	ev = &Evidence{Least: 24 * time.Hour, Now: seen}
	if got := Assess(impactWorld(), tier.Pending(), ev); got.Ready || got.Text() != "not ready: nothing was observed" {
		t.Errorf("nothing observed: got %+v", got)
	}
}

func TestS27_CoverageCountsWhomADeletionConcerns(t *testing.T) {
	enforced := np(policy.KindNetworkPolicy, "db", "db", policy.Ingress, allowFrom("app == 'worker'"))
	staged := np(policy.KindStagedNetworkPolicy, "db", "db", policy.Ingress)
	staged.StagedAction = policy.StagedDelete
	got := Assess(impactWorld(sortedPolicies(enforced, staged)...), tier.Pending(), covered())
	if got.Selected != 1 {
		t.Errorf("%d workloads, want db alone", got.Selected)
	}
}

func TestHoursOfTheDay(t *testing.T) {
	at := func(h, m int) time.Time { return time.Date(2026, 3, 1, h, m, 0, 0, time.UTC) }
	for _, c := range []struct {
		name string
		s    spans
		want string
	}{
		{"a day", spans{{at(5, 30), at(29, 30)}}, "[]"},
		{"from 8 to 20", spans{{at(8, 0), at(20, 0)}}, "[0 1 2 3 4 5 6 7 20 21 22 23]"},
		{"most of an hour is one", spans{{at(0, 10), at(23, 50)}}, "[]"},
		{"half an hour is none", spans{{at(0, 30), at(24, 0)}}, "[0]"},
		{"two days together", spans{{at(0, 30), at(24, 30)}}, "[]"},
	} {
		if got := fmt.Sprint(c.s.hoursMissing()); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func TestSpanText(t *testing.T) {
	for d, want := range map[time.Duration]string{
		45 * time.Second: "45s", 90 * time.Second: "1m", 10 * time.Minute: "10m", time.Hour: "1h", 200 * time.Minute: "3h20m",
		day: "24h", 52 * time.Hour: "2d4h", 336 * time.Hour: "14d", 0: "0s",
	} {
		if got := spanText(d); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
}
