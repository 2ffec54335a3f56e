package cmd

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/netpol-project/netpol/internal/cli"
	site "github.com/netpol-project/netpol/internal/cluster/install"
	"github.com/netpol-project/netpol/internal/cluster/kube"
	"github.com/netpol-project/netpol/internal/install"
	"github.com/netpol-project/netpol/internal/output"
)

// UninstallOptions are what uninstall needs.
type UninstallOptions struct {
	IO      *cli.Streams
	Now     func() time.Time
	Cluster func() (*kube.Conn, error)
	Format  output.Format
	Purge   bool
	Yes     bool
	// CleanNodes removes rules though there is no agent.
	CleanNodes bool
	Image      string
	// The nodes' CNI directories, if they are not those of the installed agents.
	CNIBinDir, CNIConfDir string
	Wait                  bool
	Timeout               time.Duration
}

// NewCmdUninstall is "netpol uninstall".
func NewCmdUninstall(f *cli.Factory, runF func(context.Context, *UninstallOptions) error) *cobra.Command {
	opts := &UninstallOptions{IO: f.IO, Now: f.Now, Cluster: f.Cluster}
	cmd := &cobra.Command{
		Use:   "uninstall",
		Short: "Take netpol off a cluster, and its rules out of every kernel",
		Long: `Take netpol off a cluster: the agents, the flows server, rights and admission
policies. Policies and their kinds stay, so that another installation finds
them; --purge removes them too.

An agent's rules outlive it, so every node is then asked to remove them, by a
pod that is gone a moment later; where the CNI plugin (install --cni) is still
on the node, that removes it before. Nodes that do not answer within --timeout
are named; there the rules stay until the node is installed anew, or until
somebody types "netpol agent --cleanup" there. From then on every pod may talk
to every pod.`,
		Example: `  netpol uninstall
  netpol uninstall --purge --yes --wait`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := clusterOnly(cmd); err != nil {
				return err
			}
			if opts.Timeout <= 0 {
				return cli.Usage("netpol uninstall --help", "--timeout %s: must be more than 0", opts.Timeout)
			}
			if runF != nil {
				return runF(cmd.Context(), opts)
			}
			return uninstallRun(cmd.Context(), opts)
		},
	}
	fs := cmd.Flags()
	fs.BoolVar(&opts.Purge, "purge", false, "remove the kinds of projectcalico.org/v3 too, with every policy of them")
	fs.BoolVarP(&opts.Yes, "yes", "y", false, "with --purge: do not ask")
	fs.BoolVar(&opts.CleanNodes, "clean-nodes", false, "have the nodes remove rules though no agent is installed (after helm uninstall, say)")
	fs.StringVar(&opts.Image, "image", "", "image for that (default: the agents')")
	fs.StringVar(&opts.CNIBinDir, "cni-bin-dir", "", "the nodes' directory of CNI plugins (default: as installed, else "+defaultCNIBin+")")
	fs.StringVar(&opts.CNIConfDir, "cni-conf-dir", "", "the nodes' directory of network configurations (default: as installed, else "+defaultCNIConf+")")
	addWaitFlags(cmd, &opts.Wait, &opts.Timeout, "wait until nothing of it is left")
	output.AddFlag(fs, &opts.Format, output.Text, output.Name, output.JSON, output.YAML)
	return cmd
}

func uninstallRun(ctx context.Context, opts *UninstallOptions) error {
	conn, err := opts.Cluster()
	if err != nil {
		return err
	}
	e := opts.IO.ErrPrinter()
	client, err := site.New(conn, func(text string) { e.Printf("warning: %s\n", text) })
	if err != nil {
		return err
	}
	found, err := client.Detect(ctx)
	if err != nil {
		return err
	}
	if found.Helm != "" {
		namespace, name, _ := strings.Cut(found.Helm, "/")
		return &cli.Error{What: "netpol was installed here by Helm", Where: []string{fmt.Sprintf("release %s in namespace %s", name, namespace)},
			Try: fmt.Sprintf("helm uninstall %s -n %s && netpol uninstall --clean-nodes", name, namespace)}
	}
	installed, err := client.Installed(ctx)
	if err != nil {
		return err
	}
	left := slices.ContainsFunc(installed, func(u *unstructured.Unstructured) bool {
		return opts.Purge || u.GetKind() != "CustomResourceDefinition"
	})
	if !left && !opts.CleanNodes {
		e.Printf("there is nothing of netpol to remove here\n")
		return opts.report(nil, nil)
	}
	if err := opts.confirm(ctx, client, installed); err != nil {
		return err
	}
	return opts.remove(ctx, client, found)
}

// confirm has the user agree to the loss of policies.
func (o *UninstallOptions) confirm(ctx context.Context, client *site.Client, installed []*unstructured.Unstructured) error {
	kinds := slices.ContainsFunc(installed, func(u *unstructured.Unstructured) bool { return u.GetKind() == "CustomResourceDefinition" })
	if !o.Purge || !kinds || o.Yes {
		return nil
	}
	objects, namespaces, err := client.Stored(ctx)
	if err != nil {
		return err
	}
	what := fmt.Sprintf("--purge removes all kinds of projectcalico.org/v3 with %s in %s, for good",
		plural(objects, "resource"), plural(namespaces, "namespace"))
	if !o.IO.ErrTerminal {
		return cli.Usage("netpol uninstall --purge --yes", "%s: that takes --yes", what)
	}
	o.IO.ErrPrinter().Printf("%s.\nGo on? [y/N] ", what)
	answer, err := bufio.NewReader(o.IO.In).ReadString('\n')
	if err != nil && answer == "" {
		return cli.Usage("netpol uninstall --purge --yes", "nobody answered: nothing was removed")
	}
	if a := strings.ToLower(strings.TrimSpace(answer)); a != "y" && a != "yes" {
		return cli.Usage("", "nothing was removed")
	}
	return nil
}

func (o *UninstallOptions) remove(ctx context.Context, client *site.Client, found *site.Found) error {
	v, err := install.Defaults(release(programVersion()))
	if err != nil {
		return err
	}
	agent := found.Agent
	if o.Image != "" {
		v.Image = o.Image
	}
	if err := v.Validate(); err != nil {
		return cli.Usage("netpol uninstall --help", "--%v", err)
	}
	cni := install.InstalledCNI(agent)
	if cni.Enabled {
		v.Agent.CNI = cni
	}
	if err := setCNIDirs(v, o.CNIBinDir, o.CNIConfDir, "netpol uninstall --help"); err != nil {
		return err
	}
	remove := site.RemoveOptions{Agent: agent, Purge: o.Purge, Wait: o.Wait, Within: o.Timeout}
	if agent != nil || o.CleanNodes {
		if remove.Cleanup, err = install.Cleanup(v, agent); err != nil {
			return err
		}
		if o.Image != "" {
			if err := install.SetImage(remove.Cleanup, o.Image); err != nil {
				return err
			}
		}
		objects, err := install.Objects(v)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(objects, func(u *unstructured.Unstructured) bool { return u.GetKind() == "Namespace" })
		remove.Namespace = objects[i]
	}
	var results []site.Result
	remove.Tell = func(r site.Result) {
		results = append(results, r)
		tellResult(o.IO, o.Format, r, "")
	}
	status := statusLine{io: o.IO}
	remove.Progress = func(clean, nodes int) { status.show(fmt.Sprintf("rules removed on %d/%d nodes", clean, nodes)) }
	dirty, err := client.Remove(ctx, remove)
	status.end()
	if err == nil && len(dirty) > 0 {
		err = &cli.Error{What: "netpol is removed, but its rules may still be in the kernels of some nodes", Where: site.Lines(dirty),
			Try: "netpol uninstall --clean-nodes, once these nodes are back"}
	}
	if o.Format.Structured() {
		return errors.Join(o.report(results, dirty), err)
	}
	return err
}

// uninstallReport is uninstall's JSON.
type uninstallReport struct {
	output.Meta
	Items []installItem `json:"items"` // what was removed
	// Unclean are nodes whose kernel may still have rules, by name, with the reason.
	Unclean map[string]string `json:"unclean"`
}

func (o *UninstallOptions) report(results []site.Result, dirty map[string]string) error {
	if !o.Format.Structured() {
		return nil
	}
	report := uninstallReport{Meta: output.NewMeta("Uninstallation"), Items: []installItem{}, Unclean: map[string]string{}}
	for _, r := range results {
		report.Items = append(report.Items, installItemOf(r))
	}
	for node, why := range dirty {
		report.Unclean[node] = why
	}
	return o.IO.Printer().Object(o.Format, report)
}
