package cmd

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/pkg/enforce/push"
)

// AgentOptions are what agent needs.
type AgentOptions struct {
	Factory *cli.Factory
	Node    string
	// Prefix begins the names of pods' interfaces; empty: they are found.
	Prefix      string
	PodCIDRs    []string
	Established string
	Tunnels     bool
	Data        string
	Socket      string
	HTTP        string
	LogLevel    string
	// What Log rules write; LogFile empty is standard error.
	LogPrefix         string
	LogFile           string
	LogRate, LogBurst int
	Push              AgentFlows
	// ExpectCNI: the node is to have the CNI plugin.
	ExpectCNI bool
	// Cleanup removes rules instead, and the CNI plugin from these directories;
	// Stay waits after that.
	Cleanup, Stay         bool
	CNIBinDir, CNIConfDir string
}

// AgentFlows is the flows server that an agent tells, if Server is not empty.
type AgentFlows struct{ Server, CA, Token string }

// NewCmdAgent is "netpol agent".
func NewCmdAgent(f *cli.Factory, runF func(*AgentOptions) error) *cobra.Command {
	opts := &AgentOptions{Factory: f}
	cmd := &cobra.Command{
		Use:   "agent",
		Short: "Enforce policies on this node and report its flows",
		Long: `Enforce policies on the pods of this node: program the kernel's packet filter
(table inet netpol, nothing else is touched), count what it lets through and
what it refuses, and answer on a unix socket. The policies are those of the
cluster that this process is a pod of, of --kubeconfig or --context, or of
--dir.

The rules stay in force when the agent ends; the next one takes them over, and
changes nothing before it has read everything; --cleanup removes them. Needs
CAP_NET_ADMIN in the node's network namespace.

On a cluster the pods' interfaces are found by routing: a veth that leads to no
network is a pod's, known or not, and what is not known is closed; so is a
bridge with nothing but veths in it, where bridged packets pass the packet
filter (net.bridge.bridge-nf-call-iptables and -ip6tables are 1). A node whose
pods are reached otherwise says so in its status and does not claim to enforce.

What rules with the action Log see is written to standard error, or to
--log-file: a line for each new connection and rule, such as
  … netpol-packet: IN=veth1 OUT=veth2 SRC=10.0.0.3 DST=10.0.0.7 PROTO=TCP
    SPT=40112 DPT=5432 DIR=ingress TIER=default KIND=NetworkPolicy
    NAMESPACE=vote POLICY=db RULE=0
More lines than --log-rate a second are counted and not written.`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Flags().Changed("lab") {
				return cli.Usage("netpol agent --dir DIRECTORY", "--lab: a lab has an agent already")
			}
			if opts.Factory.Config.GetString("dir") != "" && !cmd.Flags().Changed("interface-prefix") {
				opts.Prefix = dirPrefix
			}
			if runF != nil {
				return runF(opts)
			}
			if opts.Cleanup || opts.Stay || opts.CNIBinDir != "" || opts.CNIConfDir != "" {
				return cleanupRun(cmd.Context(), opts)
			}
			return agentRun(cmd.Context(), opts)
		},
	}
	fs := cmd.Flags()
	fs.StringVar(&opts.Node, "node", "", "name of this node (default: the host name)")
	fs.StringVar(&opts.Prefix, "interface-prefix", "", "how the host's ends of pod interfaces begin (default: with --dir "+dirPrefix+", else they are found)")
	fs.StringSliceVar(&opts.PodCIDRs, "pod-cidr", nil, "addresses of this node's pods; unknown ones among them are closed (default: the podCIDRs of the Node)")
	fs.StringVar(&opts.Established, "established", "cut", "what happens to live connections that a change forbids: cut or keep")
	fs.BoolVar(&opts.Tunnels, "allow-pod-tunnels", false, "let pods make VXLAN, Geneve and IPIP tunnels to nodes, in which no policy sees anything")
	fs.BoolVar(&opts.ExpectCNI, "expect-cni", false, "this node is to have the CNI plugin (netpol cni install --stay): the status says whether it is in force")
	fs.StringVar(&opts.Data, "data", "", "directory to keep flows in, and when policies on trial end, so that they outlast this process (default: memory alone, and beside the socket)")
	fs.StringVar(&opts.Socket, "socket", "/run/netpol/agent.sock", "unix socket to answer on")
	fs.StringVar(&opts.HTTP, "http", "", "address to answer /healthz, /readyz and /metrics on, such as :9469 (default: none)")
	fs.StringVar(&opts.LogLevel, "log-level", "info", "what to write to standard error: debug, info, warn or error")
	fs.StringVar(&opts.LogPrefix, "log-prefix", defaultLogPrefix, "how lines of Log rules begin, after the time")
	fs.StringVar(&opts.LogFile, "log-file", "", "file that lines of Log rules are appended to (default: standard error)")
	fs.IntVar(&opts.LogRate, "log-rate", 100, "lines of Log rules written in a second, in the long run")
	fs.IntVar(&opts.LogBurst, "log-burst", 200, "lines of Log rules written at once")
	fs.StringVar(&opts.Push.Server, "flows-server", "", "flows server to tell what is seen: NAMESPACE/SERVICE or HOST:PORT (default: none)")
	fs.StringVar(&opts.Push.CA, "flows-ca", "", "file of the certificates that the flows server is known by (default: what the cluster publishes)")
	fs.StringVar(&opts.Push.Token, "flows-token", "/var/run/secrets/netpol-flows/token", "file of the ServiceAccount token to enroll with there")
	fs.BoolVar(&opts.Cleanup, "cleanup", false, "enforce nothing: remove the rules that an agent has left on this node, and end")
	fs.BoolVar(&opts.Stay, "stay", false, "with --cleanup: wait to be ended, as a pod has to")
	fs.StringVar(&opts.CNIBinDir, "cni-bin-dir", "", "with --cleanup: take netpol's CNI plugin off the node too; its directory of plugins, such as "+defaultCNIBin)
	fs.StringVar(&opts.CNIConfDir, "cni-conf-dir", "", "with --cni-bin-dir: the node's directory of network configurations, such as "+defaultCNIConf)
	return cmd
}

// dirPrefix begins the names of pods' interfaces where there is no cluster.
const dirPrefix = "veth"

// defaultLogPrefix is enforce.DefaultLogPrefix, which there is on Linux only.
const defaultLogPrefix = "netpol-packet"

// checkLogPrefix refuses what would not be one readable word or two.
func checkLogPrefix(s, try string) error {
	if s == "" || len(s) > 64 || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' }) {
		return cli.Usage(try, "--log-prefix %q: expected 1 to 64 printable ASCII characters", s)
	}
	return nil
}

// logLevel reads a level's name.
func logLevel(name string) (level slog.Level, err error) {
	if !slices.Contains([]string{"debug", "info", "warn", "error"}, name) {
		return 0, errors.New("no such level")
	}
	return level, level.UnmarshalText([]byte(name))
}

func agentRun(ctx context.Context, opts *AgentOptions) error {
	const try = "netpol agent --help"
	dir := opts.Factory.Config.GetString("dir")
	if opts.Established != "cut" && opts.Established != "keep" {
		return cli.Usage(try, "--established %q: expected cut or keep", opts.Established)
	}
	if opts.Prefix == "" && dir != "" {
		return cli.Usage(try, "--interface-prefix is empty: every interface would count as a pod's")
	}
	if _, err := logLevel(opts.LogLevel); err != nil {
		return cli.Usage(try, "--log-level %q: expected debug, info, warn or error", opts.LogLevel)
	}
	if opts.HTTP != "" {
		if _, _, err := net.SplitHostPort(opts.HTTP); err != nil {
			return cli.Usage(try, "--http %q: expected an address such as :9469 or 127.0.0.1:9469", opts.HTTP)
		}
	}
	if err := checkLogPrefix(opts.LogPrefix, try); err != nil {
		return err
	}
	if opts.LogRate < 1 || opts.LogBurst < 1 {
		return cli.Usage(try, "--log-rate %d, --log-burst %d: both must be at least 1", opts.LogRate, opts.LogBurst)
	}
	if opts.Push.Server != "" {
		if err := push.CheckTarget(opts.Push.Server); err != nil {
			return cli.Usage(try, "--flows-server: %v", err)
		}
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
