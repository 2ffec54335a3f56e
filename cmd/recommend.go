package cmd

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/internal/output"
	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/recommend"
)

// RecommendOptions are what recommend needs.
type RecommendOptions struct {
	Factory   *cli.Factory
	Workloads []string
	Since     string
	Source    flowsFrom
	Tier      string
	Rules     recommendRules
	Keep      string
	Stage     bool
	Enforce   bool
	Force     bool
	Explain   bool
	As        dialectFlag
	DryRun    dryRun
	Format    output.Format
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
seen. Only what no policy's rules allow yet is written; a policy that recommend
wrote before is extended, others are never touched. DNS is allowed over UDP and
TCP. What comes from a pod's own node needs no rule.

A policy has both types, Ingress and Egress: what was not seen is refused, also
for a workload that was never seen to connect anywhere. Flows that are refused
now are left out, unless --include-denied is given, and so are those that
somebody should look at first: scans, plaintext to the internet, what crosses
namespaces marked netpol.dev/sensitive=true, what was seen once and not again.

The policies are printed; --stage writes them as staged ones, --enforce puts
them in force, --keep writes them into files (with --enforce as enforced ones)
and keeps what people wrote there: comments, other rules, order. Written twice
from the same flows, nothing changes.

--explain tells of each rule why it is there and what else it lets in. On stderr
is what the model proves: whether every flow that was seen is allowed beside a
default-deny, and what else is. All of it is in -o json.`,
		Example: `  netpol recommend --ns vote
  netpol recommend --ns vote --workload redis --explain
  netpol recommend --ns vote --workload redis --enforce
  netpol recommend --ns vote --keep policies/
  netpol recommend --ns vote --as kubernetes | kubectl apply --dry-run=server -f -
  netpol recommend -A --since 7d --exclude from=vote/worker,to=192.0.2.0/24 --stage`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			opts.FormatGiven = cmd.Flags().Changed("output")
			if err := opts.As.read(cmd, f); err != nil {
				return err
			}
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
	flags.StringVar(&opts.Keep, "keep", "", "write into this file or directory of policies, and keep what people wrote there")
	flags.BoolVar(&opts.Stage, "stage", false, "write staged policies")
	flags.BoolVar(&opts.Enforce, "enforce", false, "put the policies in force")
	flags.BoolVar(&opts.Force, "force", false, "with --enforce: even if they would block a flow that was seen")
	flags.BoolVar(&opts.Explain, "explain", false, "tell of each rule why it is there, instead of manifests")
	opts.Rules.addTo(cmd)
	opts.As.addTo(cmd)
	opts.Source.addTo(cmd)
	opts.DryRun.addTo(cmd)
	completeFlag(cmd, f, "workload", allWorkloads, workloadKinds...)
	output.AddFlag(flags, &opts.Format, output.YAML, output.JSON, output.Text, output.Wide)
	return cmd
}

func recommendRun(ctx context.Context, opts *RecommendOptions) error {
	f := opts.Factory
	if err := opts.check(); err != nil {
		return err
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
	// the policies would break. They are of the targets' namespaces and judge
	// nothing that has no end there.
	opts.Source.scope = namespaces
	ev, err := gather(ctx, f, &opts.Source, flow.Filter{Since: since})
	if err != nil {
		return err
	}
	req, err := recommendRequest(ctx, opts, ev, namespaces)
	if err != nil {
		return err
	}
	store := ev.store
	if opts.Keep != "" {
		if store, err = keepIn(ctx, opts.Keep, ev, req); err != nil {
			return err
		}
	}
	if opts.As.name != "" {
		return recommendAs(opts, ev, req)
	}
	res := recommend.Recommend(*req)
	changes, objects, err := recommendChanges(ctx, store, res)
	if err != nil {
		return err
	}
	coverage := newCoverageReport(ev.coverage)
	switch {
	case opts.Keep != "":
		err = writeKept(ctx, opts, store, changes)
	case opts.Enforce && !opts.Force && len(res.Proof.Breaks)+len(res.Proof.Doubts) > 0:
		return refuseBreaks(res)
	case opts.Stage || opts.Enforce:
		err = writeRecommended(ctx, opts, res, changes)
	case opts.Explain:
		err = printExplained(f.IO.Printer(), res)
	default:
		err = printRecommended(opts, res, objects, coverage)
	}
	if err != nil {
		return err
	}
	printProof(opts, res, coverage)
	return nil
}
