package cmd

import (
	"context"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/internal/cluster"
	"github.com/netpol-project/netpol/internal/output"
	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/recommend"
)

// RecommendOptions are what recommend needs.
type RecommendOptions struct {
	Factory       *cli.Factory
	Workloads     []string
	Since         string
	Source        flowsFrom
	Tier          string
	Stage         bool
	Enforce       bool
	Force         bool
	IncludeDenied bool
	DryRun        dryRun
	Format        output.Format
	// FormatGiven: -o was typed; else what is written is told in words.
	FormatGiven bool
}

// NewCmdRecommend is "netpol recommend".
func NewCmdRecommend(f *cli.Factory, runF func(*RecommendOptions) error) *cobra.Command {
	opts := &RecommendOptions{Factory: f}
	cmd := &cobra.Command{
		Use:   "recommend",
		Short: "Write the policies that allow what was seen, and nothing else",
		Long: `Write for each workload the narrowest policy that allows the traffic that was
seen, with the evidence as comments. Only what no policy's rules allow yet is
written; a policy that recommend wrote before is extended, others are never
touched. DNS is allowed over UDP and TCP. What comes from a pod's own node needs
no rule.

A policy has both types, Ingress and Egress: what was not seen is refused, also
for a workload that was never seen to connect anywhere. Flows that are refused
now are left out, unless --include-denied is given.

The policies are printed; --stage writes them as staged ones, --enforce puts
them in force. On stderr is what the model proves of them: whether every flow
that was seen is allowed beside a default-deny, and what else is.`,
		Example: `  netpol recommend --ns vote
  netpol recommend --ns vote --workload redis --enforce
  netpol recommend -A --since 7d --stage`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			opts.FormatGiven = cmd.Flags().Changed("output")
			if runF != nil {
				return runF(opts)
			}
			return recommendRun(cmd.Context(), opts)
		},
	}
	flags := cmd.Flags()
	flags.StringSliceVar(&opts.Workloads, "workload", nil, "only for this workload (NAME or NAMESPACE/NAME)")
	flags.StringVar(&opts.Since, "since", "", sinceHelp)
	flags.StringVar(&opts.Tier, "tier", "default", "tier of the new policies")
	flags.BoolVar(&opts.Stage, "stage", false, "write staged policies")
	flags.BoolVar(&opts.Enforce, "enforce", false, "put the policies in force")
	flags.BoolVar(&opts.Force, "force", false, "with --enforce: even if they would block a flow that was seen")
	flags.BoolVar(&opts.IncludeDenied, "include-denied", false, "recommend flows too that are refused now")
	opts.Source.addTo(cmd)
	opts.DryRun.addTo(cmd)
	completeFlag(cmd, f, "workload", allWorkloads, workloadKinds...)
	output.AddFlag(flags, &opts.Format, output.YAML, output.JSON, output.Text, output.Wide)
	return cmd
}

func recommendRun(ctx context.Context, opts *RecommendOptions) error {
	f := opts.Factory
	switch {
	case opts.Stage && opts.Enforce:
		return cli.Usage("", "--stage and --enforce can't be given together")
	case opts.DryRun.on() && !opts.Stage && !opts.Enforce:
		return cli.Usage("", "--dry-run is for --stage and --enforce; without them nothing is written anyway")
	case opts.Force && !opts.Enforce:
		return cli.Usage("", "--force is for --enforce only")
	}
	namespaces, err := namespacesOf(f)
	if err != nil {
		return err
	}
	since, err := parseSince(opts.Since, f.Now())
	if err != nil {
		return err
	}
	// All flows, not only those of the targets: the proof looks at what else
	// the policies would break.
	ev, err := gather(ctx, f, &opts.Source, flow.Filter{Since: since})
	if err != nil {
		return err
	}
	req, err := recommendRequest(ctx, opts, ev, namespaces)
	if err != nil {
		return err
	}
	res := recommend.Recommend(*req)
	changes, objects, err := recommendChanges(ctx, ev.store, res)
	if err != nil {
		return err
	}
	if opts.Enforce && !opts.Force && len(res.Proof.Breaks) > 0 {
		return refuseBreaks(res)
	}
	if opts.Stage || opts.Enforce {
		err = writeRecommended(ctx, opts, res, changes)
	} else {
		err = printRecommended(opts, res, objects, newCoverageReport(ev.coverage))
	}
	if err != nil {
		return err
	}
	printProof(opts, res, newCoverageReport(ev.coverage))
	return nil
}

// writeRecommended makes the edits and returns when they are in force.
func writeRecommended(ctx context.Context, opts *RecommendOptions, res *recommend.Result, changes []cluster.Change) error {
	edit := newEditOptions(opts.Factory)
	edit.DryRun, edit.Format = opts.DryRun, output.Text
	if opts.FormatGiven && opts.Format.Structured() {
		edit.Format = opts.Format
	}
	words := map[policy.Key]string{}
	for _, p := range res.Policies {
		words[p.Key] = "staged"
		if opts.Enforce {
			words[p.Key] = "enforced"
		}
		if p.Base != nil {
			words[p.Key] += " with more rules"
		}
		if p.Drop != (policy.Key{}) {
			words[p.Drop] = silent
		}
	}
	if err := edit.change(ctx, changes, words); err != nil {
		return err
	}
	edit.notEnforced()
	return nil
}

// recommendChanges are the edits, and the objects one for each policy.
func recommendChanges(ctx context.Context, store cluster.Store, res *recommend.Result) ([]cluster.Change, []*unstructured.Unstructured, error) {
	var changes []cluster.Change
	var objects []*unstructured.Unstructured
	for _, p := range res.Policies {
		var base *unstructured.Unstructured
		if p.Base != nil {
			var err error
			if base, err = store.Get(ctx, p.Base.Key); err != nil {
				return nil, nil, changeError(err)
			}
		}
		object, err := p.Object(base)
		if err != nil {
			return nil, nil, err
		}
		objects = append(objects, object)
		// A policy that somebody else makes meanwhile is not overwritten.
		fresh := p.Base == nil || p.Base.Key != p.Key
		changes = append(changes, cluster.Change{Object: object, IfAbsent: fresh})
		if p.Drop != (policy.Key{}) {
			changes = append(changes, cluster.Change{Delete: p.Drop})
		}
	}
	return changes, objects, nil
}

func refuseBreaks(res *recommend.Result) error {
	var where []string
	for _, b := range res.Proof.Breaks {
		where = append(where, flowText(b.Flow)+", by "+hitText(newHitReport(b.By, policy.Egress)))
	}
	for _, s := range res.Skipped {
		if s.Flow != nil {
			where = append(where, "no rule for "+flowText(s.Flow)+": "+s.Reason)
		}
	}
	return cli.Refuse("enforcing the recommendation would block "+plural(len(res.Proof.Breaks), "flow")+" that was seen",
		where, "netpol recommend … --stage, then look at netpol report; or --force")
}

// flowText is a flow on one line.
func flowText(o *flow.Observed) string {
	return o.Source.String() + " → " + o.Destination.String() + " " + strings.ToLower(flow.PortText(o.Protocol, o.Port))
}
