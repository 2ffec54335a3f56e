package output

import (
	"bytes"
	"encoding/xml"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestJUnit(t *testing.T) {
	var buf bytes.Buffer
	err := (&Printer{W: &buf}).JUnit(
		Suite{Name: "shop", Cases: []Case{
			{Name: "web reaches db", ClassName: "shop.db", Seconds: 0.25},
			{Name: "web <-> \"cart\"", File: "tests.yaml", Line: 7, Seconds: 1,
				Failure: &Failure{Message: "denied & lost", Type: "verdict", Text: "line 1\nline 2\x01"}},
			{Name: "none", Failure: &Failure{Errored: true, Message: "no such pod", Text: "no such pod"}},
			{Name: "later", Skipped: "no agent", Output: "looked & waited"},
		}},
		Suite{Name: "empty"},
	)
	if err != nil {
		t.Fatal(err)
	}
	want := `<?xml version="1.0" encoding="UTF-8"?>
<testsuites tests="4" failures="1" errors="1" skipped="1" time="1.250">
  <testsuite name="shop" tests="4" failures="1" errors="1" skipped="1" time="1.250">
    <testcase name="web reaches db" classname="shop.db" time="0.250"></testcase>
    <testcase name="web &lt;-&gt; &#34;cart&#34;" file="tests.yaml" line="7" time="1.000">
      <failure message="denied &amp; lost" type="verdict">line 1
line 2` + "\uFFFD" + `</failure>
    </testcase>
    <testcase name="none" time="0.000">
      <error message="no such pod">no such pod</error>
    </testcase>
    <testcase name="later" time="0.000">
      <skipped message="no agent"></skipped>
      <system-out>looked &amp; waited</system-out>
    </testcase>
  </testsuite>
  <testsuite name="empty" tests="0" failures="0" errors="0" skipped="0" time="0.000"></testsuite>
</testsuites>
`
	if diff := cmp.Diff(want, buf.String()); diff != "" {
		t.Error(diff)
	}
	if err := xml.Unmarshal(buf.Bytes(), &struct{}{}); err != nil {
		t.Errorf("it is no XML: %v", err)
	}
}
