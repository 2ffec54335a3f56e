package cmd

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/netpol-project/netpol/internal/output"
	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/recommend"
)

// shownPairs is how many pairs are listed before the rest is only counted.
const shownPairs = 5

// recommendReport is the JSON of recommend.
type recommendReport struct {
	output.Meta
	Coverage coverageReport   `json:"coverage"`
	Proof    proofReport      `json:"proof"`
	Items    []recommendItem  `json:"items"`
	Covered  []workloadReport `json:"covered"`
	Unseen   []workloadReport `json:"unseen"`
	Skipped  []recommendSkip  `json:"skipped"`
}

type proofReport struct {
	Observed    int               `json:"observed"`
	Allowed     int               `json:"allowed"`
	Blocked     []string          `json:"blocked"`
	Breaks      []string          `json:"breaks"`
	NotObserved []notObservedItem `json:"notObserved"`
}

type notObservedItem struct {
	Source      workloadReport `json:"source"`
	Destination workloadReport `json:"destination"`
	flow.Port
}

type recommendItem struct {
	Workloads   []workloadReport `json:"workloads"`
	Flows       int              `json:"flows"`
	Connections int64            `json:"connections"`
	Extends     bool             `json:"extends"`
	Policy      map[string]any   `json:"policy"`
}

type recommendSkip struct {
	Flow     string `json:"flow,omitempty"`
	Workload string `json:"workload,omitempty"`
	Reason   string `json:"reason"`
}

func printRecommended(opts *RecommendOptions, res *recommend.Result, objects []*unstructured.Unstructured, coverage coverageReport) error {
	p := opts.Factory.IO.Printer()
	switch opts.Format {
	case output.JSON:
		return p.Object(output.JSON, newRecommendReport(res, objects, coverage))
	case output.YAML:
		return printManifests(p, res, objects)
	}
	columns := []string{"NAMESPACE", "POLICY", "TIER", "SELECTOR", "FLOWS", "RULES"}
	t := p.Table(columns...)
	for _, r := range res.Policies {
		var rules []string
		for d, list := range r.Rules {
			if len(list) > 0 {
				rules = append(rules, fmt.Sprintf("%d %s", len(list), strings.ToLower(policy.Direction(d).String())))
			}
		}
		t.Row(r.Namespace, r.Name, r.Tier, strings.ReplaceAll(r.Selector.String(), `"`, "'"), len(r.Flows()), strings.Join(rules, ", "))
	}
	return t.Print()
}

// printManifests writes what kubectl or netpol apply would take.
func printManifests(p *output.Printer, res *recommend.Result, objects []*unstructured.Unstructured) error {
	for i, r := range res.Policies {
		if i > 0 {
			p.Printf("---\n")
		}
		if r.Base == nil {
			p.Printf("%s", r.YAML())
			continue
		}
		data, err := yaml.Marshal(objects[i].Object)
		if err != nil {
			return fmt.Errorf("%s: %w", r.Key, err)
		}
		p.Printf("# extends %s by what was seen since\n%s", r.Base.Key, data)
	}
	return nil
}

func newRecommendReport(res *recommend.Result, objects []*unstructured.Unstructured, coverage coverageReport) recommendReport {
	out := recommendReport{
		Meta: output.NewMeta("Recommendation"), Coverage: coverage,
		Proof: proofReport{
			Observed: res.Proof.Observed, Allowed: res.Proof.Allowed,
			Blocked: blockedTexts(res.Proof.Blocked), Breaks: blockedTexts(res.Proof.Breaks), NotObserved: []notObservedItem{},
		},
		Items: []recommendItem{}, Covered: workloadReports(res.Covered), Unseen: workloadReports(res.Unseen), Skipped: []recommendSkip{},
	}
	for _, n := range res.Proof.NotObserved {
		out.Proof.NotObserved = append(out.Proof.NotObserved, notObservedItem{
			Source: newWorkloadReport(n.Source), Destination: newWorkloadReport(n.Destination), Port: flow.NewPort(n.Protocol, n.Port),
		})
	}
	for i, r := range res.Policies {
		it := recommendItem{Workloads: workloadReports(r.Workloads), Extends: r.Base != nil, Policy: objects[i].Object}
		for _, o := range r.Flows() {
			it.Flows++
			it.Connections += o.Connections
		}
		out.Items = append(out.Items, it)
	}
	for _, s := range res.Skipped {
		out.Skipped = append(out.Skipped, newSkip(s))
	}
	return out
}

func newSkip(s recommend.Skipped) recommendSkip {
	if s.Flow != nil {
		return recommendSkip{Flow: flowText(s.Flow), Reason: s.Reason}
	}
	return recommendSkip{Workload: s.Workload.String(), Reason: s.Reason}
}

func workloadReports(list []policy.Workload) []workloadReport {
	out := []workloadReport{}
	for _, w := range list {
		out = append(out, newWorkloadReport(w))
	}
	return out
}

func blockedTexts(list []recommend.Blocked) []string {
	out := []string{}
	for _, b := range list {
		out = append(out, flowText(b.Flow)+", by "+hitText(newHitReport(b.By, policy.Egress)))
	}
	return out
}

// printProof says on stderr what the policies do and what they leave out.
func printProof(opts *RecommendOptions, res *recommend.Result, coverage coverageReport) {
	p := opts.Factory.IO.ErrPrinter()
	counted := "staged ones counted"
	if opts.Enforce {
		counted = "enforced ones"
	}
	if len(res.Policies) == 0 {
		p.Printf("nothing to recommend: ")
		if len(res.Covered) > 0 {
			p.Printf("policies (%s) allow already what was seen of %s\n", counted, workloadNames(res.Covered))
		} else {
			p.Printf("no flow of these workloads was %s\n", coverage.text())
		}
	}
	proof := res.Proof
	p.Printf("proof: beside a default-deny, %d of %s that %s seen would be allowed", proof.Allowed, plural(proof.Observed, "flow"), wereWas(proof.Observed))
	p.Printf(", and %d that %s not seen\n", len(proof.NotObserved), wereWas(len(proof.NotObserved)))
	for i, n := range proof.NotObserved {
		if i == shownPairs {
			p.Printf("  … and %d more (-o json lists all)\n", len(proof.NotObserved)-i)
			break
		}
		p.Printf("  not seen but allowed: %s → %s %s\n", n.Source, n.Destination, strings.ToLower(flow.PortText(n.Protocol, n.Port)))
	}
	for _, b := range blockedTexts(proof.Blocked) {
		p.Printf("  warning: would be blocked all the same: %s\n", b)
	}
	for _, s := range res.Skipped {
		skip := newSkip(s)
		p.Printf("  left out: %s: %s\n", skip.Flow+skip.Workload, skip.Reason)
	}
	if len(res.Unseen) > 0 {
		p.Printf("  nothing was seen of %s\n", workloadNames(res.Unseen))
	}
	if len(res.Policies) > 0 && len(res.Covered) > 0 {
		p.Printf("  nothing is missing for %s\n", workloadNames(res.Covered))
	}
}

func wereWas(n int) string {
	if n == 1 {
		return "was"
	}
	return "were"
}

func workloadNames(list []policy.Workload) string {
	out := make([]string, len(list))
	for i, w := range list {
		out[i] = w.String()
	}
	return strings.Join(out, ", ")
}
