package stage

import (
	"fmt"
	"strings"
	"time"

	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
)

const nothingObserved = "nothing was observed"

// reasons says in words why it is not ready.
func (r *Readiness) reasons(c *flow.Coverage) {
	add := func(format string, args ...any) { r.Reasons = append(r.Reasons, fmt.Sprintf(format, args...)) }
	least := time.Duration(r.LeastSeconds) * time.Second
	switch window := time.Duration(r.WindowSeconds) * time.Second; {
	case window == 0:
		add(nothingObserved)
	case window < least:
		add("seen for %s of %s", spanText(window), spanText(least))
	case len(r.HoursMissing) > 0:
		add("%s of the day missing", counted(len(r.HoursMissing), "hour"))
	}
	if n := len(r.Unrecorded); n > 0 {
		add("%s not recorded", counted(n, "namespace"))
	}
	r.nodeReasons(add)
	r.workloadReasons(add)
	lostReason(add, c)
	if c.Evicted > 0 {
		add("%s dropped", counted(int(c.Evicted), "flow"))
	}
}

// mostNamed is how many nodes a reason names; of more it says how many they are.
const mostNamed = 3

// nodeReasons says what was not seen of single nodes, of each the most that is
// wrong with it.
func (r *Readiness) nodeReasons(add func(string, ...any)) {
	var blind, ended int
	var short, hours []*NodeWindow
	for i := range r.Nodes {
		switch n := &r.Nodes[i]; {
		case !n.Observed:
			blind++
		case n.Ended:
			ended++
		case n.Short:
			short = append(short, n)
		case len(n.HoursMissing) > 0:
			hours = append(hours, n)
		}
	}
	if blind > 0 {
		add("%s not observed", counted(blind, "node"))
	}
	if ended > 0 {
		add("%s no longer observed", counted(ended, "node"))
	}
	if len(short) > mostNamed {
		add("%s not seen for long enough", counted(len(short), "node"))
	} else {
		for _, n := range short {
			add("node %s seen for %s of %s", n.Node, spanText(time.Duration(n.ObservedSeconds)*time.Second), spanText(time.Duration(n.NeededSeconds)*time.Second))
		}
	}
	if len(hours) > mostNamed {
		add("hours of the day missing on %s", counted(len(hours), "node"))
		return
	}
	for _, n := range hours {
		add("%s of the day missing on node %s", counted(len(n.HoursMissing), "hour"), n.Node)
	}
}

// lostReason says what was lost, and on which nodes, where all of it is known to
// be of nodes. Those count too that run no selected pods: they may have.
func lostReason(add func(string, ...any), c *flow.Coverage) {
	var names []string
	var lost int64
	var unknown bool
	for _, n := range c.Nodes {
		if n.Lost > 0 || n.LostUnknown {
			names = append(names, n.Node)
		}
		lost += n.Lost
		unknown = unknown || n.LostUnknown
	}
	where := ""
	switch {
	case len(c.Nodes) < 2 || lost != c.Lost || unknown != c.LostUnknown:
	case len(names) == 1:
		where = " on node " + names[0]
	case len(names) > mostNamed:
		where = " on " + counted(len(names), "node")
	case len(names) > 1:
		where = " on nodes " + strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
	}
	switch {
	case c.Lost > 0 && c.LostUnknown:
		add("≥ %s lost%s", counted(int(c.Lost), "connection"), where)
	case c.Lost > 0:
		add("%s lost%s", counted(int(c.Lost), "connection"), where)
	case c.LostUnknown:
		add("connections lost%s", where)
	}
}

func (r *Readiness) workloadReasons(add func(string, ...any)) {
	unseen := map[string]int{}
	for _, u := range r.Unseen {
		if u.Why == AtZero {
			unseen["at zero "+u.Kind]++
		} else {
			unseen[u.Kind]++
		}
	}
	for _, kind := range []policy.Kind{policy.KindCronJob, policy.KindJob} {
		if n := unseen[string(kind)]; n > 0 {
			add("%s unseen", counted(n, string(kind)))
		}
	}
	for _, kind := range []policy.Kind{policy.KindDeployment, policy.KindReplicaSet, policy.KindStatefulSet} {
		if n := unseen["at zero "+string(kind)]; n > 0 {
			add("%s at zero", counted(n, string(kind)))
		}
	}
	young := 0
	for _, y := range r.Young {
		if y.AgeSeconds < r.LeastSeconds {
			young++
		}
	}
	if young > 0 && r.WindowSeconds >= r.LeastSeconds { // else all is young
		add("%s younger than %s", counted(young, "workload"), spanText(time.Duration(r.LeastSeconds)*time.Second))
	}
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// spanText is a span in the largest units that say it: 2d4h, 3h20m, 45s.
func spanText(d time.Duration) string {
	d = d.Truncate(time.Second)
	if d >= day {
		out := fmt.Sprintf("%dd", d/day)
		if h := d % day / time.Hour; h > 0 {
			out += fmt.Sprintf("%dh", h)
		}
		if d == day {
			return "24h"
		}
		return out
	}
	if d >= time.Minute {
		d = d.Truncate(time.Minute)
		out := d.String()
		out = strings.TrimSuffix(out, "0s")
		if strings.HasSuffix(out, "h0m") {
			out = strings.TrimSuffix(out, "0m")
		}
		return out
	}
	return d.String()
}

// Text is the verdict: ready, or not and why.
func (r *Readiness) Text() string {
	if r.Ready {
		return "ready"
	}
	return "not ready: " + strings.Join(r.Reasons, ", ")
}
