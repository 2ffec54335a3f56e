package cmd

import (
	"context"
	"slices"

	"github.com/spf13/cobra"

	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/internal/output"
	"github.com/netpol-project/netpol/pkg/flow"
)

// FlowsOptions are what flows needs.
type FlowsOptions struct {
	Factory  *cli.Factory
	From     string
	To       string
	Ends     ends
	Port     string
	Protocol string
	Verdict  string
	Pending  string
	Since    string
	Until    string
	Last     int
	By       string
	Follow   bool
	Probes   bool
	Source   flowsFrom
	Format   output.Format
}

// NewCmdFlows is "netpol flows".
func NewCmdFlows(f *cli.Factory, runF func(*FlowsOptions) error) *cobra.Command {
	opts := &FlowsOptions{Factory: f}
	cmd := &cobra.Command{
		Use:   "flows",
		Short: "Show the connections that were seen, and what was decided",
		Long: `Show the connections that were seen, summed up by source, destination, port and
verdict: where that changed, there is a row for each (with -o wide, also where
only the rule that decided changed). A connection between two pods shows twice:
as the source's egress (out) and as the destination's ingress (in). "allow→deny"
is allowed now, and would be denied if every staged policy were enforced.

--from, --to and what begins with --from- and --to- pick one end, the same names
without it either end; a flow must fit all that are given. Flows are kept by
workload, so --pod means the workload of that pod. The port is the
destination's: source ports are not kept.

With --by, flows are summed up by where they come from and go to.

With -o wide a terminal has the columns that it has room for, and it is said
which are missing; a pipe has all.

With --follow, what comes in is shown as it comes, until Ctrl-C; with -o json an
item a line.

With --flows, they are those of a recording (netpol flows record), or Calico's:
flow logs from a file or from standard input, or those of a Goldmane. What was
decided is what was seen. The pending verdict is judged as by netpol report, by
the policies of --dir, of the lab or of the cluster; where there is none of
these it is that of the time of recording. Calico's flows have Calico's own.`,
		Example: `  netpol flows --ns vote
  netpol flows --to vote/db --verdict deny --since 10m
  netpol flows --from-label app=web --to-ip 192.0.2.0/24 --pending deny --last 20
  netpol flows --by namespace --since 1h
  netpol flows --follow -o json
  netpol flows --dir manifests/ --flows flows.log -o wide`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 && opts.Follow {
				return cli.Usage("netpol flows --flows FILE --dir "+cli.ShellWord(args[0]), "-f of %s is --follow and takes no directory: %s", cmd.CommandPath(), args[0])
			}
			return exactArgs()(cmd, args)
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Flags().Changed("port") && cmd.Flags().Changed("to-port") {
				return cli.Usage("netpol flows --port 443", "--port and --to-port are the same: give one of them")
			}
			if runF != nil {
				return runF(opts)
			}
			return flowsRun(cmd.Context(), opts)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&opts.From, "from", "", "only from this workload (NAME or NAMESPACE/NAME), node or address")
	flags.StringVar(&opts.To, "to", "", "only to this workload (NAME or NAMESPACE/NAME), node or address")
	opts.Ends.addTo(cmd, f)
	flags.StringVar(&opts.Port, "port", "", "only to this port")
	flags.StringVar(&opts.Port, "to-port", "", "the same as --port")
	flags.StringVar(&opts.Protocol, "protocol", "", "only this protocol: TCP, UDP, ICMP, … or a number")
	flags.StringVar(&opts.Verdict, "verdict", "", "only what was decided so: allow or deny")
	flags.StringVar(&opts.Pending, "pending", "", "only what all staged policies together would decide so: allow or deny")
	flags.StringVar(&opts.Since, "since", "", sinceHelp)
	flags.StringVar(&opts.Until, "until", "", "only what was seen until: how long ago, or a time (RFC 3339); default: now")
	flags.IntVar(&opts.Last, "last", 0, "only so many, those that were seen last")
	flags.StringVar(&opts.By, "by", "", "sum up by namespace or by workload: connections and bytes a second")
	flags.BoolVarP(&opts.Follow, "follow", "f", false, "show what comes in as it comes")
	flags.BoolVar(&opts.Probes, "include-probes", false, "netpol's own test connections too")
	opts.Source.addTo(cmd)
	for _, name := range []string{"from", "to"} {
		completeFlag(cmd, f, name, allWorkloads, workloadKinds...)
	}
	output.AddFlag(flags, &opts.Format, output.Text, output.Wide, output.JSON, output.YAML)
	cmd.AddCommand(newCmdFlowsRecord(f, nil))
	return cmd
}

// filter reads the flags.
func (o *FlowsOptions) filter() (flow.Filter, error) {
	const try = "netpol flows --help"
	out := flow.Filter{
		From: o.From, To: o.To, Workload: o.Ends.either.workload, IncludeProbes: o.Probes,
		FromNamespace: o.Ends.from.namespace, ToNamespace: o.Ends.to.namespace,
	}
	var err error
	if out.Namespaces, err = namespacesOf(o.Factory); err != nil {
		return out, err
	}
	if out.Since, err = parseSince(o.Since, o.Factory.Now()); err != nil {
		return out, err
	}
	if out.Until, err = parseUntil(o.Until, o.Factory.Now()); err != nil {
		return out, err
	}
	if out.Port, err = parsePort(o.Port); err != nil {
		return out, err
	}
	if o.Protocol != "" {
		p, ok := flow.ParseProtocol(o.Protocol)
		if !ok {
			return out, cli.Usage(try, "--protocol %q: expected TCP, UDP, ICMP, ICMPv6, SCTP, UDPLite or a number from 1 to 255", o.Protocol)
		}
		out.Protocol = p
	}
	if o.Verdict != "" {
		a, ok := flow.ParseAction(o.Verdict)
		if !ok {
			return out, cli.Usage(try, "--verdict %q: expected allow or deny", o.Verdict)
		}
		out.Action = a
	}
	if o.Pending != "" {
		a, ok := flow.ParseAction(o.Pending)
		if !ok {
			return out, cli.Usage(try, "--pending %q: expected allow or deny", o.Pending)
		}
		out.Pending = a
	}
	return out, o.check(out)
}

// check refuses what does not go together.
func (o *FlowsOptions) check(f flow.Filter) error {
	const try = "netpol flows --help"
	switch {
	case o.By != "" && o.By != "namespace" && o.By != "workload":
		return cli.Usage(try, "--by %q: expected namespace or workload", o.By)
	case o.Last < 0:
		return cli.Usage(try, "--last %d: expected a number, 1 or more", o.Last)
	case !f.Until.IsZero() && f.Until.Before(f.Since):
		return cli.Usage(try, "--until is before --since")
	case o.Follow && (o.By != "" || o.Last > 0 || o.Until != ""):
		return cli.Usage(try, "--follow has no end: --by, --last and --until can't be given with it")
	case o.By != "" && o.Format == output.Wide:
		return cli.Usage(try, "--by has no -o wide")
	}
	return nil
}

func flowsRun(ctx context.Context, opts *FlowsOptions) error {
	filter, err := opts.filter()
	if err != nil {
		return err
	}
	if opts.Follow {
		return followFlows(ctx, opts, filter)
	}
	ev, whose, err := opts.gather(ctx, filter)
	if err != nil {
		return err
	}
	fits, err := opts.Ends.read(ev.world)
	if err != nil {
		return err
	}
	ev.flows = slices.DeleteFunc(ev.flows, func(f flow.Flow) bool { return !fits(&f) })
	if len(ev.flows) == 0 {
		if err := opts.knownPeers(ev.snap); err != nil {
			return err
		}
	}
	ev.flows = lastOf(ev.flows, opts.Last)
	opts.notePending(whose, ev.flows)
	if opts.By != "" {
		return flowsMatrix(ev, opts)
	}
	doc := flowsReport{Meta: output.NewMeta("FlowList"), Coverage: newCoverageReport(ev.coverage), Pending: whose, Items: []flowItem{}}
	for i := range ev.flows {
		doc.Items = append(doc.Items, newFlowItem(&ev.flows[i]))
		doc.Summary.Connections += ev.flows[i].Connections
	}
	doc.Summary.Flows = len(doc.Items)
	p := opts.Factory.IO.Printer()
	if opts.Format.Structured() {
		return p.Object(opts.Format, doc)
	}
	if opts.Format == output.Text {
		doc.Items = mergeAlike(doc.Items)
	}
	doc.Items = slices.DeleteFunc(doc.Items, func(it flowItem) bool { return it.empty() })
	if err := printFlows(p, &doc, opts); err != nil {
		return err
	}
	opts.Factory.IO.ErrPrinter().Printf("%s, %s\n", plural(len(doc.Items), "row"), doc.Coverage.text())
	return nil
}

// flowsMatrix is the answer of flows --by.
func flowsMatrix(ev *evidence, opts *FlowsOptions) error {
	doc := newFlowMatrix(ev.flows, opts.By, ev.coverage)
	p := opts.Factory.IO.Printer()
	if opts.Format.Structured() {
		return p.Object(opts.Format, doc)
	}
	if err := printFlowMatrix(p, &doc); err != nil {
		return err
	}
	opts.Factory.IO.ErrPrinter().Printf("%s, %s\n", plural(len(doc.Items), "row"), doc.Coverage.text())
	return nil
}
