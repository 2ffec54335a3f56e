package cmd

import (
	"github.com/spf13/cobra"

	"github.com/netpol-project/netpol/internal/cli"
)

// NewCmdLab is "netpol lab" and what is below it.
func NewCmdLab(f *cli.Factory) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "lab",
		Short: "Run applications in a lab on this machine, no cluster needed",
		Long: `A lab is a node on this machine: the pods that manifests ask for, in network
namespaces of their own, with Services, DNS and the real agent. An actor in each
pod listens on its container ports and makes the connections that the annotation
netpol.dev/connect on the pod template lists. It needs Linux, but not root, and
touches nothing of the machine's own network.

What rules with the action Log see is in a file that lab status names. Ports of
protocols that the lab's actors do not speak (SCTP) are left out.

Several labs run side by side; --lab NAME picks one.`,
		RunE: parent,
	}
	cmd.AddCommand(
		NewCmdLabUp(f, nil),
		NewCmdLabStatus(f, nil),
		NewCmdLabList(f, nil),
		NewCmdLabDown(f, nil),
		NewCmdLabDemo(f),
		newCmdLabNode(),
		newCmdLabGuard(f),
	)
	return cmd
}
