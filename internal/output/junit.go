package output

import (
	"encoding/xml"
	"fmt"
	"strconv"
	"strings"
)

// Suite is a group of test cases in JUnit's XML, which every CI system reads.
type Suite struct {
	Name  string
	Cases []Case
}

// Case is one test. It passed unless Failure or Skipped says otherwise.
type Case struct {
	// Name and ClassName together name the test; CI systems group by the latter,
	// which may be empty.
	Name, ClassName string
	Seconds         float64
	// File and Line are where the test is written down; empty and 0: not said.
	File string
	Line int
	// Failure is nil if the test passed.
	Failure *Failure
	// Skipped says why the test was not run; empty: it was.
	Skipped string
	// Output is what the test had to say, passed or not.
	Output string
}

// Failure is why a test failed.
type Failure struct {
	// Errored: the test came to no answer.
	Errored bool
	Message string // one line
	Type    string // the kind of failure, for machines; may be empty
	Text    string // all of it
}

type junitSuites struct {
	XMLName xml.Name `xml:"testsuites"`
	junitCount
	Suites []junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name string `xml:"name,attr"`
	junitCount
	Cases []junitCase `xml:"testcase"`
}

// junitCount is what both levels count.
type junitCount struct {
	Tests    int    `xml:"tests,attr"`
	Failures int    `xml:"failures,attr"`
	Errors   int    `xml:"errors,attr"`
	Skipped  int    `xml:"skipped,attr"`
	Time     string `xml:"time,attr"`
}

type junitCase struct {
	Name      string        `xml:"name,attr"`
	ClassName string        `xml:"classname,attr,omitempty"`
	File      string        `xml:"file,attr,omitempty"`
	Line      int           `xml:"line,attr,omitempty"`
	Time      string        `xml:"time,attr"`
	Skipped   *junitSkipped `xml:"skipped"`
	Failure   *junitFailure `xml:"failure"`
	Error     *junitFailure `xml:"error"`
	Output    *junitText    `xml:"system-out"`
}

type junitSkipped struct {
	Message string `xml:"message,attr"`
}

type junitFailure struct {
	Message string `xml:"message,attr"`
	Type    string `xml:"type,attr,omitempty"`
	Text    string `xml:",innerxml"` // escaped
}

type junitText struct {
	Text string `xml:",innerxml"`
}

// JUnit writes suites as JUnit's XML, in the order given.
func (p *Printer) JUnit(suites ...Suite) error {
	doc := junitSuites{}
	total := 0.0
	for i := range suites {
		s, seconds := newJunitSuite(&suites[i])
		doc.Suites = append(doc.Suites, s)
		doc.Tests += s.Tests
		doc.Failures += s.Failures
		doc.Errors += s.Errors
		doc.Skipped += s.Skipped
		total += seconds
	}
	doc.Time = junitTime(total)
	out, err := xml.MarshalIndent(doc, "", "  ")
	if err != nil {
		return fmt.Errorf("output: %w", err)
	}
	_, err = p.W.Write(append(append([]byte(xml.Header), out...), '\n'))
	return err
}

func newJunitSuite(s *Suite) (junitSuite, float64) {
	out := junitSuite{Name: s.Name}
	total := 0.0
	for i := range s.Cases {
		c := &s.Cases[i]
		jc := junitCase{Name: c.Name, ClassName: c.ClassName, File: c.File, Line: c.Line, Time: junitTime(c.Seconds)}
		if c.Output != "" {
			jc.Output = &junitText{escapeText(c.Output)}
		}
		out.Tests++
		total += c.Seconds
		switch f := c.Failure; {
		case c.Skipped != "":
			jc.Skipped = &junitSkipped{c.Skipped}
			out.Skipped++
		case f == nil:
		case f.Errored:
			jc.Error = &junitFailure{f.Message, f.Type, escapeText(f.Text)}
			out.Errors++
		default:
			jc.Failure = &junitFailure{f.Message, f.Type, escapeText(f.Text)}
			out.Failures++
		}
		out.Cases = append(out.Cases, jc)
	}
	out.Time = junitTime(total)
	return out, total
}

// escapeText escapes text between tags. Line ends and quotes may stand there as
// they are, and people read it. Characters that XML can't write become U+FFFD.
func escapeText(text string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(text)) // a Builder takes everything
	return strings.NewReplacer("&#xA;", "\n", "&#34;", `"`, "&#39;", "'").Replace(b.String())
}

// junitTime is seconds with three digits, as JUnit itself writes them.
func junitTime(seconds float64) string {
	return strconv.FormatFloat(seconds, 'f', 3, 64)
}
