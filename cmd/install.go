package cmd

import (
	"context"
	"fmt"
	"io"
	"os"
	"regexp"
	"time"

	"github.com/spf13/cobra"

	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/internal/cluster"
	"github.com/netpol-project/netpol/internal/cluster/kube"
	"github.com/netpol-project/netpol/internal/install"
	"github.com/netpol-project/netpol/internal/output"
)

// InstallOptions are what install needs.
type InstallOptions struct {
	IO      *cli.Streams
	Now     func() time.Time
	Cluster func() (*kube.Conn, error)
	DryRun  dryRun
	Format  output.Format
	// What is installed.
	Values         []string
	Image, Version string
	// Force installs beside another enforcer; ForceConflicts takes over fields.
	Force, ForceConflicts bool
	// CNI and its directories are set if their flags are given.
	CNI                   *bool
	CNIBinDir, CNIConfDir string
	// Storage is the size of the flows server's claim, empty for none.
	Storage, StorageClass string
	Wait                  bool
	Timeout               time.Duration
}

// NewCmdInstall is "netpol install".
func NewCmdInstall(f *cli.Factory, runF func(context.Context, *InstallOptions) error) *cobra.Command {
	opts := &InstallOptions{IO: f.IO, Now: f.Now, Cluster: f.Cluster}
	var cni bool
	cmd := &cobra.Command{
		Use:   "install",
		Short: "Put netpol on a cluster: an agent on every node, a flows server",
		Long: `Put netpol on a cluster: the kinds of projectcalico.org/v3, an agent on every
node that enforces them, and a flows server, all in namespace netpol-system. It
takes the rights of cluster-admin.

The same again changes nothing; with another version it is an upgrade in place,
which also removes what that version no longer has. The rules stay in the kernel
while agents are replaced.

Where Calico is, it enforces what netpol writes, so there is nothing to install,
and this refuses. Where another network plugin enforces Kubernetes'
NetworkPolicy itself, both would enforce: that takes --force.

With --cni a pod that starts waits until its policies are in force: the program
is the last plugin of every node's CNI chain, kept there by the agents' pods,
and taken off again by an installation without --cni and by uninstall. Where no
agent is up, no pod starts then.

Without a cluster --dry-run=client shows what would be applied.`,
		Example: `  netpol install --wait
  netpol install --cni --wait
  netpol install --storage 8Gi --storage-class fast --wait
  netpol install --dry-run=client -o yaml > netpol.yaml
  netpol install --values values.yaml --image registry.example/netpol:v0.1.0`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := clusterOnly(cmd); err != nil {
				return err
			}
			if cmd.Flags().Changed("cni") {
				opts.CNI = &cni
			}
			if runF != nil {
				return runF(cmd.Context(), opts)
			}
			return installRun(cmd.Context(), opts)
		},
	}
	fs := cmd.Flags()
	fs.Var(&opts.DryRun, "dry-run", "tell what would be done, but write nothing: none|client (asks no cluster)|server (which checks it)")
	fs.Lookup("dry-run").NoOptDefVal = "client"
	fs.StringArrayVar(&opts.Values, "values", nil, "file of settings, as the chart's values.yaml; - is standard input")
	fs.StringVar(&opts.Image, "image", "", "the image, NAME:TAG or NAME@sha256:… (default: "+install.Repository+" of --version)")
	fs.StringVar(&opts.Version, "version", "", "version of the image (default: this program's, "+release(programVersion())+")")
	fs.BoolVar(&opts.Force, "force", false, "install beside another enforcer of Kubernetes' NetworkPolicy")
	fs.BoolVar(&opts.ForceConflicts, "force-conflicts", false, "take over fields that others manage")
	fs.BoolVar(&cni, "cni", false, "have pods wait for their policies when they start, by a CNI plugin on every node")
	fs.StringVar(&opts.CNIBinDir, "cni-bin-dir", "", "the nodes' directory of CNI plugins (default "+defaultCNIBin+")")
	fs.StringVar(&opts.CNIConfDir, "cni-conf-dir", "", "the nodes' directory of network configurations (default "+defaultCNIConf+")")
	fs.StringVar(&opts.Storage, "storage", "", "keep the flows server's flows in a claim of this size, such as 8Gi (default: none, they go with its pod)")
	fs.StringVar(&opts.StorageClass, "storage-class", "", "storage class of the claim (default: as it is, else the cluster's default)")
	addWaitFlags(cmd, &opts.Wait, &opts.Timeout, "wait until the agents of all nodes are ready")
	output.AddFlag(fs, &opts.Format, output.Text, output.Name, output.JSON, output.YAML)
	return cmd
}

func addWaitFlags(cmd *cobra.Command, wait *bool, timeout *time.Duration, usage string) {
	cmd.Flags().BoolVar(wait, "wait", false, usage)
	cmd.Flags().DurationVar(timeout, "timeout", 5*time.Minute, "how long to wait for each thing")
}

// clusterOnly refuses flags that mean something else than a cluster.
func clusterOnly(cmd *cobra.Command) error {
	for _, name := range []string{"dir", "lab"} {
		if flag := cmd.Flags().Lookup(name); flag != nil && flag.Changed {
			return cli.Usage(cmd.CommandPath()+" --context NAME", "--%s: this is about a cluster, which --context and --kubeconfig name", name)
		}
	}
	return nil
}

var (
	released = regexp.MustCompile(`^v\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?$`)
	pseudo   = regexp.MustCompile(`\d{14}-[0-9a-f]{12}`)
)

// release is the released version that a program of some version installs.
func release(program string) string {
	if released.MatchString(program) && !pseudo.MatchString(program) {
		return program
	}
	return install.Release
}

// settings are the values that flags and files say.
func (o *InstallOptions) settings() (*install.Values, error) {
	const try = "netpol install --help"
	version := release(programVersion())
	switch {
	case o.Image != "" && o.Version != "":
		return nil, cli.Usage(try, "--image and --version can't be given together")
	case o.Version != "" && !released.MatchString(o.Version):
		return nil, cli.Usage(try, "--version %q: expected v1.2.3", o.Version)
	case o.Version != "":
		version = o.Version
	}
	if o.Timeout <= 0 {
		return nil, cli.Usage(try, "--timeout %s: must be more than 0", o.Timeout)
	}
	v, err := install.Defaults(version)
	if err != nil {
		return nil, err
	}
	for _, file := range o.Values {
		var data []byte
		if file == "-" {
			data, err = io.ReadAll(o.IO.In)
		} else {
			data, err = os.ReadFile(file)
		}
		if err == nil {
			err = v.Merge(data)
		}
		if err != nil {
			return nil, &cli.Error{What: fmt.Sprintf("--values %s: %v", file, err), Try: "see deploy/helm/netpol/values.yaml for the settings there are", Err: err}
		}
	}
	if o.Image != "" {
		v.Image = o.Image
	}
	if err := v.Validate(); err != nil {
		return nil, cli.Usage(try, "--%v", err)
	}
	if err := o.cni(v); err != nil {
		return nil, err
	}
	return v, o.storage(v)
}

func installRun(ctx context.Context, opts *InstallOptions) error {
	v, err := opts.settings()
	if err != nil {
		return err
	}
	if cluster.DryRun(opts.DryRun) == cluster.DryRunClient {
		return opts.show(v)
	}
	return opts.apply(ctx, v)
}
