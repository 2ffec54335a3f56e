package cmd

import (
	"context"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
)

// RecordOptions are what flows record needs.
type RecordOptions struct {
	Factory *cli.Factory
	Output  string
	For     time.Duration
	Follow  bool
	Since   string
	Probes  bool
	Source  flowsFrom
}

// newCmdFlowsRecord is "netpol flows record".
func newCmdFlowsRecord(f *cli.Factory, runF func(*RecordOptions) error) *cobra.Command {
	opts := &RecordOptions{Factory: f}
	cmd := &cobra.Command{
		Use:   "record",
		Short: "Keep flows in a file, with what is needed to judge them later",
		Long: `Keep flows in a file, with the labels, ports and addresses that are needed to
judge them later: what there is now; with --for, what comes in that time; with
--follow, what comes until Ctrl-C. Every command that looks at flows reads the
file by --flows, without a cluster or a lab if -f names a directory of policies.

The file is packed as its name says: .zst, .gz, or neither. It is called
FILE.partial until it is whole; such a file is readable as far as it goes. With
-o - it goes to standard output, not packed.

It says who talks to whom, by namespaces, names, labels and addresses, but has
no policy, annotation, image, environment or payload. With -n it has the flows
of those namespaces, and of others only what these flows touch.`,
		Example: `  netpol flows record -o flows.jsonl.zst
  netpol flows record -o flows.jsonl.zst --for 1h -n vote
  netpol --context prod flows record -o - | netpol report --flows - -f policies/
  netpol report --flows flows.jsonl.zst -f policies/`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if runF != nil {
				return runF(opts)
			}
			return recordRun(cmd.Context(), opts)
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&opts.Output, "output", "o", "", "the file: FILE.jsonl.zst, FILE.jsonl.gz or FILE.jsonl; - for standard output")
	cli.SpanVar(flags, &opts.For, "for", 0, "record what comes in for so long (1h, 7d)")
	flags.BoolVarP(&opts.Follow, "follow", "F", false, "record what comes in until Ctrl-C")
	flags.StringVar(&opts.Since, "since", "", sinceHelp)
	flags.BoolVar(&opts.Probes, "include-probes", false, "netpol's own test connections too")
	opts.Source.addTo(cmd)
	return cmd
}

func (o *RecordOptions) filter() (flow.Filter, error) {
	const try = "netpol flows record --help"
	out := flow.Filter{IncludeProbes: o.Probes}
	switch {
	case o.Output == "":
		return out, cli.Usage("netpol flows record -o flows.jsonl.zst", "-o is missing: a recording needs a file")
	case o.For < 0:
		return out, cli.Usage(try, "--for %s: expected a time such as 1h", o.For)
	case o.For > 0 && o.Follow:
		return out, cli.Usage(try, "--for and --follow can't be given together")
	case (o.For > 0 || o.Follow) && o.Source.isFile():
		return out, cli.Usage("netpol flows record -o "+cli.ShellWord(o.Output), "--for and --follow: flows in a file do not change")
	}
	var err error
	if out.Namespaces, err = namespacesOf(o.Factory); err != nil {
		return out, err
	}
	out.Since, err = parseSince(o.Since, o.Factory.Now())
	return out, err
}

func recordRun(ctx context.Context, opts *RecordOptions) error {
	filter, err := opts.filter()
	if err != nil {
		return err
	}
	w, source, err := openFlows(ctx, opts.Factory, &opts.Source, filter)
	if err != nil {
		return err
	}
	r := &flowRecorder{opts: opts, filter: filter, source: source, world: w, ends: map[policy.Workload]bool{}}
	if opts.For > 0 || opts.Follow {
		return r.follow(ctx)
	}
	return r.list(ctx)
}

// namespaces are those whose flows are recorded, none for all: those asked for,
// as far as the source has them.
func (r *flowRecorder) namespaces(c flow.Coverage) []string {
	switch asked := r.filter.Namespaces; {
	case len(asked) == 0:
		return c.Namespaces
	case len(c.Namespaces) == 0:
		return asked
	default:
		return slices.DeleteFunc(slices.Clone(asked), func(ns string) bool { return !slices.Contains(c.Namespaces, ns) })
	}
}
