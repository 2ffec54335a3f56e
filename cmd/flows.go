package cmd

import (
	"context"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/internal/output"
	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/stage"
)

// FlowsOptions are what flows needs.
type FlowsOptions struct {
	Factory  *cli.Factory
	From     string
	To       string
	Workload string
	Port     string
	Protocol string
	Verdict  string
	Since    string
	Follow   bool
	Probes   bool
	Source   flowsFrom
	Format   output.Format
}

// flowsReport is the JSON of flows; with --follow there is a flowItem a line.
type flowsReport struct {
	output.Meta
	Coverage coverageReport `json:"coverage"`
	Summary  flowsSummary   `json:"summary"`
	Items    []flowItem     `json:"items"`
}

type flowsSummary struct {
	Flows       int   `json:"flows"`
	Connections int64 `json:"connections"` // of both ends, as each reports
}

// flowItem is one flow as one end reports it.
type flowItem struct {
	Source      stage.Peer `json:"source"`
	Destination stage.Peer `json:"destination"`
	flow.Port
	Service   string     `json:"service"`
	Direction string     `json:"direction"`
	Verdict   string     `json:"verdict"` // allow or deny
	By        *hitReport `json:"by,omitempty"`
	// Logs are the Log rules that were passed before that.
	Logs           []hitReport `json:"logs,omitempty"`
	PendingVerdict string      `json:"pendingVerdict"`
	PendingBy      *hitReport  `json:"pendingBy,omitempty"`
	// Trace and PendingTrace are all hits on the way, where the source of flows
	// tells them.
	Trace        []stepReport `json:"trace,omitempty"`
	PendingTrace []stepReport `json:"pendingTrace,omitempty"`
	Connections  int64        `json:"connections"`
	Completed    int64        `json:"completed"`
	Live         int64        `json:"live"`
	PacketsIn    int64        `json:"packetsIn"`
	PacketsOut   int64        `json:"packetsOut"`
	BytesIn      int64        `json:"bytesIn"`
	BytesOut     int64        `json:"bytesOut"`
	FirstSeen    time.Time    `json:"firstSeen"`
	LastSeen     time.Time    `json:"lastSeen"`
	Probe        bool         `json:"probe,omitempty"`
}

// NewCmdFlows is "netpol flows".
func NewCmdFlows(f *cli.Factory, runF func(*FlowsOptions) error) *cobra.Command {
	opts := &FlowsOptions{Factory: f}
	cmd := &cobra.Command{
		Use:   "flows",
		Short: "Show the connections that were seen, and what was decided about them",
		Long: `Show the connections that were seen, summed up by source, destination, port and
verdict: where that changed, there is a row for each (with -o wide, also where
only the rule that decided changed). A connection between two pods shows twice:
as the source's egress (out) and as the destination's ingress (in). "allow→deny"
is allowed now, and would be denied if every staged policy were enforced.

With --follow, what comes in is shown as it comes, until Ctrl-C.

With --flows, they are Calico's: flow logs from a file or from standard input, or
those of a Goldmane. The pending verdict is then Calico's own.`,
		Example: `  netpol flows --ns vote
  netpol flows --to vote/db --verdict deny --since 10m
  netpol flows --follow -o json
  netpol flows --dir manifests/ --flows flows.log -o wide`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if runF != nil {
				return runF(opts)
			}
			return flowsRun(cmd.Context(), opts)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&opts.From, "from", "", "only from this workload (NAME or NAMESPACE/NAME), node or address")
	flags.StringVar(&opts.To, "to", "", "only to this workload (NAME or NAMESPACE/NAME), node or address")
	flags.StringVar(&opts.Workload, "workload", "", "only from or to this workload (NAME or NAMESPACE/NAME)")
	flags.StringVar(&opts.Port, "port", "", "only to this port")
	flags.StringVar(&opts.Protocol, "protocol", "", "only this protocol: TCP, UDP, ICMP, … or a number")
	flags.StringVar(&opts.Verdict, "verdict", "", "only what was decided so: allow or deny")
	flags.StringVar(&opts.Since, "since", "", sinceHelp)
	flags.BoolVarP(&opts.Follow, "follow", "f", false, "show what comes in as it comes")
	flags.BoolVar(&opts.Probes, "include-probes", false, "netpol's own test connections too")
	opts.Source.addTo(cmd)
	for _, name := range []string{"from", "to", "workload"} {
		completeFlag(cmd, f, name, allWorkloads, workloadKinds...)
	}
	output.AddFlag(flags, &opts.Format, output.Text, output.Wide, output.JSON, output.YAML)
	return cmd
}

// filter reads the flags.
func (o *FlowsOptions) filter() (flow.Filter, error) {
	const try = "netpol flows --help"
	out := flow.Filter{From: o.From, To: o.To, Workload: o.Workload, IncludeProbes: o.Probes}
	var err error
	if out.Namespaces, err = namespacesOf(o.Factory); err != nil {
		return out, err
	}
	if out.Since, err = parseSince(o.Since, o.Factory.Now()); err != nil {
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
	return out, nil
}

func flowsRun(ctx context.Context, opts *FlowsOptions) error {
	filter, err := opts.filter()
	if err != nil {
		return err
	}
	if opts.Follow {
		return followFlows(ctx, opts, filter)
	}
	opts.Source.partial = true
	ev, err := gather(ctx, opts.Factory, &opts.Source, filter)
	if err != nil {
		return err
	}
	if len(ev.flows) == 0 {
		if err := opts.knownPeers(ev.snap); err != nil {
			return err
		}
	}
	doc := flowsReport{Meta: output.NewMeta("FlowList"), Coverage: newCoverageReport(ev.coverage), Items: []flowItem{}}
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

func newFlowItem(f *flow.Flow) flowItem {
	it := flowItem{
		Source: stage.NewPeer(f.Source), Destination: stage.NewPeer(f.Destination),
		Port: flow.NewPort(f.Protocol, f.Port), Service: f.ServiceString(), Direction: f.Direction.String(),
		Verdict: verdictWord(f.Enforced), PendingVerdict: verdictWord(f.Pending),
		Connections: f.Connections, Completed: f.Completed, Live: f.Live,
		PacketsIn: f.PacketsIn, PacketsOut: f.PacketsOut, BytesIn: f.BytesIn, BytesOut: f.BytesOut,
		FirstSeen: f.FirstSeen.UTC().Truncate(time.Second), LastSeen: f.LastSeen.UTC().Truncate(time.Second), Probe: f.Probe,
	}
	if f.Enforced.Rule != policy.NoPolicy {
		by := newHitReport(f.Enforced, f.Direction)
		it.By = &by
	}
	for _, h := range f.Logs.Hits() {
		it.Logs = append(it.Logs, newHitReport(h, f.Direction))
	}
	if f.Pending.Rule != policy.NoPolicy {
		by := newHitReport(f.Pending, f.Direction)
		it.PendingBy = &by
	}
	it.Trace, it.PendingTrace = newStepReports(f.EnforcedTrace, f.Direction), newStepReports(f.PendingTrace, f.Direction)
	return it
}
