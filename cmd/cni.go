package cmd

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/internal/cni"
)

// NewCmdCNI is "netpol cni".
func NewCmdCNI(f *cli.Factory) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "cni",
		Short: "Be the CNI plugin that makes a pod wait for its policies",
		Long: `Be the last plugin of a node's CNI chain: a pod starts when the node's agent has
the pod's policies in the kernel. Without it a new pod is closed for some
milliseconds, until the API server has told the agent of the pod's address.

Container runtimes run it, never people. "netpol install --cni" puts it on every
node of a cluster; "netpol cni install" on this one: the program as netpol in
the directory of plugins, and last in the list of the node's network:

  {"type": "netpol", "socket": "/run/netpol/agent.sock", "timeout": "20s"}

Where no agent answers in time no pod starts, and the pod's events say why; an
agent that is ready and has no socket there was installed without the plugin,
and holds up nobody ("health": "127.0.0.1:9469" is where it is asked). It speaks
CNI 0.1.0 to 1.1.0: ADD and CHECK wait, DEL takes back what ADD told, STATUS is
an error while the agent is not ready, GC has nothing to do.`,
		Args: exactArgs(),
		RunE: func(*cobra.Command, []string) error {
			if os.Getenv("CNI_COMMAND") == "" {
				return cli.Usage("netpol cni --help", "CNI_COMMAND is not set: container runtimes run this, with a network configuration on standard input")
			}
			if code := (cni.Plugin{Version: programVersion()}).Main(); code != 0 {
				return cli.ErrNo // what is wrong was printed as the protocol has it
			}
			return nil
		},
	}
	cmd.AddCommand(NewCmdCNIInstall(f, nil), NewCmdCNIUninstall(f, nil), NewCmdCNIStatus(f, nil))
	return cmd
}
