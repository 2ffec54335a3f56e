package cmd

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/pkg/flow"
)

// flowsFrom is where a command's flows come from.
type flowsFrom struct {
	cli.FlowsFrom
	// partial: the command shows what there is, and decides nothing.
	partial bool
}

func (o *flowsFrom) addTo(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&o.From, "flows", "", "where flows come from: a file of Calico's flow logs, - for standard input, or goldmane://HOST:PORT")
	flags.StringVar(&o.CA, "flows-ca", "", "file with the certificate of Goldmane's authority")
	flags.StringVar(&o.Cert, "flows-cert", "", "file with the client certificate for Goldmane")
	flags.StringVar(&o.Key, "flows-key", "", "file with the client certificate's key")
}

// open opens the source that the flags name, or else the target's own.
func (o *flowsFrom) open(ctx context.Context, f *cli.Factory) (flow.Source, error) {
	if o.Given() {
		return o.Open(f.IO.In)
	}
	if o.CA+o.Cert+o.Key != "" {
		return nil, cli.Usage("--flows goldmane://HOST:PORT", "--flows-ca, --flows-cert and --flows-key are for --flows goldmane://… only")
	}
	return f.Flows(ctx)
}

// failed is an error of the source as users see it.
func (o *flowsFrom) failed(source flow.Source, err error) error {
	if o.Given() || flow.IsCalicos(source) {
		return o.Error(err)
	}
	return flowsError(err)
}
