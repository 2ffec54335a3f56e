package cmd

import (
	"context"
	"slices"

	"github.com/spf13/cobra"

	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/internal/output"
	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/stage"
	"github.com/netpol-project/netpol/pkg/tier"
)

// ReportOptions are what report needs.
type ReportOptions struct {
	Factory  *cli.Factory
	Policy   string // empty: all staged policies together
	Pending  bool
	Since    string
	Source   flowsFrom
	ExitCode bool
	Format   output.Format
}

// impactReport is the JSON of report.
type impactReport struct {
	output.Meta
	// Scope is "policy" (one staged policy alone) or "pending" (all of them).
	Scope      string         `json:"scope"`
	Policies   []policyReport `json:"policies"`
	Namespaces []string       `json:"namespaces"` // empty: all
	Coverage   coverageReport `json:"coverage"`
	// CalicoDiffers are those of the policies that Calico's own pending verdict
	// judges otherwise; only where the flows are Calico's.
	CalicoDiffers []stage.CalicoDifference `json:"calicoDiffers,omitempty"`
	*stage.Report
}

// policyReport names a policy in JSON.
type policyReport struct {
	Kind      string `json:"kind"`
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	Tier      string `json:"tier"`
}

// NewCmdReport is "netpol report".
func NewCmdReport(f *cli.Factory, runF func(*ReportOptions) error) *cobra.Command {
	opts := &ReportOptions{Factory: f}
	cmd := &cobra.Command{
		Use:   "report [POLICY]",
		Short: "Show what staged policies would block of the traffic that was seen",
		Long: `Show every flow that was seen and that a staged policy would block: all staged
policies together, or one alone if it is named.

A flow is who connects to whom by which protocol and port, and counts once,
though both ends report it. It is judged by the policies, pods and labels of
the present: it would be blocked if it is allowed now and would not be then.
Flows that are refused already are not listed. Connections are those that
began, or were open, in the time that is covered; netpol's own probes do not
count.

Flows of Calico (--flows) are judged in the same way. Where Calico's own pending
verdict, as netpol flows shows it, judges a staged policy otherwise, a note says
so.`,
		Example: `  netpol report
  netpol report default-deny --ns vote --since 10m
  netpol report default-deny --exit-code -o json`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				opts.Policy = args[0]
			}
			if runF != nil {
				return runF(opts)
			}
			return reportRun(cmd.Context(), opts)
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&opts.Pending, "pending", false, "all staged policies together (the default if no policy is named)")
	flags.StringVar(&opts.Since, "since", "", sinceHelp)
	flags.BoolVar(&opts.ExitCode, "exit-code", false, "exit code 1 if anything would be blocked")
	opts.Source.addTo(cmd)
	output.AddFlag(flags, &opts.Format, output.Text, output.Wide, output.JSON, output.YAML)
	completeArg(cmd, f, policyNames(f, stagedKinds), stagedKinds...)
	return cmd
}

func reportRun(ctx context.Context, opts *ReportOptions) error {
	f := opts.Factory
	if opts.Policy != "" && opts.Pending {
		return cli.Usage("netpol report "+opts.Policy, "a policy's name and --pending can't be given together")
	}
	namespaces, err := namespacesOf(f)
	if err != nil {
		return err
	}
	since, err := parseSince(opts.Since, f.Now())
	if err != nil {
		return err
	}
	ev, err := gather(ctx, f, &opts.Source, flow.Filter{Namespaces: namespaces, Since: since})
	if err != nil {
		return err
	}
	doc := &impactReport{
		Meta: output.NewMeta("Report"), Scope: "pending",
		Policies: []policyReport{}, Namespaces: namespaces, Coverage: newCoverageReport(ev.coverage),
	}
	if doc.Namespaces == nil {
		doc.Namespaces = []string{}
	}
	scope := tier.Pending()
	if opts.Policy != "" {
		p, err := ev.stagedPolicy(opts.Policy, namespaces)
		if err != nil {
			return err
		}
		scope, doc.Scope, doc.Policies = tier.Only(p.Key), "policy", []policyReport{newPolicyReport(p)}
	} else {
		for _, p := range ev.snap.Policies {
			if p.Kind.Staged() && p.StagedAction != policy.StagedIgnore {
				doc.Policies = append(doc.Policies, newPolicyReport(p))
			}
		}
	}
	doc.Report = stage.Impact(ev.model, ev.flows, scope)
	if ev.calico {
		doc.CalicoDiffers = doc.differences(ev.snap)
	}
	p := f.IO.Printer()
	if opts.Format.Structured() {
		err = p.Object(opts.Format, doc)
	} else {
		err = printImpact(p, doc, opts)
	}
	if err != nil || !opts.ExitCode {
		return err
	}
	return cli.Answer(doc.Summary.Flows.WouldBlock == 0)
}

// differences are those of Calico's judgement of the policies of the report.
func (r *impactReport) differences(snap *policy.Snapshot) []stage.CalicoDifference {
	return slices.DeleteFunc(stage.CalicoDiffers(snap), func(d stage.CalicoDifference) bool {
		return !slices.ContainsFunc(r.Policies, func(p policyReport) bool {
			return p.Kind == d.Kind && p.Namespace == d.Namespace && p.Name == d.Name
		})
	})
}

func newPolicyReport(p *policy.Policy) policyReport {
	return policyReport{Kind: string(p.Kind), Namespace: p.Namespace, Name: p.Name, Tier: p.Tier}
}
