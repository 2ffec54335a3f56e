package cmd

import (
	"fmt"
	"slices"
	"strings"

	"github.com/netpol-project/netpol/pkg/stage"
)

// changeLines are what a report says that the one before did not, a line each;
// of the first, where things stand.
func changeLines(old, now *impactReport) []string {
	var out []string
	if old == nil || old.subject() != now.subject() {
		out = append(out, strings.Join(now.heading(0), " "))
	}
	before := &impactReport{Report: &stage.Report{}}
	if old != nil {
		before = old
	}
	came, went := changedItems(before.Items, now.Items)
	for i := range came {
		out = append(out, blockedText(&came[i]))
	}
	for i := range went {
		out = append(out, itemText(&went[i])+" would no longer be blocked")
	}
	came, went = changedItems(before.WouldAllow, now.WouldAllow)
	for i := range came {
		var notes footnotes
		out = append(out, fmt.Sprintf("%s would be allowed: refused now by %s", itemText(&came[i]), itemBy(&came[i], &notes)))
	}
	for i := range went {
		out = append(out, itemText(&went[i])+" would no longer be newly allowed")
	}
	came, went = changedItems(before.Undecided, now.Undecided)
	for i := range came {
		out = append(out, fmt.Sprintf("%s can't be judged: %s", itemText(&came[i]), came[i].Reason))
	}
	for i := range went {
		out = append(out, itemText(&went[i])+" is no longer one that can't be judged")
	}
	if now.Live.Known && now.Live.WouldCut != before.Live.WouldCut {
		out = append(out, now.Live.text())
	}
	if verdict := now.verdict(); len(now.Policies) > 0 && (old == nil || len(old.Policies) == 0 || verdict != old.verdict()) {
		out = append(out, "coverage: "+verdict)
	}
	return out
}

// verdict is whether enough was seen, in words that do not change all the time.
func (r *impactReport) verdict() string {
	if r.Readiness.Ready {
		return "ready"
	}
	reasons := slices.Clone(r.Readiness.Reasons)
	for i, reason := range reasons {
		switch node, _, ofNode := strings.Cut(reason, " seen for "); {
		case ofNode:
			reasons[i] = node + " not seen for long enough"
		case strings.HasPrefix(reason, "seen for "):
			reasons[i] = "seen for less than " + reason[strings.LastIndex(reason, " ")+1:]
		}
	}
	return "not ready: " + strings.Join(reasons, ", ")
}

// changedItems are the flows that are only in now, and only in old; those that
// another rule refuses are in both.
func changedItems(old, now []stage.Item) (came, went []stage.Item) {
	text := func(it *stage.Item) string {
		var notes footnotes
		return itemText(it) + itemBy(it, &notes)
	}
	in := func(list []stage.Item, name func(*stage.Item) string) map[string]bool {
		out := map[string]bool{}
		for i := range list {
			out[name(&list[i])] = true
		}
		return out
	}
	was, is := in(old, text), in(now, itemText)
	for i := range now {
		if !was[text(&now[i])] {
			came = append(came, now[i])
		}
	}
	for i := range old {
		if !is[itemText(&old[i])] {
			went = append(went, old[i])
		}
	}
	return came, went
}
