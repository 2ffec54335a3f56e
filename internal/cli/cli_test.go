package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/spf13/viper"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/netpol-project/netpol/internal/cluster"
	"github.com/netpol-project/netpol/pkg/policy"
)

func TestExitCodesAndReports(t *testing.T) {
	fault := policy.Fault{Origin: policy.Origin{File: "a.yaml", Line: 3, Column: 5}, Field: "spec.order", Reason: "no number"}
	for name, tc := range map[string]struct {
		err  error
		code int
		text string
	}{
		"done":           {nil, 0, ""},
		"yes":            {Answer(true), 0, ""},
		"no":             {Answer(false), 1, ""},
		"no, wrapped":    {fmt.Errorf("report: %w", ErrNo), 1, "error: report: the answer is no\n"},
		"refused":        {Refuse("it would block 2 flows", []string{"a → b", "a → c"}, "netpol report"), 1, "error: it would block 2 flows\n  a → b\n  a → c\n  try: netpol report\n"},
		"usage":          {Usage("netpol get pods", "%s is missing", "TYPE"), 2, "error: TYPE is missing\n  try: netpol get pods\n"},
		"any other":      {errors.New("disk full"), 2, "error: disk full\n"},
		"interrupted":    {fmt.Errorf("flows: %w", context.Canceled), 130, ""},
		"half-way":       {&cluster.Failure{What: "interrupted", Where: []string{"done before: a"}, Err: context.Canceled, Partly: true}, 130, "error: interrupted\n  done before: a\n"},
		"before that":    {&cluster.Failure{What: "interrupted", Err: context.Canceled}, 130, ""},
		"gRPC cancelled": {status.Error(codes.Canceled, "x"), 130, ""},
		"gRPC":           {status.Error(codes.Unavailable, "no agent"), 2, "error: no agent\n"},
		"one fault":      {policy.Faults{fault}, 2, "error: a.yaml:3:5: spec.order: no number\n"},
		"two faults":     {policy.Faults{fault, fault}, 2, "error: 2 faults\n  a.yaml:3:5: spec.order: no number\n  a.yaml:3:5: spec.order: no number\n"},
		"unknown":        {Unknown("tier", "platfrom", []string{"default", "platform"}, "netpol tier list"), 2, "error: no tier \"platfrom\"; did you mean \"platform\"?\n  try: netpol tier list\n"},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			Report(&out, tc.err)
			if got := Code(tc.err); got != tc.code || out.String() != tc.text {
				t.Errorf("got %d and %q", got, out.String())
			}
		})
	}
}

func TestNearest(t *testing.T) {
	known := []string{"default", "platform", "vote", "wordpress"}
	for name, want := range map[string]string{
		"vte": "vote", "votee": "vote", "voet": "vote", "Vote": "vote", "word": "wordpress", "platfrom": "platform",
		"xyz": "", "": "", "completely-different": "",
	} {
		if got := Nearest(name, known); got != want {
			t.Errorf("%q: got %q, want %q", name, got, want)
		}
	}
}

func TestNamespaces(t *testing.T) {
	for _, tc := range []struct {
		given   []string
		all     bool
		want    string
		oneFail bool
	}{
		{nil, false, "[]", false},
		{[]string{"b", "a,b"}, false, "[a b]", true},
		{[]string{"a b"}, false, "[a b]", true},
		{[]string{"a"}, false, "[a]", false},
		{[]string{"a"}, true, "[a]", true},
	} {
		v := viper.New()
		v.Set("namespace", tc.given)
		v.Set("all-namespaces", tc.all)
		f := New(&Streams{}, v)
		if got := fmt.Sprint(f.Namespaces()); got != tc.want {
			t.Errorf("%v: got %s", tc.given, got)
		}
		if _, err := f.Namespace(); (err != nil) != tc.oneFail {
			t.Errorf("%v, all %v: %v", tc.given, tc.all, err)
		}
	}
}
