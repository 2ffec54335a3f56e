package cmd

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/internal/cluster"
	"github.com/netpol-project/netpol/internal/output"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/recommend"
	"github.com/netpol-project/netpol/pkg/recommend/dialect"
	"github.com/netpol-project/netpol/pkg/tier"
)

// dialects are what --as takes; calico is what is written anyway.
var dialects = []string{"calico", string(dialect.Kubernetes), string(dialect.Cilium)}

// dialectFlag is --as: a dialect, or as everywhere the user to act as.
type dialectFlag struct {
	typed string
	name  dialect.Name // empty: Calico's own
}

func (d *dialectFlag) addTo(cmd *cobra.Command) {
	cmd.Flags().StringVar(&d.typed, "as", "", "kubernetes or cilium: print such policies instead (anything else is the user to act as)")
	completeFlagWords(cmd, "as", dialects...)
}

// read tells dialects from users, whom the global flag is for.
func (d *dialectFlag) read(cmd *cobra.Command, f *cli.Factory) error {
	switch {
	case d.typed == "" || d.typed == "calico" || d.typed == "projectcalico.org/v3":
		return nil
	case slices.Contains(dialects, d.typed):
		d.name = dialect.Name(d.typed)
		return nil
	}
	if target, err := f.Target(); err == nil && target != cli.TargetCluster {
		return cli.Usage("--as kubernetes", "--as %q: expected %s; users to act as are a cluster's", d.typed, strings.Join(dialects, ", "))
	}
	if global := cmd.Root().PersistentFlags().Lookup("as"); global != nil {
		return global.Value.Set(d.typed)
	}
	return cli.Usage("--as kubernetes", "--as %q: expected %s", d.typed, strings.Join(dialects, ", "))
}

// dialectReport says in JSON what a dialect can't say, and what is judged
// otherwise by it.
type dialectReport struct {
	Name        string         `json:"name"`
	Observed    int            `json:"observed"`
	Alike       int            `json:"alike"`
	Differences []dialectDiff  `json:"differences"`
	Losses      []dialectLoss  `json:"losses"`
	Objects     []dialectThing `json:"objects"`
}

type dialectThing = map[string]any

type dialectDiff struct {
	Flow      string `json:"flow"`
	Direction string `json:"direction"`
	// Allowed: by what was written, and not by what was recommended.
	Allowed bool `json:"allowed"`
}

type dialectLoss struct {
	Kind      string `json:"kind"`
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	Direction string `json:"direction,omitempty"`
	Rule      int    `json:"rule"` // -1: the policy as such
	Reason    string `json:"reason"`
}

// recommendAs prints the recommendation in a dialect. Policies that are there are
// not extended: neither dialect has more to a policy than what it allows.
func recommendAs(opts *RecommendOptions, ev *evidence, req *recommend.Request) error {
	req.Mine = nil
	res := recommend.Recommend(*req)
	written := dialect.Write(opts.As.name, res.Policies, ev.snap)
	scope := tier.Pending()
	if !req.Staged {
		scope = tier.Enforced()
	}
	proof, err := dialect.Prove(opts.As.name, dialect.ProofRequest{
		Model: req.Model, Flows: req.Flows, Policies: res.Policies, Scope: scope, Directions: req.Directions,
	}, written)
	if err != nil {
		return &cli.Error{What: "what was written can't be read: " + err.Error(), Err: err}
	}
	coverage := newCoverageReport(ev.coverage)
	p := opts.Factory.IO.Printer()
	if opts.Format == output.JSON {
		return p.Object(output.JSON, newDialectRecommendation(opts, res, written, proof, coverage))
	}
	if opts.Format == output.YAML {
		err = printDialect(p, written)
	} else {
		t := p.Table("NAMESPACE", "NAME", "KIND")
		for _, u := range written.Objects {
			t.Row(u.GetNamespace(), u.GetName(), u.GetKind())
		}
		err = t.Print()
	}
	if err != nil {
		return err
	}
	printProof(opts, res, coverage)
	printDialectProof(opts, written, proof)
	return nil
}

func printDialect(p *output.Printer, written *dialect.Result) error {
	for i, u := range written.Objects {
		if i > 0 {
			p.Printf("---\n")
		}
		text, err := cluster.Render(u)
		if err != nil {
			return fmt.Errorf("%s/%s: %w", u.GetNamespace(), u.GetName(), err)
		}
		p.Printf("%s%s", written.Comments[i], text)
	}
	return nil
}

// printDialectProof says on stderr what the dialect changes.
func printDialectProof(opts *RecommendOptions, written *dialect.Result, proof *dialect.Proof) {
	p := opts.Factory.IO.ErrPrinter()
	p.Printf("as %s: %d of %s judged as by the recommendation\n", opts.As.name, proof.Alike, plural(proof.Observed, "flow"))
	for _, d := range newDialectDiffs(proof) {
		what := "refused"
		if d.Allowed {
			what = "allowed"
		}
		p.Printf("  %s here alone: %s (%s)\n", what, d.Flow, d.Direction)
	}
	for _, l := range newDialectLosses(written) {
		name := l.Name
		if l.Namespace != "" {
			name = l.Namespace + "/" + name
		}
		where := ""
		if l.Rule >= 0 {
			where = fmt.Sprintf(", %s rule %d", strings.ToLower(l.Direction), l.Rule)
		}
		p.Printf("  can't be said: %s %s%s: %s\n", l.Kind, name, where, l.Reason)
	}
}

// dialectRecommendation is a Recommendation with the dialect's objects.
type dialectRecommendation struct {
	recommendReport
	Dialect dialectReport `json:"dialect"`
}

func newDialectRecommendation(opts *RecommendOptions, res *recommend.Result, written *dialect.Result, proof *dialect.Proof, coverage coverageReport) *dialectRecommendation {
	objects := make([]*unstructured.Unstructured, len(res.Policies))
	for i, p := range res.Policies {
		objects[i], _ = p.Object(nil) // it fails only for what extends a policy
	}
	out := &dialectRecommendation{recommendReport: newRecommendReport(res, objects, coverage)}
	out.Dialect = dialectReport{
		Name: string(opts.As.name), Observed: proof.Observed, Alike: proof.Alike,
		Differences: newDialectDiffs(proof), Losses: newDialectLosses(written), Objects: []dialectThing{},
	}
	for _, u := range written.Objects {
		out.Dialect.Objects = append(out.Dialect.Objects, u.Object)
	}
	return out
}

func newDialectDiffs(proof *dialect.Proof) []dialectDiff {
	out := []dialectDiff{}
	for _, d := range proof.Differences {
		out = append(out, dialectDiff{Flow: recommend.FlowText(d.Flow), Direction: d.Direction.String(), Allowed: d.Allowed})
	}
	return out
}

func newDialectLosses(written *dialect.Result) []dialectLoss {
	out := []dialectLoss{}
	for _, l := range written.Losses {
		loss := dialectLoss{Kind: string(l.Policy.Kind), Namespace: l.Policy.Namespace, Name: l.Policy.Name, Rule: l.Rule, Reason: l.Reason}
		if l.Rule >= 0 {
			loss.Direction = policy.Direction(l.Direction).String()
		}
		out = append(out, loss)
	}
	return out
}
