package cmd

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/internal/output"
	"github.com/netpol-project/netpol/pkg/connectivity"
)

// ConnectivityOptions are what connectivity needs.
type ConnectivityOptions struct {
	Factory *cli.Factory
	Scope   scopeFlags
	Format  output.Format
}

// connectivityReport is the JSON of connectivity.
type connectivityReport struct {
	output.Meta
	Summary connectivitySummary `json:"summary"`
	Items   []connectivityItem  `json:"items"`
}

type connectivitySummary struct {
	Pairs int `json:"pairs"` // source, destination and port
	Allow int `json:"allow"`
	Deny  int `json:"deny"`
}

type connectivityItem struct {
	Source      workloadReport `json:"source"`
	Destination workloadReport `json:"destination"`
	Protocol    string         `json:"protocol"`
	Port        int            `json:"port"`
	Result      string         `json:"result"` // allow or deny
	By          *hitReport     `json:"by,omitempty"`
}

// NewCmdConnectivity is "netpol connectivity".
func NewCmdConnectivity(f *cli.Factory, runF func(*ConnectivityOptions) error) *cobra.Command {
	opts := &ConnectivityOptions{Factory: f}
	cmd := &cobra.Command{
		Use:   "connectivity",
		Short: "Show who may talk to whom, as the policies say",
		Long: `Show for every pair of workloads, on every port that the destination declares,
whether the policies allow it. This is the model's answer; "netpol probe" asks
the network.

With -n, pairs of which one end is in the namespace; with -A, the cluster's own
workloads too.`,
		Example: `  netpol connectivity
  netpol connectivity --ns vote --pending
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
	output.AddFlag(cmd.Flags(), &opts.Format, output.Text, output.Wide, output.JSON, output.YAML)
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
	scope, err := opts.Scope.scope(m.Snapshot(), "")
	if err != nil {
		return err
	}
	report := connectivityReport{Meta: output.NewMeta("Connectivity"), Items: []connectivityItem{}}
	for _, it := range connectivity.Matrix(m, scope, connectivity.InNamespaces(f.Namespaces(), f.AllNamespaces())) {
		row := connectivityItem{
			Source: newWorkloadReport(it.Source), Destination: newWorkloadReport(it.Destination),
			Protocol: it.Protocol.String(), Port: int(it.Port), Result: "deny",
		}
		if it.Allowed {
			row.Result = "allow"
			report.Summary.Allow++
		} else {
			report.Summary.Deny++
		}
		if it.By != nil {
			by := newHitReport(*it.By, it.Direction)
			row.By = &by
		}
		report.Items = append(report.Items, row)
	}
	report.Summary.Pairs = len(report.Items)
	return printConnectivity(opts, &report)
}

func printConnectivity(opts *ConnectivityOptions, report *connectivityReport) error {
	p := opts.Factory.IO.Printer()
	if opts.Format.Structured() {
		return p.Object(opts.Format, report)
	}
	columns := []string{"FROM", "TO", "PORT", "RESULT"}
	if opts.Format == output.Wide {
		columns = append(columns, "BY")
	}
	t := p.Table(columns...)
	for _, it := range report.Items {
		row := []any{
			it.Source.Namespace + "/" + it.Source.Workload,
			it.Destination.Namespace + "/" + it.Destination.Workload,
			fmt.Sprintf("%s/%d", it.Protocol, it.Port),
			output.Judged(it.Result == "allow", it.Result),
		}
		if opts.Format == output.Wide {
			by := ""
			if it.By != nil {
				by = hitText(*it.By)
			}
			row = append(row, by)
		}
		t.Row(row...)
	}
	if err := t.Print(); err != nil {
		return err
	}
	opts.Factory.IO.ErrPrinter().Printf("%d allowed, %d denied\n", report.Summary.Allow, report.Summary.Deny)
	return nil
}

// hitText is what decided, on one line: tier/policy and rule.
func hitText(h hitReport) string {
	name := h.Name
	if h.Namespace != "" {
		name = h.Namespace + "/" + name
	}
	where := fmt.Sprintf("rule %d", h.Rule)
	if h.Rule < 0 {
		where = "end of tier"
	}
	return fmt.Sprintf("%s: %s %s, %s", h.Tier, h.Kind, name, where)
}
