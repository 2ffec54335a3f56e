package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/internal/lab/plan"
	"github.com/netpol-project/netpol/internal/lab/probe"
	"github.com/netpol-project/netpol/internal/output"
)

// ProbeOptions are what probe needs.
type ProbeOptions struct {
	Factory *cli.Factory
	From    string
	To      string
	Ports   []string
	// Protocols to try; none: those of the ports.
	Protocols []string
	Family    string
	Via       string
	Expect    string
	Timeout   time.Duration
	Site      siteFlags
	Format    output.Format
}

// probeReport is the JSON of probe.
type probeReport struct {
	output.Meta
	probe.Report
	// Differences are there with --expect only.
	Differences []probe.Difference `json:"differences,omitempty"`
}

// NewCmdProbe is "netpol probe".
func NewCmdProbe(f *cli.Factory, runF func(context.Context, *ProbeOptions) error) *cobra.Command {
	opts := &ProbeOptions{Factory: f}
	cmd := &cobra.Command{
		Use:   "probe",
		Short: "Try real connections between workloads and show what is blocked",
		Long: `Try a real connection from every workload to every port that the others declare,
from within the pods of a lab or a cluster. A pair is

  connected  the other side answered
  closed     policies let it through, but nobody listens there
  blocked    no answer, and the agent has a record that a policy denied it
  error      anything else

Ports are tried as they are declared, over TCP or UDP. --protocol icmp sends
pings. SCTP, UDPLite and other protocols can't be tried: netpol explain and
netpol test judge them.

With -n, pairs of which one end is in the namespace; with -A, the cluster's own
workloads too. The agent keeps these connections out of reports and
recommendations.

On a cluster each pod that connections are made from gets an ephemeral container
that does nothing, as kubectl debug gives it, in which the probes run: the
application's image needs no tool. It stays until the pod is replaced, and is
used again by the next probe; you are asked first, or say --yes.`,
		Example: `  netpol probe
  netpol probe --from wordpress --to vote/db --port 5432
  netpol probe --to vote/db --protocol icmp --family both
  netpol connectivity -o json > expected.json && netpol probe --expect expected.json`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if runF != nil {
				return runF(cmd.Context(), opts)
			}
			return probeRun(cmd.Context(), opts)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&opts.From, "from", "", "only from this workload (NAME or NAMESPACE/NAME)")
	flags.StringVar(&opts.To, "to", "", "only to this workload (NAME or NAMESPACE/NAME)")
	flags.StringSliceVar(&opts.Ports, "port", nil, "only these ports, such as 5432 or udp:53; with --to also undeclared ones")
	flags.StringSliceVar(&opts.Protocols, "protocol", nil, "only these protocols: tcp, udp, icmp (a ping)")
	flags.StringVar(&opts.Family, "family", "4", "addresses to use: 4, 6 or both")
	flags.StringVar(&opts.Via, "via", "pod", "address to connect to: the pod's, or that of the service that leads there")
	flags.StringVar(&opts.Expect, "expect", "", "compare with a file (connectivity -o json or probe -o json), allow or deny; exit code 1 if a pair differs")
	flags.DurationVar(&opts.Timeout, "timeout", 3*time.Second, "how long to wait for an answer or for a record of a denial")
	opts.Site.addTo(flags)
	completeFlag(cmd, f, "from", allWorkloads, workloadKinds...)
	completeFlag(cmd, f, "to", allWorkloads, workloadKinds...)
	output.AddFlag(flags, &opts.Format, output.Text, output.Wide, output.JSON, output.YAML)
	return cmd
}

func probeRun(ctx context.Context, opts *ProbeOptions) error {
	selection, err := opts.selection()
	if err != nil {
		return err
	}
	expectation, err := opts.expectation()
	if err != nil {
		return err
	}
	site, err := opts.Site.open(ctx, opts.Factory)
	if err != nil {
		return err
	}
	report, err := opts.probe(ctx, site, selection)
	if err != nil {
		return err
	}
	doc := &probeReport{Meta: output.NewMeta("ProbeReport"), Report: *report}
	if expectation != nil {
		doc.Differences = expectation.Compare(doc.Report, narrowed(opts))
	}
	p := opts.Factory.IO.Printer()
	if opts.Format.Structured() {
		err = p.Object(opts.Format, doc)
	} else {
		err = printProbe(p, doc, opts)
	}
	if err != nil || expectation == nil {
		return err
	}
	return cli.Answer(len(doc.Differences) == 0)
}

// selection reads the flags that say which pairs to try.
func (o *ProbeOptions) selection() (probe.Selection, error) {
	const try = "netpol probe --help"
	s := probe.Selection{
		Namespaces: o.Factory.Namespaces(), System: o.Factory.AllNamespaces(), From: o.From, To: o.To,
	}
	for _, text := range o.Ports {
		port, err := probe.ParsePort(text)
		if err != nil {
			return s, cli.Usage(try, "--port: %v", err)
		}
		s.Ports = append(s.Ports, port)
	}
	for _, text := range o.Protocols {
		protocol, err := probe.ParseProtocol(text)
		if err != nil {
			return s, cli.Usage(try, "--protocol: %v", err)
		}
		s.Protocols = append(s.Protocols, protocol)
	}
	switch o.Family {
	case "4":
		s.Families = []bool{false}
	case "6":
		s.Families = []bool{true}
	case "both":
		s.Families = []bool{false, true}
	default:
		return s, cli.Usage(try, "--family %q: expected 4, 6 or both", o.Family)
	}
	if o.Via != "pod" && o.Via != "service" {
		return s, cli.Usage(try, "--via %q: expected pod or service", o.Via)
	}
	return s, checkTimeout(o.Timeout, try)
}

// checkTimeout refuses what is no sensible time to wait for an answer.
func checkTimeout(t time.Duration, try string) error {
	if t < 10*time.Millisecond || t > time.Minute {
		return cli.Usage(try, "--timeout %s: expected 10ms to 1m", t)
	}
	return nil
}

// narrowed says whether flags leave pairs out that an expectation may have;
// families are told apart by their results.
func narrowed(o *ProbeOptions) bool {
	return o.Via == "service" || o.From != "" || o.To != "" || len(o.Ports)+len(o.Protocols) > 0 || len(o.Factory.Namespaces()) > 0
}

// expectation reads --expect; nil if it is not given.
func (o *ProbeOptions) expectation() (*probe.Expectation, error) {
	var data []byte
	var err error
	switch o.Expect {
	case "":
		return nil, nil
	case "allow", "deny":
		return probe.ExpectAll(o.Expect), nil
	case "-":
		data, err = io.ReadAll(o.Factory.IO.In)
	default:
		data, err = os.ReadFile(o.Expect)
	}
	const try = "netpol connectivity -o json > expected.json && netpol probe --expect expected.json"
	if err != nil {
		return nil, &cli.Error{What: "--expect: " + err.Error(), Try: try, Err: err}
	}
	e, err := probe.ParseExpectation(data)
	if err != nil {
		return nil, &cli.Error{What: fmt.Sprintf("--expect %s: %v", o.Expect, err), Try: try, Err: err}
	}
	return e, nil
}

// probe makes the connections and returns what became of them.
func (o *ProbeOptions) probe(ctx context.Context, site *probeSite, s probe.Selection) (*probe.Report, error) {
	if o.Via == "service" {
		s.Services = append([]plan.Service{}, site.services...)
	}
	request, err := probe.Plan(site.pods, s)
	var unknown *probe.UnknownError
	if errors.As(err, &unknown) {
		return nil, cli.Unknown(unknown.What, unknown.Name, unknown.Known, site.look)
	}
	if err != nil {
		return nil, err
	}
	if request.Len() == 0 {
		return nil, cli.Usage(site.look, "there is no pair to try: no destination declares such a port")
	}
	reply, err := site.run(ctx, request.Lab(o.Timeout))
	if err != nil {
		return nil, err
	}
	report := request.Collect(reply.Outcomes)
	return &report, nil
}
