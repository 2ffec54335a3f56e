package cmd

import (
	"context"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/internal/output"
	"github.com/netpol-project/netpol/pkg/stage"
)

// ReportOptions are what report needs.
type ReportOptions struct {
	Factory *cli.Factory
	Policy  string // empty: all staged policies together
	Pending bool
	By      string // a stage.GroupBy; empty: each flow for itself
	Since   string
	Least   time.Duration // that has to have been covered
	Source  flowsFrom
	// ExitCode is what exit code 1 depends on: exitReady, exitBlocked or "".
	ExitCode string
	Watch    bool
	Format   output.Format
	pace     watchPace
}

// The values of --exit-code.
const (
	exitReady   = "ready"
	exitBlocked = "blocked"
)

// defaultLeast is how long traffic has to have been seen before a policy is
// enforced by it: a day has all hours.
const defaultLeast = 24 * time.Hour

// NewCmdReport is "netpol report".
func NewCmdReport(f *cli.Factory, runF func(*ReportOptions) error) *cobra.Command {
	opts := &ReportOptions{Factory: f, pace: defaultPace()}
	cmd := &cobra.Command{
		Use:   "report [POLICY]",
		Short: "Show what staged policies would block of what was seen",
		Long: `Show every flow that was seen and that a staged policy would block: all staged
policies together (--pending, the default), or one alone if it is named.

A flow is who connects to whom by which protocol and port, and counts once,
though both ends report it. It is judged by the policies, pods and labels of the
present: it would be blocked if it is allowed now and would not be then. Flows
that are refused already are not listed; what would be allowed then has a list
of its own. Connections are those that began, or were open, in the time that is
covered; netpol's own probes do not count. A staged policy replaces the enforced
one of its name, stagedAction Delete removes that, and Ignore counts for
nothing.

Below that is what was not seen. It is ready if traffic was seen for long enough
(--min-window; from 24h on at all hours of the day), on each node that runs
selected pods, nothing was lost, and no workload that the policies select can
have been missed: a CronJob or Job that did not run, a Deployment at zero, or
one that is younger.

Flows whose verdict depends on an address that the source of flows does not tell
can't be judged: they are listed apart, as neither blocked nor unharmed, and if
they may be blocked it is not ready.

--exit-code gives exit code 1 if anything would be blocked or it is not ready;
--exit-code=blocked looks at what would or may be blocked alone.

--watch shows it anew as policies and flows change, until Ctrl-C: with -o json a
document for each change, in a pipe a line.

Flows of Calico (--flows) are judged in the same way. Where Calico's own pending
verdict, as netpol flows shows it, judges a staged policy otherwise, a note says
so.`,
		Example: `  netpol report
  netpol report default-deny --ns vote --since 10m
  netpol report --by namespace
  netpol report default-deny --watch
  netpol report default-deny --exit-code -o json
  netpol report --dir manifests --flows flows.log -o sarif > netpol.sarif`,
		Args: atMostOneArg,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				opts.Policy = args[0]
			}
			if err := opts.check(); err != nil {
				return err
			}
			if runF != nil {
				return runF(opts)
			}
			return reportRun(cmd.Context(), opts)
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&opts.Pending, "pending", false, "all staged policies together (the default if no policy is named)")
	flags.StringVar(&opts.By, "by", "", "totals of flows that have this in common: workload, namespace, policy or port")
	flags.StringVar(&opts.Since, "since", "", sinceHelp)
	cli.SpanVar(flags, &opts.Least, "min-window", defaultLeast, "how long traffic has to have been seen to be ready (12h, 7d)")
	flags.StringVar(&opts.ExitCode, "exit-code", "", "exit code 1 if anything would be blocked, or it is not ready; =blocked: only if it would or may be blocked")
	flags.Lookup("exit-code").NoOptDefVal = exitReady
	flags.BoolVarP(&opts.Watch, "watch", "w", false, "show it anew as policies and flows change")
	opts.Source.addTo(cmd)
	output.AddFlag(flags, &opts.Format, output.Text, output.Wide, output.JSON, output.YAML, output.JUnit, output.SARIF, output.Markdown)
	completeFlagWords(cmd, "by", "workload", "namespace", "policy", "port")
	completeFlagWords(cmd, "exit-code", exitReady, exitBlocked)
	completeArg(cmd, f, policyNames(f, stagedKinds), stagedKinds...)
	return cmd
}

// check refuses what does not fit together.
func (o *ReportOptions) check() error {
	if o.Policy != "" && o.Pending {
		return cli.Usage("netpol report "+o.Policy, "a policy's name and --pending can't be given together")
	}
	if o.By != "" {
		if _, err := stage.ParseGroupBy(o.By); err != nil {
			return cli.Usage("netpol report --by namespace", "--by %v", err)
		}
	}
	if !slices.Contains([]string{"", exitReady, exitBlocked}, o.ExitCode) {
		return cli.Usage("netpol report --exit-code", "--exit-code=%s: expected ready (the default) or blocked", o.ExitCode)
	}
	if o.Least < 0 {
		return cli.Usage("netpol report --min-window 24h", "--min-window %s: expected a time such as 12h or 7d, 0 or more", o.Least)
	}
	if o.Watch {
		return o.watchable()
	}
	return nil
}

func reportRun(ctx context.Context, opts *ReportOptions) error {
	if opts.Watch {
		return reportWatch(ctx, opts)
	}
	doc, err := readReport(ctx, opts)
	if err != nil {
		return err
	}
	if err := doc.print(opts); err != nil {
		return err
	}
	return cli.Answer(doc.passes(opts.ExitCode))
}

// print writes the report in the format asked for.
func (r *impactReport) print(opts *ReportOptions) error {
	p := opts.Factory.IO.Printer()
	switch opts.Format {
	case output.JSON, output.YAML:
		return p.Object(opts.Format, r)
	case output.JUnit:
		return p.JUnit(r.junit()...)
	case output.SARIF:
		return r.sarif(p)
	case output.Markdown:
		r.markdown(p)
		return nil
	}
	return printImpact(p, r, opts)
}

// passes says whether the answer is yes.
func (r *impactReport) passes(exitCode string) bool {
	switch exitCode {
	case exitBlocked:
		return r.Summary.Flows.WouldBlock == 0 && len(r.Refused)+len(r.MayBlock()) == 0 && len(r.Unjudged) == 0
	case exitReady:
		return r.Summary.Flows.WouldBlock == 0 && len(r.Refused) == 0 && r.Readiness.Ready
	}
	return true
}
