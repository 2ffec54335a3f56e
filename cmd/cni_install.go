package cmd

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/internal/cni"
	"github.com/netpol-project/netpol/internal/cni/chain"
	"github.com/netpol-project/netpol/internal/output"
)

// Where most nodes have their plugins and their network configurations.
const (
	defaultCNIBin  = "/opt/cni/bin"
	defaultCNIConf = "/etc/cni/net.d"
)

// CNIOptions are what cni install, uninstall and status need.
type CNIOptions struct {
	Factory         *cli.Factory
	Format          output.Format
	BinDir, ConfDir string
	// Of install: the plugin's settings.
	Socket string
	Wait   time.Duration
	// Stay keeps the plugin there, on the node of this name.
	Stay     bool
	Node     string
	LogLevel string
}

// cniReport is the JSON of the three.
type cniReport struct {
	output.Meta
	// File is the configuration that names the plugin; empty if none does.
	File    string   `json:"file"`
	Changed []string `json:"changed"` // files that were changed
	InForce bool     `json:"inForce"`
	Reason  string   `json:"reason,omitempty"` // why it is not
}

// NewCmdCNIInstall is "netpol cni install".
func NewCmdCNIInstall(f *cli.Factory, runF func(*CNIOptions) error) *cobra.Command {
	opts := &CNIOptions{Factory: f}
	cmd := &cobra.Command{
		Use:   "install",
		Short: "Put the CNI plugin on this node",
		Long: `Put the CNI plugin on this node: this program into the directory of plugins, and
an entry at the end of the list that the container runtime uses, the first by
name. A configuration of one plugin (.conf, .json) is kept as NAME.netpol, and a
list takes its place. Nothing else is changed, and nothing is ever half-written.

With --stay it waits until the node's agent is ready and then keeps the plugin
there, also when the network's owner writes its configuration anew, until it is
ended; then it takes the plugin off the node if no agent with the plugin comes
after it. "netpol install --cni" runs it so in the agents' pods.`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if runF != nil {
				return runF(opts)
			}
			return cniInstallRun(cmd.Context(), opts)
		},
	}
	opts.flags(cmd)
	fs := cmd.Flags()
	fs.StringVar(&opts.Socket, "socket", "/run/netpol/agent.sock", "the agent's socket, which the plugin asks")
	fs.DurationVar(&opts.Wait, "wait-pod", 20*time.Second, "how long a pod's start may wait before it fails and is tried again")
	fs.BoolVar(&opts.Stay, "stay", false, "keep the plugin there until ended")
	fs.StringVar(&opts.Node, "node", "", "with --stay: name of this node (default: the host name)")
	fs.StringVar(&opts.LogLevel, "log-level", "info", "with --stay: what to write to standard error: debug, info, warn or error")
	return cmd
}

// NewCmdCNIUninstall is "netpol cni uninstall".
func NewCmdCNIUninstall(f *cli.Factory, runF func(*CNIOptions) error) *cobra.Command {
	opts := &CNIOptions{Factory: f}
	cmd := &cobra.Command{
		Use:   "uninstall",
		Short: "Take the CNI plugin off this node",
		Long: `Take the CNI plugin off this node: out of every network configuration first, and
only when none names it any more the program itself. What it was put into is
then what it was before, byte by byte.`,
		Args: exactArgs(),
		RunE: func(*cobra.Command, []string) error {
			if runF != nil {
				return runF(opts)
			}
			return cniUninstallRun(opts)
		},
	}
	opts.flags(cmd)
	return cmd
}

// NewCmdCNIStatus is "netpol cni status".
func NewCmdCNIStatus(f *cli.Factory, runF func(*CNIOptions) error) *cobra.Command {
	opts := &CNIOptions{Factory: f}
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Tell whether the CNI plugin is in force on this node",
		Long: `Tell whether the CNI plugin is in force on this node: whether the program is in
the directory of plugins, and the configuration that the container runtime uses
names it. Exit code 1 if not.`,
		Args: exactArgs(),
		RunE: func(*cobra.Command, []string) error {
			if runF != nil {
				return runF(opts)
			}
			return cniStatusRun(opts)
		},
	}
	opts.flags(cmd)
	return cmd
}

func (o *CNIOptions) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.BinDir, "bin-dir", defaultCNIBin, "the node's directory of CNI plugins")
	cmd.Flags().StringVar(&o.ConfDir, "conf-dir", defaultCNIConf, "the node's directory of network configurations")
	output.AddFlag(cmd.Flags(), &o.Format, output.Text, output.JSON, output.YAML)
}

// cniPlugin is the plugin on a node; what is only taken away needs no more.
func cniPlugin(bin, conf string) chain.Plugin {
	return chain.Plugin{Bin: bin, Name: "netpol", Conf: chain.Dir{Path: conf}}
}

// plugin is what is put on the node: this very program.
func (o *CNIOptions) plugin() (chain.Plugin, error) {
	p := cniPlugin(o.BinDir, o.ConfDir)
	if o.Wait <= 0 || o.Wait > cni.LongestTimeout {
		return p, cli.Usage("netpol cni install --help", "--wait-pod %s: expected a time such as 20s, at most %s", o.Wait, cni.LongestTimeout)
	}
	var err error
	if p.Program, err = os.Executable(); err != nil {
		return p, err
	}
	p.Entry, err = json.Marshal(struct {
		Type    string `json:"type"`
		Socket  string `json:"socket"`
		Timeout string `json:"timeout"`
	}{p.Name, o.Socket, o.Wait.String()})
	return p, err
}

func cniInstallRun(ctx context.Context, opts *CNIOptions) error {
	p, err := opts.plugin()
	if err != nil {
		return err
	}
	if opts.Stay {
		return cniStay(ctx, opts, p)
	}
	name, changed, err := p.Put()
	if err != nil {
		return cniError("the CNI plugin can't be put on this node", err)
	}
	report := cniReport{File: name, InForce: true}
	text := name + " ends with the CNI plugin already"
	if changed {
		report.Changed = []string{name}
		text = "put the CNI plugin at the end of " + name
	}
	return opts.print(report, text)
}

func cniUninstallRun(opts *CNIOptions) error {
	names, err := cniPlugin(opts.BinDir, opts.ConfDir).Take()
	if err != nil {
		return cniError("the CNI plugin can't be taken off this node", err)
	}
	text := "no network configuration of this node names the CNI plugin"
	if len(names) > 0 {
		text = "took the CNI plugin out of " + strings.Join(names, ", ")
	}
	return opts.print(cniReport{Changed: names}, text)
}

func cniStatusRun(opts *CNIOptions) error {
	name, err := cniPlugin(opts.BinDir, opts.ConfDir).InForce()
	report, text := cniReport{File: name, InForce: err == nil}, name+" ends with the CNI plugin"
	if err != nil {
		report.Reason = oneLine(err)
		text = "the CNI plugin is not in force: " + report.Reason
	}
	if err := opts.print(report, text); err != nil {
		return err
	}
	return cli.Answer(report.InForce)
}

func (o *CNIOptions) print(report cniReport, text string) error {
	p := o.Factory.IO.Printer()
	if o.Format.Structured() {
		report.Meta = output.NewMeta("CNIPlugin")
		report.Changed = append([]string{}, report.Changed...)
		return p.Object(o.Format, report)
	}
	p.Printf("%s\n", text)
	return nil
}

// oneLine is an error that may be several.
func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }

func cniError(what string, err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	return &cli.Error{What: what, Where: strings.Split(err.Error(), "\n"), Try: "as root, with the node's directories in --bin-dir and --conf-dir", Err: err}
}
