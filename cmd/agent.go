package cmd

import (
	"context"
	"net/netip"
	"os"

	"github.com/spf13/cobra"

	"github.com/netpol-project/netpol/internal/cli"
)

// AgentOptions are what agent needs.
type AgentOptions struct {
	Factory     *cli.Factory
	Node        string
	Prefix      string
	PodCIDRs    []string
	Established string
	Socket      string
}

// NewCmdAgent is "netpol agent".
func NewCmdAgent(f *cli.Factory, runF func(*AgentOptions) error) *cobra.Command {
	opts := &AgentOptions{Factory: f}
	cmd := &cobra.Command{
		Use:   "agent",
		Short: "Enforce policies on this node and report its flows",
		Long: `Enforce the policies of --dir on the pods of this node: program the kernel's
packet filter (table inet netpol, nothing else is touched), count what it lets
through and what it refuses, and answer on a unix socket.

The rules stay in force when the agent ends; the next one takes them over. Needs
CAP_NET_ADMIN in the node's network namespace.`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if runF != nil {
				return runF(opts)
			}
			return agentRun(cmd.Context(), opts)
		},
	}
	fs := cmd.Flags()
	fs.StringVar(&opts.Node, "node", "", "name of this node (default: the host name)")
	fs.StringVar(&opts.Prefix, "interface-prefix", "veth", "how the host's ends of pod interfaces begin")
	fs.StringSliceVar(&opts.PodCIDRs, "pod-cidr", nil, "addresses of this node's pods; unknown ones among them are closed")
	fs.StringVar(&opts.Established, "established", "cut", "what happens to live connections that a change forbids: cut or keep")
	fs.StringVar(&opts.Socket, "socket", "/run/netpol/agent.sock", "unix socket to answer on")
	return cmd
}

func agentRun(ctx context.Context, opts *AgentOptions) error {
	const try = "netpol agent --help"
	dir := opts.Factory.Config.GetString("dir")
	if dir == "" {
		return cli.Usage("netpol agent --dir DIRECTORY", "--dir is missing: the agent enforces a directory of manifests")
	}
	if opts.Established != "cut" && opts.Established != "keep" {
		return cli.Usage(try, "--established %q: expected cut or keep", opts.Established)
	}
	if opts.Prefix == "" {
		return cli.Usage(try, "--interface-prefix is empty: every interface would count as a pod's")
	}
	var cidrs []netip.Prefix
	for _, s := range opts.PodCIDRs {
		p, err := netip.ParsePrefix(s)
		if err != nil || p != p.Masked() {
			return cli.Usage(try, "--pod-cidr %q: expected a network such as 10.244.0.0/24", s)
		}
		cidrs = append(cidrs, p)
	}
	if opts.Node == "" {
		name, err := os.Hostname()
		if err != nil {
			return err
		}
		opts.Node = name
	}
	return runAgent(ctx, opts, dir, cidrs)
}
