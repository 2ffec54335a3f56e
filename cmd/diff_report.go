package cmd

import (
	"fmt"

	"github.com/netpol-project/netpol/internal/output"
	"github.com/netpol-project/netpol/pkg/connectivity"
	"github.com/netpol-project/netpol/pkg/policy"
)

// diffReport is the JSON of diff.
type diffReport struct {
	output.Meta
	Summary diffSummary `json:"summary"`
	Items   []diffItem  `json:"items"`
}

type diffSummary struct {
	Added   int `json:"added"`
	Removed int `json:"removed"`
	// Undeclared of them are on ports that no container declares.
	Undeclared int `json:"undeclared"`
}

type diffItem struct {
	Change      string         `json:"change"` // added or removed
	Source      workloadReport `json:"source"`
	Destination workloadReport `json:"destination"`
	Connections spaceReport    `json:"connections"`
	// Declared are the ports of Connections that the destination declares.
	Declared []declaredReport `json:"declared"`
	// ChangedPairs of Pairs pairs of pods change.
	ChangedPairs int          `json:"changedPairs"`
	Pairs        int          `json:"pairs"`
	Before       answerReport `json:"before"`
	After        answerReport `json:"after"`
}

type declaredReport struct {
	Protocol string `json:"protocol"`
	Port     int    `json:"port"`
	Name     string `json:"name,omitempty"`
}

// answerReport is what one side says: allow, deny, or absent where the source
// or the destination is not there.
type answerReport struct {
	Result string     `json:"result"`
	By     *hitReport `json:"by,omitempty"`
}

func newDiffReport(changes []connectivity.Change) diffReport {
	r := diffReport{Meta: output.NewMeta("ConnectivityDiff"), Items: []diffItem{}}
	for i := range changes {
		c := &changes[i]
		it := diffItem{
			Change: changeWord(c), Source: newWorkloadReport(c.Source), Destination: newWorkloadReport(c.Destination),
			Connections: newSpaceReport(c.What), Declared: []declaredReport{}, ChangedPairs: c.Changed, Pairs: c.Pairs,
			Before: newAnswerReport(&c.Before), After: newAnswerReport(&c.After),
		}
		for _, p := range c.Declared {
			it.Declared = append(it.Declared, declaredReport{p.Protocol.String(), int(p.Port), p.Name})
		}
		r.Items = append(r.Items, it)
	}
	r.Summary = summarizeDiff(changes)
	return r
}

func newAnswerReport(a *connectivity.Answer) answerReport {
	if a.Absent {
		return answerReport{Result: "absent"}
	}
	out := answerReport{Result: resultWord(a.Allowed)}
	if a.By.Rule != policy.NoPolicy {
		by := newHitReport(a.By, a.Direction)
		out.By = &by
	}
	return out
}

func changeWord(c *connectivity.Change) string {
	if c.Added {
		return "added"
	}
	return "removed"
}

func summarizeDiff(changes []connectivity.Change) diffSummary {
	var s diffSummary
	for i := range changes {
		if changes[i].Added {
			s.Added++
		} else {
			s.Removed++
		}
		if !changes[i].Telling() {
			s.Undeclared++
		}
	}
	return s
}

// text is the summary as a sentence.
func (s diffSummary) text() string {
	if s.Added+s.Removed == 0 {
		return "no connection changes"
	}
	text := fmt.Sprintf("%d added, %d removed", s.Added, s.Removed)
	if s.Undeclared > 0 {
		text += fmt.Sprintf(", %d of these on undeclared ports only", s.Undeclared)
	}
	return text
}
