package cmd

import (
	"bytes"
	"encoding/json"
	"io"
	"slices"
	"time"

	"github.com/netpol-project/netpol/internal/output"
)

// screen is where reports are shown one after another.
type screen struct {
	opts *ReportOptions
	errs io.Writer // the real stderr

	last     *impactReport
	lastSame []byte // of it, what a change is told by
	lastErrs string
}

// home sends a terminal's cursor home and empties the screen below it.
const home = "\x1b[H\x1b[J"

// show shows a report: on a terminal in place of the last, in JSON a document if
// anything has changed, in a pipe a line for each change.
func (s *screen) show(doc *impactReport, errs string) error {
	before := s.last
	s.last = doc
	out := s.opts.Factory.IO.Out
	if s.opts.Factory.IO.Width > 0 && !s.opts.Format.Structured() {
		var frame bytes.Buffer
		p := s.opts.Factory.IO.Printer()
		p.W = &frame
		p.Printf("%s", home)
		p.Line(output.Cell{Text: s.opts.Factory.Now().Format("15:04:05"), Style: output.Faint},
			output.Cell{Text: "Ctrl-C ends", Style: output.Faint})
		if err := printImpact(p, doc, s.opts); err != nil {
			return err
		}
		p.Printf("%s", errs)
		_, err := out.Write(frame.Bytes())
		return err
	}
	if errs != s.lastErrs {
		s.lastErrs = errs
		if _, err := io.WriteString(s.errs, errs); err != nil {
			return err
		}
	}
	if !s.opts.Format.Structured() {
		for _, line := range changeLines(before, doc) {
			s.opts.Factory.IO.Printer().Printf("%s %s\n", output.Time(s.opts.Factory.Now()), line)
		}
		return nil
	}
	same, err := sameness(doc)
	if err != nil || bytes.Equal(same, s.lastSame) {
		return err
	}
	s.lastSame = same
	p := s.opts.Factory.IO.Printer()
	if s.opts.Format == output.YAML {
		p.Printf("---\n")
	}
	return p.Object(s.opts.Format, doc)
}

// sameness is what two reports differ in that is more than time going on.
func sameness(r *impactReport) ([]byte, error) {
	c := *r
	c.Coverage.From, c.Coverage.To, c.Coverage.Nodes, c.Trend = time.Time{}, time.Time{}, nil, nil
	report, readiness := *r.Report, *r.Readiness
	c.Report, c.Readiness = &report, &readiness
	readiness.WindowSeconds, readiness.Nodes, readiness.Young = 0, nil, nil
	readiness.Reasons = []string{r.verdict()}
	c.Groups, c.Live.Open, c.Live.Items = nil, 0, nil
	report.Items = slices.Clone(report.Items)
	for i := range report.Items {
		report.Items[i].Trend = nil
	}
	return json.Marshal(c)
}
