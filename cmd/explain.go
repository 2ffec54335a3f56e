package cmd

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/internal/output"
	"github.com/netpol-project/netpol/pkg/connectivity"
	"github.com/netpol-project/netpol/pkg/tier"
)

// ExplainOptions are what explain needs.
type ExplainOptions struct {
	Factory     *cli.Factory
	Source      string
	Destination string
	Scope       scopeFlags
	SourcePort  uint16
	World       worldFrom
	Format      output.Format
}

// NewCmdExplain is "netpol explain".
func NewCmdExplain(f *cli.Factory, runF func(*ExplainOptions) error) *cobra.Command {
	opts := &ExplainOptions{Factory: f}
	cmd := &cobra.Command{
		Use:   "explain SOURCE DESTINATION[:PORT][/PROTOCOL]",
		Short: "Walk the tiers for one connection and name the rule that decides",
		Long: `Walk the tiers for one connection, at the source's end and at the
destination's, and name the rule that decides; for rules that did not match, the
criterion that failed and the value that it met. The exit code is 0 if the
connection is allowed and 1 if it is denied.

SOURCE and DESTINATION are
` + connectivity.TargetHelp + `

The protocol is the one that the destination declares for the port, or TCP.
Without a port it is the one that the destination declares, if it is one only;
icmp alone is a ping.`,
		Example: `  netpol explain wordpress/wordpress vote/db:5432
  netpol explain vote/vote kube-system/coredns:53/udp --pending
  netpol explain internet svc/vote/vote
  netpol explain vote/worker vote/db -f policies/ --flows flows.jsonl.zst
  netpol explain vote/worker 192.0.2.7:443 -o json`,
		Args: exactArgs("SOURCE", "DESTINATION"),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.Source, opts.Destination = args[0], args[1]
			if runF != nil {
				return runF(opts)
			}
			return explainRun(cmd.Context(), opts)
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&opts.Scope.pending, "pending", false, "as if every staged policy were enforced")
	flags.StringVar(&opts.Scope.only, "only", "", "as if this staged policy were enforced")
	flags.Uint16Var(&opts.SourcePort, "source-port", 0, "port that the source connects from; default: any that a program would get")
	flags.Bool("exit-code", false, "")
	_ = flags.MarkHidden("exit-code") // what it asked for is always so now
	opts.World.addTo(cmd)
	addDir(cmd, "judge by")
	completeFlag(cmd, f, "only", stagedNames, stagedKinds...)
	completeEnds(cmd, f)
	output.AddFlag(flags, &opts.Format, output.Text, output.JSON, output.YAML)
	return cmd
}

func explainRun(ctx context.Context, opts *ExplainOptions) error {
	target, err := connectivity.ParseTarget(opts.Destination)
	if err != nil {
		return cli.Usage("netpol explain wordpress/wordpress vote/db:5432", "%s", err)
	}
	m, err := loadModel(ctx, opts.Factory, &opts.World)
	if err != nil {
		return err
	}
	scope, err := opts.Scope.scope(m.Snapshot(), onlyOne(opts.Factory.Namespaces()))
	if err != nil {
		return err
	}
	q, err := newExplainQuestion(m, opts, target)
	if err != nil {
		return err
	}
	e := q.explain(m, scope)
	if scope == tier.Enforced() {
		e.pending = q.pending(m, &e)
	}
	p := opts.Factory.IO.Printer()
	if opts.Format.Structured() {
		err = p.Object(opts.Format, newExplainReport(&e))
	} else {
		printExplanation(p, &e)
	}
	if err != nil {
		return err
	}
	return cli.Answer(e.allowed)
}
