package output

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var reviewTool = Tool{Name: "netpol", Version: "1.0", URI: "https://example.com", Rules: []Rule{
	{Code: "tie", Short: "A tie", Help: "Give orders.", Warning: true},
	{Code: "bad-port", Short: "Bad port"},
}}

func writeSARIF(t *testing.T, findings ...Finding) (text string, doc map[string]any) {
	t.Helper()
	var buf bytes.Buffer
	if err := (&Printer{W: &buf}).SARIF(reviewTool, findings); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(buf.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	return buf.String(), doc
}

func TestSARIFGolden(t *testing.T) {
	text, _ := writeSARIF(t, Finding{Code: "bad-port", Message: "a port <is> small", File: "./policies//a b.yaml", Line: 3, Column: 7,
		Resource: "NetworkPolicy shop/web", Field: "spec.x"})
	_, results, _ := strings.Cut(text, `"results": `)
	want := `[
        {
          "ruleId": "bad-port",
          "ruleIndex": 1,
          "level": "error",
          "message": {
            "text": "a port <is> small"
          },
          "locations": [
            {
              "physicalLocation": {
                "artifactLocation": {
                  "uri": "policies/a%20b.yaml",
                  "uriBaseId": "%SRCROOT%"
                },
                "region": {
                  "startLine": 3,
                  "startColumn": 7
                }
              },
              "logicalLocations": [
                {
                  "fullyQualifiedName": "NetworkPolicy shop/web spec.x",
                  "kind": "resource"
                }
              ]
            }
          ],
          "partialFingerprints": {
            "netpolFinding/v1": "a89b35bb339926aa62a82cdb653463d6"
          }
        }
      ]
    }
  ]
}
`
	if diff := cmp.Diff(want, results); diff != "" {
		t.Error(diff)
	}
}

// TestSARIFSchema holds what the 2.1.0 schema requires of the objects that we
// write, and what GitHub's code scanning does.
func TestSARIFSchema(t *testing.T) {
	_, doc := writeSARIF(t,
		Finding{Code: "tie", Warning: true, Message: "m", File: "a.yaml", Line: 3},
		Finding{Code: "unheard-of", Message: "m", File: "/abs/ü:1.yaml"},
		Finding{Code: "tie", Warning: true, Message: "m", File: "a.yaml", Line: 9},
	)
	at := func(path ...any) any {
		var v any = doc
		for _, p := range path {
			switch p := p.(type) {
			case string:
				v = v.(map[string]any)[p]
			case int:
				v = v.([]any)[p]
			}
		}
		return v
	}
	if at("version") != "2.1.0" || !strings.Contains(at("$schema").(string), "sarif-2.1.0") {
		t.Error("version and schema are required")
	}
	driver := at("runs", 0, "tool", "driver").(map[string]any)
	if driver["name"] != "netpol" {
		t.Error("a driver must have a name")
	}
	rules := driver["rules"].([]any)
	ids := map[string]bool{}
	for _, r := range rules {
		r := r.(map[string]any)
		id, _ := r["id"].(string)
		if id == "" || ids[id] {
			t.Errorf("rules must have distinct ids: %q", id)
		}
		ids[id] = true
		for _, field := range []string{"shortDescription", "fullDescription", "help"} {
			if text, _ := r[field].(map[string]any)["text"].(string); text == "" {
				t.Errorf("%s has no text in %s", id, field)
			}
		}
	}
	prints := map[string]bool{}
	for i, r := range at("runs", 0, "results").([]any) {
		r := r.(map[string]any)
		id, index := r["ruleId"].(string), int(r["ruleIndex"].(float64))
		if index >= 0 && rules[index].(map[string]any)["id"] != id || index < 0 && ids[id] {
			t.Errorf("result %d: rule %s is not number %d", i, id, index)
		}
		if r["level"] != "error" && r["level"] != "warning" || r["message"].(map[string]any)["text"] == "" {
			t.Errorf("result %d: level and message: %v", i, r)
		}
		places := r["locations"].([]any)
		if len(places) != 1 {
			t.Errorf("result %d: GitHub wants a location", i)
		}
		physical := places[0].(map[string]any)["physicalLocation"].(map[string]any)
		uri, err := url.Parse(physical["artifactLocation"].(map[string]any)["uri"].(string))
		if err != nil || uri.Path == "" {
			t.Errorf("result %d: uri: %v", i, err)
		}
		region := physical["region"].(map[string]any)
		if region["startLine"].(float64) < 1 || region["startColumn"] != nil && region["startColumn"].(float64) < 1 {
			t.Errorf("result %d: lines and columns count from 1: %v", i, region)
		}
		fp := fmt.Sprint(r["partialFingerprints"])
		if prints[fp] {
			t.Errorf("result %d: the same fingerprint twice", i)
		}
		prints[fp] = true
	}
	if uri := at("runs", 0, "results", 1, "locations", 0, "physicalLocation", "artifactLocation").(map[string]any); uri["uri"] != "file:///abs/%C3%BC%3A1.yaml" || uri["uriBaseId"] != nil {
		t.Errorf("an absolute path: %v", uri)
	}
}

// TestSARIFFingerprints stay the same where text is added above a finding.
func TestSARIFFingerprints(t *testing.T) {
	fp := func(line int) any {
		_, doc := writeSARIF(t, Finding{Code: "tie", Message: "m", File: "a.yaml", Line: line, Resource: "x"})
		return doc["runs"].([]any)[0].(map[string]any)["results"].([]any)[0].(map[string]any)["partialFingerprints"]
	}
	if diff := cmp.Diff(fp(3), fp(30)); diff != "" {
		t.Error(diff)
	}
}

func TestSARIFWithoutFindings(t *testing.T) {
	text, _ := writeSARIF(t)
	if !strings.Contains(text, `"results": []`) {
		t.Error("no findings are an empty list")
	}
}

// What is in no file is found by its name alone.
func TestSARIFOfWhatIsInNoFile(t *testing.T) {
	var buf bytes.Buffer
	if err := (&Printer{W: &buf}).SARIF(reviewTool, []Finding{{Code: reviewTool.Rules[0].Code, Message: "m", Resource: "NetworkPolicy a/b"}}); err != nil {
		t.Fatal(err)
	}
	if got := buf.String(); strings.Contains(got, "physicalLocation") || !strings.Contains(got, `"fullyQualifiedName": "NetworkPolicy a/b"`) {
		t.Error(got)
	}
}

// TestSARIFNotes: what is in no file is a notification, and no finding.
func TestSARIFNotes(t *testing.T) {
	tool := reviewTool
	tool.Notes = []string{"not all was seen"}
	var buf bytes.Buffer
	if err := (&Printer{W: &buf}).SARIF(tool, nil); err != nil {
		t.Fatal(err)
	}
	want := `"invocations": [
        {
          "executionSuccessful": true,
          "toolExecutionNotifications": [
            {
              "level": "warning",
              "message": {
                "text": "not all was seen"
              }
            }
          ]
        }
      ]`
	if got := buf.String(); !strings.Contains(got, want) || !strings.Contains(got, `"results": []`) {
		t.Errorf("got %s", got)
	}
}
