package cmd

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/internal/output"
	"github.com/netpol-project/netpol/pkg/connectivity"
	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
)

// ConnectivityOptions are what connectivity needs.
type ConnectivityOptions struct {
	Factory  *cli.Factory
	Scope    scopeFlags
	External bool
	Format   output.Format
}

// Formats that only matrices of connections have.
const (
	formatCSV      output.Format = "csv"
	formatDOT      output.Format = "dot"
	formatMermaid  output.Format = "mermaid"
	formatMarkdown output.Format = "md"
)

// connectivityReport is the JSON of connectivity.
type connectivityReport struct {
	output.Meta
	Summary connectivitySummary `json:"summary"`
	Items   []connectivityItem  `json:"items"`
	// Pairs have what is allowed on any port, declared or not.
	Pairs []connectivityPair `json:"pairs"`
}

type connectivitySummary struct {
	Pairs int `json:"pairs"` // source, destination and port
	Allow int `json:"allow"`
	Deny  int `json:"deny"`
	Some  int `json:"some"` // of those denied: allowed for some of the pods
}

type connectivityItem struct {
	Source      workloadReport `json:"source"`
	Destination workloadReport `json:"destination"`
	Protocol    string         `json:"protocol"`
	Port        int            `json:"port"`
	Result      string         `json:"result"` // allow or deny
	// AllowedPairs of Pairs pairs of pods may talk; given where only some may.
	AllowedPairs int        `json:"allowedPairs,omitempty"`
	Pairs        int        `json:"pairs,omitempty"`
	By           *hitReport `json:"by,omitempty"`
}

type connectivityPair struct {
	Source      workloadReport `json:"source"`
	Destination workloadReport `json:"destination"`
	Allowed     spaceReport    `json:"allowed"`
	// Partly is what only some of the pods may.
	Partly *spaceReport `json:"partly,omitempty"`
}

// spaceReport is a set of protocols and ports in JSON.
type spaceReport struct {
	Text string `json:"text"` // for people
	// OtherProtocols says whether the protocols not listed are in it.
	OtherProtocols bool             `json:"otherProtocols"`
	Protocols      []protocolReport `json:"protocols"`
}

type protocolReport struct {
	Protocol string        `json:"protocol"`
	Ranges   []rangeReport `json:"ranges"`
}

// rangeReport is a range of ports in JSON; of ICMP and ICMPv6 both are 0, as
// the port of a flow is, and the types and codes stand in ICMP.
type rangeReport struct {
	From int        `json:"from"`
	To   int        `json:"to"`
	ICMP *icmpRange `json:"icmp,omitempty"`
}

// icmpRange is ordered by type, then by code.
type icmpRange struct {
	From flow.ICMP `json:"from"`
	To   flow.ICMP `json:"to"`
}

func newRangeReport(p policy.Protocol, r policy.PortRange) rangeReport {
	if p.HasTypes() {
		return rangeReport{ICMP: &icmpRange{From: icmpOf(r.Min), To: icmpOf(r.Max)}}
	}
	return rangeReport{From: int(r.Min), To: int(r.Max)}
}

func icmpOf(port uint16) flow.ICMP {
	typ, code := policy.ICMPTypeCode(port)
	return flow.ICMP{Type: typ, Code: code}
}

// NewCmdConnectivity is "netpol connectivity".
func NewCmdConnectivity(f *cli.Factory, runF func(*ConnectivityOptions) error) *cobra.Command {
	opts := &ConnectivityOptions{Factory: f}
	cmd := &cobra.Command{
		Use:   "connectivity",
		Short: "Show who may talk to whom, as the policies say",
		Long: `Show for every pair of workloads, on every port that the destination declares,
whether the policies allow it. This is the model's answer; "netpol probe" asks
the network. "some" means that the pods of a workload are not judged alike: some
of the pairs of pods may talk.

With -n, pairs of which one end is in the namespace; with -A, the cluster's own
workloads too; with --external, also what is outside: network sets, nodes with
host endpoints, nets that rules name, and the internet.

With -o wide, what is allowed on all ports, declared or not, and what decided.
-o dot and -o mermaid draw what is allowed; csv and md are tables.`,
		Example: `  netpol connectivity
  netpol connectivity --ns vote --pending --external
  netpol connectivity -o dot | dot -Tsvg > connectivity.svg
  netpol connectivity -o json > expected.json && netpol probe --expect expected.json`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if runF != nil {
				return runF(opts)
			}
			return connectivityRun(cmd.Context(), opts)
		},
	}
	cmd.Flags().BoolVar(&opts.Scope.pending, "pending", false, "as if every staged policy were enforced")
	cmd.Flags().StringVar(&opts.Scope.only, "only", "", "as if this staged policy were enforced")
	cmd.Flags().BoolVar(&opts.External, "external", false, "what is outside of the cluster too")
	completeFlag(cmd, f, "only", stagedNames, stagedKinds...)
	output.AddFlag(cmd.Flags(), &opts.Format, output.Text, output.Wide, output.JSON, output.YAML,
		formatCSV, formatDOT, formatMermaid, formatMarkdown)
	return cmd
}

func connectivityRun(ctx context.Context, opts *ConnectivityOptions) error {
	f := opts.Factory
	m, err := loadModel(ctx, f)
	if err != nil {
		return err
	}
	if err := knownNamespaces(m.Snapshot(), f.Namespaces()); err != nil {
		return err
	}
	scope, err := opts.Scope.scope(m.Snapshot(), onlyOne(f.Namespaces()))
	if err != nil {
		return err
	}
	if len(m.Snapshot().Endpoints) == 0 {
		f.IO.ErrPrinter().Printf("warning: there are no pods and no workloads here, so no connections\n")
	}
	pairs := connectivity.Matrix(m, scope, connectivity.Options{
		Pick:    connectivity.InNamespaces(f.Namespaces(), f.AllNamespaces()),
		Outside: opts.External,
		// The narrow formats show declared ports only, and those to the outside,
		// which declares none.
		Spaces: opts.Format != output.Text && opts.Format != formatCSV || opts.External,
	})
	if err := printConnectivity(opts, pairs); err != nil {
		return err
	}
	noteUnaddressed(f.IO, m.Snapshot())
	return nil
}

func newConnectivityReport(pairs []connectivity.Pair) connectivityReport {
	r := connectivityReport{Meta: output.NewMeta("Connectivity"), Items: []connectivityItem{}, Pairs: []connectivityPair{}}
	for i := range pairs {
		p := &pairs[i]
		src, dst := newWorkloadReport(p.Source), newWorkloadReport(p.Destination)
		pair := connectivityPair{Source: src, Destination: dst, Allowed: newSpaceReport(p.Open)}
		if !p.Partly.Empty() {
			partly := newSpaceReport(p.Partly)
			pair.Partly = &partly
		}
		r.Pairs = append(r.Pairs, pair)
		for k := range p.Ports {
			v := &p.Ports[k]
			it := connectivityItem{
				Source: src, Destination: dst, Protocol: v.Protocol.String(), Port: int(v.Port), Result: resultWord(v.All()),
			}
			if v.Some() {
				it.AllowedPairs, it.Pairs = v.Allowed, v.Pairs
			}
			if v.By != nil {
				by := newHitReport(*v.By, v.Direction)
				it.By = &by
			}
			r.Items = append(r.Items, it)
		}
	}
	r.Summary = summarize(pairs)
	return r
}

func summarize(pairs []connectivity.Pair) connectivitySummary {
	var s connectivitySummary
	for i := range pairs {
		for k := range pairs[i].Ports {
			s.Pairs++
			switch v := &pairs[i].Ports[k]; {
			case v.All():
				s.Allow++
			case v.Some():
				s.Some++
				s.Deny++
			default:
				s.Deny++
			}
		}
	}
	return s
}

func newSpaceReport(s connectivity.Space) spaceReport {
	out := spaceReport{Text: s.String(), OtherProtocols: s.Others, Protocols: []protocolReport{}}
	for _, p := range s.Protocols {
		r := protocolReport{Protocol: p.Protocol.String(), Ranges: []rangeReport{}}
		for _, pr := range p.Ranges {
			r.Ranges = append(r.Ranges, newRangeReport(p.Protocol, pr))
		}
		out.Protocols = append(out.Protocols, r)
	}
	return out
}

// stagedNames lists the staged policies, for --only.
func stagedNames(w *world) []string {
	var out []string
	for _, p := range w.snap.Policies {
		if p.Kind.Staged() {
			out = append(out, p.Name)
		}
	}
	return out
}
