package cmd

import (
	"context"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/internal/output"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/recommend"
)

// FixOptions are what fix needs.
type FixOptions struct {
	EditOptions
	Factory           *cli.Factory
	Policy            string // empty: all staged policies together
	Since             string
	Source            flowsFrom
	Only, Exclude     []string
	IncludeSuspicious bool
	Stage, Enforce    bool
	Yes, ExitCode     bool
	idle              string // why there can be nothing to fix
}

// NewCmdFix is "netpol fix".
func NewCmdFix(f *cli.Factory, runF func(*FixOptions) error) *cobra.Command {
	opts := &FixOptions{Factory: f, EditOptions: newEditOptions(f)}
	cmd := &cobra.Command{
		Use:   "fix [POLICY]",
		Short: "Find the smallest edits by which what was seen stays allowed",
		Long: `Find for each flow that netpol report lists as blocked the smallest edit that
allows it: a port or a peer more in an Allow rule, a rule more in a policy, or a
new policy; at both ends where both refuse it, and in the tier that refuses it.
Policies are extended only if they select just that workload and have rules.

What a rule refuses by name is left to a person, and so are flows that somebody
should look at first (--include-suspicious fixes these too).

The edits are printed as a patch. --stage stages them: an enforced policy is
extended in a staged copy. --enforce puts them in force, but a policy that is
staged is extended as such. Each flow is asked about on a terminal; elsewhere
that takes --yes. Edits that would block other traffic that was seen are
refused. On stderr is what the model says of the edits, and what else they let
in.`,
		Example: `  netpol fix
  netpol fix default-deny --ns vote
  netpol fix --only from=vote/worker,to=vote/db --stage --yes`,
		Args: atMostOneArg,
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.Policy = strings.Join(args, "")
			if runF != nil {
				return runF(opts)
			}
			return fixRun(cmd.Context(), opts)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&opts.Since, "since", "", sinceHelp)
	flags.StringArrayVar(&opts.Only, "only", nil, "fix only these flows: from=END,to=END,port=[PROTOCOL/]PORT, any of them; may be repeated")
	flags.StringArrayVar(&opts.Exclude, "exclude", nil, "do not fix these flows, written in the same way; may be repeated")
	flags.BoolVar(&opts.IncludeSuspicious, "include-suspicious", false, "fix flows too that somebody should look at first")
	flags.BoolVar(&opts.Stage, "stage", false, "make the edits as staged policies")
	flags.BoolVar(&opts.Enforce, "enforce", false, "make the edits and put them in force")
	flags.BoolVarP(&opts.Yes, "yes", "y", false, "with --stage or --enforce: do not ask")
	flags.BoolVar(&opts.ExitCode, "exit-code", false, "exit code 1 if anything would be blocked even with the edits, or can't be judged")
	opts.Source.addTo(cmd)
	opts.addFlags(cmd)
	opts.addForce(cmd)
	completeArg(cmd, f, policyNames(f, stagedKinds), stagedKinds...)
	return cmd
}

// check refuses flags that do not go together.
func (o *FixOptions) check() error {
	writes := o.Stage || o.Enforce
	switch {
	case o.Stage && o.Enforce:
		return cli.Usage("", "--stage and --enforce can't be given together")
	case o.DryRun.on() && !writes:
		return cli.Usage("", "--dry-run is for --stage and --enforce; without them nothing is written anyway")
	case o.Yes && !writes:
		return cli.Usage("", "--yes is for --stage and --enforce; without them nothing is asked")
	case o.ForceConflicts && !writes:
		return cli.Usage("", "--force-conflicts is for --stage and --enforce")
	case (o.Wait.given("wait") || o.Wait.given("timeout")) && !writes:
		return cli.Usage("", "--wait and --timeout are for --stage and --enforce")
	case o.Format == output.Name && !writes:
		return cli.Usage("-o json", "-o name is for --stage and --enforce")
	}
	return nil
}

func fixRun(ctx context.Context, opts *FixOptions) error {
	if err := opts.check(); err != nil {
		return err
	}
	ev, req, err := opts.request(ctx)
	if err != nil {
		return err
	}
	switch {
	case len(ev.flows) == 0:
		opts.idle = "nothing was observed"
	case !slices.ContainsFunc(ev.snap.Policies, func(p *policy.Policy) bool { return p.Kind.Staged() }):
		opts.idle = "nothing is staged"
	}
	res := recommend.Fix(*req)
	if opts.Stage || opts.Enforce {
		if res, err = opts.choose(*req, res); err != nil {
			return err
		}
	}
	patches, err := newPatches(ctx, ev.store, res)
	if err != nil {
		return err
	}
	if opts.Stage || opts.Enforce {
		err = opts.make(ctx, res, patches)
	} else {
		err = opts.show(res, patches, newCoverageReport(ev.coverage))
	}
	if err != nil || !opts.ExitCode {
		return err
	}
	return cli.Answer(res.Proof.Remaining+res.Proof.Undecided == 0 && len(ev.unjudged()) == 0)
}
