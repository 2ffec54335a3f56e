package cmd

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/internal/cni"
)

// NewCmdCNI is "netpol cni".
func NewCmdCNI(*cli.Factory) *cobra.Command {
	return &cobra.Command{
		Use:   "cni",
		Short: "Be the CNI plugin that makes a pod wait for its policies",
		Long: `Be the last plugin of a node's CNI chain: a pod starts when the node's agent has
the pod's policies in the kernel. Without it a new pod is closed for some
milliseconds, until the API server has told the agent of the pod's address.

Container runtimes run it, never people: copy this program to /opt/cni/bin/netpol
and put it last in the list of plugins under /etc/cni/net.d:

  {"type": "netpol", "socket": "/run/netpol/agent.sock", "timeout": "20s"}

The agent's socket must be on the node (a hostPath in place of the DaemonSet's
emptyDir). Where no agent answers in time no pod starts, and the pod's events say
why. It speaks CNI 0.1.0 to 1.1.0: ADD and CHECK wait, DEL takes back what ADD
told, STATUS is an error while the agent is not ready, GC has nothing to do.`,
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
}
