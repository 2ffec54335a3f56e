package policy_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/netpol-project/netpol/pkg/policy"
)

// onTrial is a policy with annotations, each of which a test may leave out or
// write otherwise.
func onTrial(kind, spec string, notes ...string) string {
	api, namespace := "projectcalico.org/v3", "  namespace: vote\n"
	switch kind {
	case "Kubernetes":
		api, kind = "networking.k8s.io/v1", "NetworkPolicy"
	case "GlobalNetworkPolicy", "StagedGlobalNetworkPolicy":
		namespace = ""
	}
	return fmt.Sprintf("apiVersion: %s\nkind: %s\nmetadata:\n  name: p\n%s  annotations:\n    %s\nspec: %s\n",
		api, kind, namespace, strings.Join(notes, "\n    "), spec)
}

const (
	revision = `netpol.dev/revision: "7"`
	by       = `netpol.dev/confirm-by: "2026-01-02T15:04:05Z"`
	within   = `netpol.dev/confirm-within: 5m`
	noneWas  = `netpol.dev/previous: "null"`
)

func previous(spec string) string { return "netpol.dev/previous: '" + spec + "'" }

func TestTrial(t *testing.T) {
	for name, tc := range map[string]struct {
		doc   string
		fault string // no trial, and a warning that says this
		none  bool   // no trial, and no warning
		// before is the selector of what was there before; "-": nothing was.
		before string
	}{
		"nothing before":    {doc: onTrial("NetworkPolicy", "{}", revision, by, within, noneWas), before: "-"},
		"a spec before":     {doc: onTrial("NetworkPolicy", "{}", revision, by, within, previous(`{"selector":"has(a)"}`)), before: "has(a)"},
		"a global policy":   {doc: onTrial("GlobalNetworkPolicy", "{tier: x}", revision, by, within, previous(`{"tier":"x", "selector":"has(a)"}`)), before: "has(a)"},
		"of Kubernetes":     {doc: onTrial("Kubernetes", "{podSelector: {}}", revision, by, within, previous(`{"podSelector":{"matchLabels":{"a":"b"}}}`)), before: `a == "b"`},
		"tier by its name":  {doc: onTrial("NetworkPolicy", "{}", revision, by, within, previous(`{"tier":"default","selector":"has(a)"}`)), before: "has(a)"},
		"not on trial":      {doc: onTrial("NetworkPolicy", "{}", revision), none: true},
		"a staged one":      {doc: onTrial("StagedGlobalNetworkPolicy", "{}", revision, by, within, noneWas), none: true},
		"no revision":       {doc: onTrial("NetworkPolicy", "{}", by, within, noneWas), fault: "netpol.dev/revision"},
		"no deadline":       {doc: onTrial("NetworkPolicy", "{}", revision, within, noneWas), fault: "netpol.dev/confirm-by"},
		"no duration":       {doc: onTrial("NetworkPolicy", "{}", revision, by, noneWas), fault: "netpol.dev/confirm-within"},
		"no previous":       {doc: onTrial("NetworkPolicy", "{}", revision, by, within), fault: "netpol.dev/previous"},
		"bad revision":      {doc: onTrial("NetworkPolicy", "{}", `netpol.dev/revision: "-1"`, by, within, noneWas), fault: "expected a number"},
		"bad deadline":      {doc: onTrial("NetworkPolicy", "{}", revision, `netpol.dev/confirm-by: soon`, within, noneWas), fault: "expected a time"},
		"negative duration": {doc: onTrial("NetworkPolicy", "{}", revision, by, `netpol.dev/confirm-within: -5m`, noneWas), fault: "expected a duration"},
		"endless duration":  {doc: onTrial("NetworkPolicy", "{}", revision, by, `netpol.dev/confirm-within: 25h`, noneWas), fault: "24h"},
		"no JSON":           {doc: onTrial("NetworkPolicy", "{}", revision, by, within, previous("{")), fault: "as JSON"},
		"a list":            {doc: onTrial("NetworkPolicy", "{}", revision, by, within, previous("[]")), fault: "got a list"},
		"an unknown field":  {doc: onTrial("NetworkPolicy", "{}", revision, by, within, previous(`{"ordr":1}`)), fault: "spec.ordr"},
		"a bad selector":    {doc: onTrial("NetworkPolicy", "{}", revision, by, within, previous(`{"selector":"has("}`)), fault: "spec.selector"},
		// Who may write policies of one tier can't have one of another put in force.
		"another tier": {doc: onTrial("NetworkPolicy", "{tier: mine}", revision, by, within, previous(`{"tier":"security"}`)), fault: "another tier"},
		"out of tier":  {doc: onTrial("NetworkPolicy", "{tier: mine}", revision, by, within, previous(`{}`)), fault: "another tier"},
	} {
		t.Run(name, func(t *testing.T) {
			list, faults := policy.Decode("f.yaml", []byte(tc.doc))
			if len(list) != 1 {
				t.Fatalf("%d resources, %v", len(list), faults)
			}
			p, ok := list[0].Value.(*policy.Policy)
			if !ok || p == nil {
				t.Fatalf("no policy: %v", faults)
			}
			if faults.Err() != nil {
				t.Errorf("what is wrong with a trial is no fault of the policy: %v", faults)
			}
			if tc.none || tc.fault != "" {
				if p.Trial != nil {
					t.Errorf("on trial: %+v", p.Trial)
				}
				text := fmt.Sprint(faults)
				if tc.none != (len(faults) == 0) || !strings.Contains(text, tc.fault) {
					t.Errorf("faults: %v", faults)
				}
				return
			}
			want := time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC)
			if p.Trial == nil || p.Trial.Revision != 7 || !p.Trial.By.Equal(want) || p.Trial.Within != 5*time.Minute {
				t.Fatalf("got %+v, %v", p.Trial, faults)
			}
			before := "-"
			if b := p.Trial.Previous; b != nil {
				before = b.Selector.String()
				if b.Key != p.Key || b.Trial != nil {
					t.Errorf("before: %+v", b)
				}
			}
			if before != tc.before {
				t.Errorf("before: %s, want %s", before, tc.before)
			}
		})
	}
}
