package cmd

import (
	"github.com/spf13/cobra"

	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/internal/lab/actor"
	"github.com/netpol-project/netpol/internal/lab/node"
	"github.com/netpol-project/netpol/internal/lab/prober"
)

// NewCmdActor is the hidden "netpol actor": the processes that a lab starts in
// its pods. They speak JSON on their standard input and output.
func NewCmdActor(f *cli.Factory) *cobra.Command {
	cmd := &cobra.Command{Use: "actor", Short: "Processes of a lab's pods", Hidden: true, RunE: parent}
	cmd.AddCommand(
		&cobra.Command{
			Use: "run", Short: "Listen and connect as a pod's annotations say", Args: exactArgs(),
			RunE: func(cmd *cobra.Command, _ []string) error { return actor.Run(cmd.Context(), f.IO.In, f.IO.Out) },
		},
		&cobra.Command{
			Use: "wait", Short: "Do nothing, to run probers beside", Args: exactArgs(),
			RunE: func(cmd *cobra.Command, _ []string) error { <-cmd.Context().Done(); return nil },
		},
		&cobra.Command{
			Use: "probe", Short: "Make test connections", Args: exactArgs(),
			RunE: func(cmd *cobra.Command, _ []string) error { return prober.Main(cmd.Context(), f.IO.In, f.IO.Out) },
		},
	)
	return cmd
}

// newCmdLabNode is the hidden "netpol lab node": the process that is a lab.
func newCmdLabNode() *cobra.Command {
	return &cobra.Command{
		Use: "node", Short: "The process that is a lab", Hidden: true, Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error { return node.Main(cmd.Context()) },
	}
}
