package policytest

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/netpol-project/netpol/pkg/policy"
)

const head = "apiVersion: netpol.dev/v1\nkind: PolicyTest\nmetadata: {name: t}\n"

func TestParse(t *testing.T) {
	data, err := os.ReadFile("testdata/all.yaml")
	if err != nil {
		t.Fatal(err)
	}
	tests, faults := Parse("all.yaml", data)
	if len(faults) > 0 || len(tests) != 1 {
		t.Fatalf("%d tests, %v", len(tests), faults)
	}
	at := func(line, col int) policy.Origin { return policy.Origin{File: "all.yaml", Line: line, Column: col} }
	end := func(text string, line, col int) []End { return []End{{text, at(line, col)}} }
	rule := -1
	want := &Test{
		Name: "all", Origin: at(2, 1),
		Resources: []Path{{"../shop", at(6, 13)}},
		Scope:     Scope{Only: "close", Origin: at(7, 8)},
		Default:   policy.Deny, DefaultOrigin: at(8, 10), Namespaces: []string{"shop"},
		Cases: []Case{
			{
				Name: "one", Origin: at(11, 3), From: end("shop/web", 12, 9), To: end("shop/db", 13, 7),
				Ports:    []Port{{Range: policy.PortRange{Min: 80, Max: 90}}, {Name: "sql"}},
				Protocol: policy.UDP, Expect: policy.Allow,
				By: &By{Tier: "default", Namespace: "shop", Policy: "db", Rule: &rule, Direction: "Egress", Origin: at(17, 7)},
			},
			{
				Name: "only shop/web → shop/db ICMP/8:0", Origin: at(18, 3), Only: end("shop/web", 18, 9), Exclusive: true,
				To: end("shop/db", 19, 7), Protocol: policy.ICMP, Ports: []Port{{Range: policy.PortRange{Min: 0x800, Max: 0x800}}},
			},
		},
	}
	if diff := cmp.Diff(want, tests[0]); diff != "" {
		t.Error(diff)
	}
}

func TestParsePassesOverOthers(t *testing.T) {
	for what, text := range map[string]string{
		"a manifest":       "apiVersion: v1\nkind: Pod\nmetadata: {name: x}\n",
		"a report of ours": "apiVersion: netpol.dev/v1\nkind: Connectivity\nitems: []\n",
		"a list":           "- 1\n",
		"nothing":          "# nothing\n",
	} {
		if tests, faults := Parse("f", []byte(text)); len(tests)+len(faults) > 0 {
			t.Errorf("%s: %v, %v", what, tests, faults)
		}
	}
	tests, faults := Parse("f", []byte("kind: Pod\napiVersion: v1\n---\n"+head+"default: deny\n---\n"+head+"default: allow\n"))
	if len(tests) != 2 || len(faults) > 0 {
		t.Errorf("several documents: %d tests, %v", len(tests), faults)
	}
}

func TestParseFaults(t *testing.T) {
	oneCase := func(fields string) string { return head + "cases:\n- " + fields + "\n" }
	for what, tc := range map[string]struct{ in, want string }{
		"syntax":          {head + "cases: [\n", "f.yaml:4:"},
		"the version":     {"apiVersion: netpol.dev/v2\nkind: PolicyTest\n", `f.yaml:1:13: apiVersion "netpol.dev/v2": there is no such value; did you mean netpol.dev/v1?`},
		"the kind":        {"apiVersion: netpol.dev/v1\nkind: PolicyTests\n", `f.yaml:2:7: kind "PolicyTests": there is no such value; did you mean PolicyTest?`},
		"no kind":         {"apiVersion: netpol.dev/v1\nmetadata: {}\n", "f.yaml:1:1: the document has no kind; add kind: PolicyTest"},
		"no name":         {"apiVersion: netpol.dev/v1\nkind: PolicyTest\ndefault: deny\n", "f.yaml:1:1: PolicyTest : the test has no name; add metadata.name"},
		"unknown field":   {head + "default: deny\ncase: []\n", "f.yaml:5:1: PolicyTest t: case: there is no such field; did you mean cases?"},
		"field twice":     {head + "default: deny\ndefault: deny\n", "f.yaml:5:1: PolicyTest t: default: the field is given twice; remove one"},
		"no cases":        {head, "the test has no cases"},
		"cases no list":   {head + "cases: {}\n", "f.yaml:4:8: PolicyTest t: cases: expected a list of cases"},
		"case no mapping": {oneCase("x"), `f.yaml:5:3: PolicyTest t: cases[0] "x": expected a mapping, got a string`},
		"scope":           {head + "default: deny\nscope: staged\n", `f.yaml:5:8: PolicyTest t: scope "staged": there is no such value; use one of enforced, pending`},
		"scope only":      {head + "default: deny\nscope: {}\n", "which staged policy is to count?"},
		"namespaces":      {oneCase("{from: a/b, to: a/c, expect: allow}") + "namespaces: [a]\n", "f.yaml:6:13: PolicyTest t: namespaces: these are the namespaces that default is about"},
		"from":            {oneCase("{to: a/b, expect: allow}"), "f.yaml:5:3: PolicyTest t: cases[0]: the case does not say from; add from: NAMESPACE/WORKLOAD"},
		"to":              {oneCase("{from: a/b, expect: allow}"), "the case does not say to"},
		"expect":          {oneCase("{from: a/b, to: a/b}"), "the case does not say expect; add expect: allow or expect: deny"},
		"expect what":     {oneCase("{from: a/b, to: a/b, expect: alow}"), `f.yaml:5:32: PolicyTest t: cases[0].expect "alow": there is no such value; did you mean allow?`},
		"empty list":      {oneCase("{from: [], to: a/b, expect: deny}"), "f.yaml:5:10: PolicyTest t: cases[0].from: the list is empty"},
		"empty name":      {oneCase(`{from: "", to: a/b, expect: deny}`), "f.yaml:5:10: PolicyTest t: cases[0].from: expected a text that is not empty"},
		"a number":        {oneCase("{from: [7], to: a/b, expect: deny}"), `f.yaml:5:11: PolicyTest t: cases[0].from[0] "7": expected a string, got a number`},
		"protocol":        {oneCase("{from: a/b, to: a/b, protocol: tpc, expect: deny}"), `f.yaml:5:34: PolicyTest t: cases[0].protocol "tpc": there is no such protocol`},
		"port 0":          {oneCase("{from: a/b, to: a/b, port: 0, expect: deny}"), `cases[0].port "0": expected a port from 1 to 65535`},
		"port too big":    {oneCase("{from: a/b, to: a/b, port: 65536, expect: deny}"), "expected a port from 1 to 65535"},
		"range":           {oneCase(`{from: a/b, to: a/b, port: "9:8", expect: deny}`), "expected a port from 1 to 65535"},
		"port of GRE":     {oneCase("{from: a/b, to: a/b, protocol: 47, port: 1, expect: deny}"), `cases[0].port "1": 47 has no ports`},
		"ICMP type":       {oneCase("{from: a/b, to: a/b, protocol: ICMP, port: 255, expect: deny}"), "expected a type of ICMP from 0 to 254"},
		"port and ports":  {oneCase("{from: a/b, to: a/b, port: 1, ports: [2], expect: deny}"), "port is given, too"},
		"port twice":      {oneCase(`{from: a/b, to: "a/b:1", port: 1, expect: deny}`), `cases[0].to "a/b:1": the port is given twice`},
		"protocol twice":  {oneCase(`{from: a/b, to: "a/b/udp", protocol: UDP, expect: deny}`), "the protocol is given twice"},
		"protocol apart":  {oneCase(`{from: a/b, to: "a/b/icmp", port: 8, expect: deny}`), "the protocol is given here, and the port in a field"},
		"bad target":      {oneCase(`{from: a/b, to: "a/b:99999", expect: deny}`), `f.yaml:5:19: PolicyTest t: cases[0].to "a/b:99999": "a/b:99999": port`},
		"only and both":   {oneCase("{from: a/b, to: a/b, only: a/c}"), "only takes the place of from or of to"},
		"only alone":      {oneCase("{only: a/c}"), "only takes the place of from or of to"},
		"only and expect": {oneCase("{to: a/b, only: a/c, expect: deny}"), "with only, what is named is allowed"},
		"only and by":     {oneCase("{to: a/b, only: a/c, by: {tier: x}}"), "by can't be told with only"},
		"by nothing":      {oneCase("{from: a/b, to: a/b, expect: deny, by: {}}"), "by does not say what must decide"},
		"by rule":         {oneCase("{from: a/b, to: a/b, expect: deny, by: {rule: -2}}"), "expected the index of a rule"},
		"by direction":    {oneCase("{from: a/b, to: a/b, expect: deny, by: {direction: ingress}}"), "did you mean Ingress?"},
		"by namespace":    {oneCase("{from: a/b, to: a/b, expect: deny, by: {policy: a/b, namespace: c}}"), "the namespace is given twice"},
		"one name":        {oneCase("{name: x, from: a/b, to: a/b, expect: deny}\n- {name: x, from: a/b, to: a/b, expect: deny}"), `f.yaml:6:10: PolicyTest t: cases[1].name "x": another case has the name "x", at f.yaml:5:3`},
	} {
		t.Run(what, func(t *testing.T) {
			tests, faults := Parse("f.yaml", []byte(tc.in))
			if len(faults) == 0 || !strings.Contains(faults.Error(), tc.want) || len(tests) > 0 {
				t.Errorf("%d tests, faults:\n%v\nwant:\n%s", len(tests), faults, tc.want)
			}
		})
	}
}

// FuzzParse looks for panics; a test that was read has what Run relies on.
func FuzzParse(f *testing.F) {
	data, err := os.ReadFile("testdata/all.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte(head + "cases: [{only: [], to: a/b}]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		tests, _ := Parse("f.yaml", data)
		for _, test := range tests {
			for _, c := range test.Cases {
				if c.Name == "" || c.Exclusive == (c.Expect != 0) || len(c.From)+len(c.To) == 0 {
					t.Errorf("%+v", c)
				}
			}
		}
	})
}

func TestNameOfOnlyNobody(t *testing.T) {
	tests, faults := Parse("f", []byte(head+"cases: [{only: [], to: a/b}, {from: a/b, only: []}]\n"))
	if len(tests) != 1 || len(faults) > 0 {
		t.Fatalf("%d tests, %v", len(tests), faults)
	}
	got := []string{tests[0].Cases[0].Name, tests[0].Cases[1].Name}
	if diff := cmp.Diff([]string{"only nobody → a/b", "a/b → only nobody"}, got); diff != "" {
		t.Error(diff)
	}
}
