package cmd

import (
	"fmt"
	"strings"
	"time"

	"github.com/netpol-project/netpol/internal/output"
	"github.com/netpol-project/netpol/pkg/stage"
)

// mostUnseen is how many workloads that were not seen are told of; wide tells
// all.
const mostUnseen = 5

// printReadiness is what was not seen: a line, and the workloads; with wide all
// that is known.
func printReadiness(p *output.Printer, r *impactReport, opts *ReportOptions) {
	wide, now := opts.Format == output.Wide, opts.Factory.Now()
	style := output.Good
	if !r.Readiness.Ready {
		style = output.Warn
	}
	text := r.Readiness.Text()
	p.Printf("\n")
	if p.Width > 0 && len("Coverage: ")+len([]rune(text)) > p.Width {
		p.Indented(0, "Coverage: "+text)
	} else {
		p.Line(output.Cell{Text: "Coverage:", Style: output.Strong}, output.Cell{Text: text, Style: style})
	}
	for i, line := range r.readinessLines(wide, now) {
		if i == mostUnseen && !wide {
			p.Indented(2, "and more; -o wide tells all")
			break
		}
		p.Indented(2, line)
	}
}

// readinessLines are details, what matters most first.
func (r *impactReport) readinessLines(wide bool, now time.Time) []string {
	var out []string
	add := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	for _, u := range r.Readiness.Unseen {
		add("%s", unseenText(&u, now))
	}
	if names := r.Readiness.Unrecorded; len(names) > 0 {
		add("not in the recording: %s", strings.Join(names, ", "))
	}
	for _, n := range r.Readiness.Nodes {
		if !n.Observed {
			add("node %s: not observed", n.Node)
		} else if !wide && (n.Ended || n.Short || len(n.HoursMissing) > 0) { // else below
			add("%s", nodeText(&n, now))
		}
	}
	if h := r.Readiness.HoursMissing; len(h) > 0 && wide {
		add("hours of the day missing (UTC): %s", hoursText(h))
	}
	if r.Readiness.Selected == 0 && len(r.promoted()) > 0 {
		add("the policies change nothing for any workload that is known")
	}
	if !wide {
		return out
	}
	for _, y := range r.Readiness.Young {
		add("%s %s/%s: %s old", y.Kind, y.Namespace, y.Workload, output.Age(time.Duration(y.AgeSeconds)*time.Second))
	}
	for _, n := range r.Readiness.Nodes {
		if n.Observed {
			add("%s", nodeText(&n, now))
		}
	}
	if r.Readiness.Selected > 0 {
		add("%s selected, %s observed", plural(r.Readiness.Selected, "workload"), output.Age(time.Duration(r.Readiness.WindowSeconds)*time.Second))
	}
	return out
}

func unseenText(u *stage.Unseen, now time.Time) string {
	out := fmt.Sprintf("%s %s/%s", u.Kind, u.Namespace, u.Workload)
	if u.Schedule != "" {
		out += " (" + u.Schedule + ")"
	}
	switch {
	case u.Why != stage.NoRun:
		out += ": " + u.Why
	default:
		out += ": no run in the window"
	}
	if u.LastRun != nil {
		out += ", last run " + output.Ago(*u.LastRun, now) + " ago"
	}
	return out
}

func nodeText(n *stage.NodeWindow, now time.Time) string {
	out := "node " + n.Node
	if n.Created != nil {
		out += ", " + output.Ago(*n.Created, now) + " old"
	}
	out += ": observed for " + output.Age(time.Duration(n.ObservedSeconds)*time.Second)
	if n.Short {
		out += " of " + output.Age(time.Duration(n.NeededSeconds)*time.Second)
	}
	if ended := now.Sub(*n.To); ended > time.Minute {
		out += ", until " + output.Age(ended) + " ago"
	}
	if n.GapSeconds > 0 {
		out += ", gaps of " + output.Age(time.Duration(n.GapSeconds)*time.Second)
	}
	if len(n.HoursMissing) > 0 {
		out += ", hours of the day missing (UTC): " + hoursText(n.HoursMissing)
	}
	if n.Lost > 0 || n.LostUnknown {
		out += ", " + output.Count(n.Lost, n.LostUnknown) + " connections lost"
	}
	return out
}

// hoursText is 0-7, 9, 23.
func hoursText(hours []int) string {
	var parts []string
	for i := 0; i < len(hours); {
		j := i
		for j+1 < len(hours) && hours[j+1] == hours[j]+1 {
			j++
		}
		if part := fmt.Sprint(hours[i]); j > i {
			parts = append(parts, fmt.Sprintf("%s-%d", part, hours[j]))
		} else {
			parts = append(parts, part)
		}
		i = j + 1
	}
	return strings.Join(parts, ", ")
}
