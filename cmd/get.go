package cmd

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/internal/cluster"
	"github.com/netpol-project/netpol/internal/output"
)

// GetOptions are what get needs.
type GetOptions struct {
	IO        *cli.Streams
	Now       func() time.Time
	Store     func() (cluster.Store, error)
	Word      string
	Names     []string
	Namespace string
	Format    output.Format
}

func newGetOptions(f *cli.Factory) *GetOptions {
	return &GetOptions{IO: f.IO, Now: f.Now, Store: f.Store}
}

// NewCmdGet is "netpol get".
func NewCmdGet(f *cli.Factory, runF func(context.Context, *GetOptions) error) *cobra.Command {
	opts := newGetOptions(f)
	cmd := &cobra.Command{
		Use:   "get TYPE [NAME …]",
		Short: "List policies, tiers, pods and what else policies speak of",
		Long: `List policies, tiers, pods and what else policies speak of, of all namespaces
unless -n says which. Policies come in the order in which they are judged.

Policies:   policies (all kinds), staged, networkpolicies (netpol),
            globalnetworkpolicies (gnp), kubernetesnetworkpolicies (knp),
            clusternetworkpolicies (cnp), stagednetworkpolicies (snp),
            stagedglobalnetworkpolicies (sgnp),
            stagedkubernetesnetworkpolicies (sknp)
Order:      tiers
Peers:      networksets (netset), globalnetworksets (gns), hostendpoints (hep)
Kubernetes: pods (po), namespaces (ns), services (svc), serviceaccounts (sa)`,
		Example: `  netpol get policies -n vote
  netpol get staged default-deny -o yaml
  netpol get tiers`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cli.Usage("netpol get policies", "TYPE is missing: policies, staged, tiers, networksets, pods, …")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.Word, opts.Names = args[0], args[1:]
			if word, name, ok := strings.Cut(args[0], "/"); ok {
				opts.Word, opts.Names = word, append([]string{name}, args[1:]...)
			}
			var err error
			if opts.Namespace, err = f.Namespace(); err != nil {
				return err
			}
			if runF != nil {
				return runF(cmd.Context(), opts)
			}
			return getRun(cmd.Context(), opts)
		},
	}
	addDir(cmd, "look at")
	output.AddFlag(cmd.Flags(), &opts.Format, output.Text, output.Wide, output.JSON, output.YAML, output.Name)
	cmd.ValidArgsFunction = completeGet(f)
	return cmd
}

// completeGet completes the type, then names of it.
func completeGet(f *cli.Factory) func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return func(cmd *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
		if len(args) == 0 {
			var out []string
			for _, n := range nouns {
				out = append(out, n.name)
			}
			return out, cobra.ShellCompDirectiveNoFileComp
		}
		n, err := findNoun(args[0], "")
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		if n.name == "tiers" {
			return completer(f, tierNames, n.kinds...)(cmd, args, prefix)
		}
		return completer(f, policyNames(f, n.kinds), n.kinds...)(cmd, args, prefix)
	}
}

func getRun(ctx context.Context, opts *GetOptions) error {
	n, err := findNoun(opts.Word, "netpol get --help")
	if err != nil {
		return err
	}
	w, faults, err := loadWorld(ctx, opts.Store, n.needs()...)
	if err != nil {
		return err
	}
	tellFaults(opts.IO, faults)
	if opts.Namespace != "" {
		if err := w.namespaces([]string{opts.Namespace}); err != nil {
			return err
		}
	}
	keys, err := w.selectKeys(n, opts)
	if err != nil {
		return err
	}
	switch {
	case opts.Format.Structured():
		return getObjects(ctx, opts, w, keys)
	case opts.Format == output.Name:
		for _, k := range keys {
			opts.IO.Printer().Printf("%s\n", resourceName(k))
		}
		return nil
	case len(keys) == 0:
		opts.IO.ErrPrinter().Printf("no %s found%s\n", n.plural(), inNamespace(opts.Namespace))
		return nil
	}
	return getTable(opts, w, n, keys)
}

func inNamespace(ns string) string {
	if ns == "" {
		return ""
	}
	return " in namespace " + ns
}
