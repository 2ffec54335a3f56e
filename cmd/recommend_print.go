package cmd

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/netpol-project/netpol/internal/output"
	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/recommend"
)

func printRecommended(opts *RecommendOptions, res *recommend.Result, objects []*unstructured.Unstructured, coverage coverageReport) error {
	p := opts.Factory.IO.Printer()
	switch opts.Format {
	case output.JSON:
		return p.Object(output.JSON, newRecommendReport(res, objects, coverage))
	case output.YAML:
		return printManifests(p, res, objects)
	}
	if len(res.Policies) == 0 {
		return nil // the lines on stderr say so
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
			p.Printf("%s\n", nothingText(res, coverage))
		}
	}
	if len(res.Policies) > 0 {
		p.Printf("evidence: %s\n", coverage.text())
	}
	printAllowed(p, res, !opts.Explain)
	if opts.Explain {
		return // the rest is explained
	}
	for _, b := range blockedTexts(res.Proof.Blocked) {
		p.Printf("  warning: would be blocked all the same: %s\n", b)
	}
	for i, d := range doubtTexts(res.Proof.Doubts) {
		if i == shownBreaks {
			p.Printf("  … and %d more that can't be judged (-o json lists all)\n", len(res.Proof.Doubts)-i)
			break
		}
		p.Printf("  may be blocked by this: %s\n", d)
	}
	printLeft(p, res)
	if n := len(res.Once); n > 0 {
		p.Printf("  %s %s seen only once; --min-connections 2 leaves such out\n", plural(n, "flow"), wereWas(n))
	}
	if len(res.Unseen) > 0 {
		p.Printf("  nothing to allow was seen of %s\n", workloadNames(res.Unseen))
	}
	if len(res.Policies) > 0 && len(res.Covered) > 0 {
		p.Printf("  nothing is missing for %s\n", workloadNames(res.Covered))
	}
}

// shownPairs is how many pairs are listed before the rest is only counted, unless
// everything is to be explained.
const shownPairs = 20

// printAllowed says what is allowed, of what was seen and beside.
func printAllowed(p *output.Printer, res *recommend.Result, list bool) {
	proof := res.Proof
	p.Printf("proof: beside a default-deny, %d of %s that %s seen would be allowed", proof.Allowed, plural(proof.Observed, "flow"), wereWas(proof.Observed))
	p.Printf(", and %d that %s not seen\n", len(proof.NotObserved), wereWas(len(proof.NotObserved)))
	if !list {
		return
	}
	for i, n := range proof.NotObserved {
		if i == shownPairs {
			p.Printf("  … and %d more (-o json and --explain list all)\n", len(proof.NotObserved)-i)
			break
		}
		p.Printf("  not seen but allowed: %s\n", pairText(n))
	}
	for i, w := range proof.Wider {
		if i == shownPairs {
			p.Printf("  … and %d wider nets more (-o json and --explain list all)\n", len(proof.Wider)-i)
			break
		}
		p.Printf("  wider than what was seen: %s\n", widerText(w))
	}
}

// nothingText is why there is nothing to recommend of what nothing allows.
func nothingText(res *recommend.Result, coverage coverageReport) string {
	text := coverage.text()
	switch {
	case !strings.HasPrefix(text, "seen "):
		return text
	case slices.ContainsFunc(res.Skipped, func(s recommend.Skipped) bool { return s.Flow != nil }):
		return "all flows of these workloads are left out, " + text
	}
	return "no flow of these workloads was " + text
}

// printLeft says what no rule was written for, once for each reason.
func printLeft(p *output.Printer, res *recommend.Result) {
	excluded := 0
	for _, l := range leftByReason(res.Skipped) {
		switch l.Kind {
		case recommend.SkipExcluded:
			excluded += len(l.what)
		case recommend.SkipSuspicious:
			p.Printf("  for review: %s: %s; --include-suspicious allows it, --exclude leaves it out for good\n", l.text(), l.Reason)
		default:
			p.Printf("  left out: %s: %s\n", l.text(), l.Reason)
		}
	}
	if excluded > 0 {
		p.Printf("  %s left out by --exclude and --min-connections\n", plural(excluded, "flow"))
	}
}

// left is what is left out for one reason.
type left struct {
	recommend.Skipped
	what []string
}

func leftByReason(skipped []recommend.Skipped) []*left {
	var out []*left
	at := map[string]*left{}
	for _, s := range skipped {
		key := string(s.Kind) + s.Reason
		if at[key] == nil {
			at[key] = &left{Skipped: s}
			out = append(out, at[key])
		}
		skip := newSkip(s)
		if text := skip.Flow + skip.Workload; !slices.Contains(at[key].what, text) {
			at[key].what = append(at[key].what, text)
		}
	}
	return out
}

func (l *left) text() string {
	const shown = 3
	if len(l.what) > shown {
		return strings.Join(l.what[:shown], ", ") + fmt.Sprintf(" and %d more", len(l.what)-shown)
	}
	return strings.Join(l.what, ", ")
}

func pairText(n recommend.Pair) string {
	return n.Source.String() + " → " + n.Destination.String() + " " + strings.ToLower(flow.PortText(n.Protocol, n.Port))
}

func widerText(w recommend.Wider) string {
	what := w.Net.String()
	if w.Set.Name != "" {
		what = w.Set.String()
	}
	return fmt.Sprintf("%s of %s/%s, of which %s %s seen", what, w.Policy.Namespace, w.Policy.Name, addresses(w.Seen), wereWas(w.Seen))
}

func addresses(n int) string {
	if n == 1 {
		return "1 address"
	}
	return fmt.Sprintf("%d addresses", n)
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
