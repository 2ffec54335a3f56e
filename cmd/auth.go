package cmd

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/internal/cluster"
	"github.com/netpol-project/netpol/internal/cluster/calico"
	"github.com/netpol-project/netpol/internal/output"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/rights"
)

// Access is the API server, which knows who has which right.
type Access interface {
	User(ctx context.Context) (rights.User, error)
	Allowed(ctx context.Context, list []rights.Right) ([]bool, error)
}

// NewCmdAuth is "netpol auth".
func NewCmdAuth(f *cli.Factory) *cobra.Command {
	return newGroup("auth", "Tell who may change policies of which tier", NewCmdAuthCanI(f, nil))
}

// AuthCanIOptions are what "auth can-i" needs.
type AuthCanIOptions struct {
	IO     *cli.Streams
	Access func() (Access, error)
	// Naming is where the API has a tier: in a policy's name, or beside it.
	Naming func(context.Context) (calico.Naming, error)
	Action rights.Action
	Format output.Format
}

// NewCmdAuthCanI is "netpol auth can-i".
func NewCmdAuthCanI(f *cli.Factory, runF func(context.Context, *AuthCanIOptions) error) *cobra.Command {
	opts := &AuthCanIOptions{IO: f.IO, Access: func() (Access, error) { return f.Cluster() }}
	opts.Naming = func(ctx context.Context) (calico.Naming, error) {
		info, err := f.Calico(ctx)
		if err != nil || !info.Enforces() {
			return calico.Free, err
		}
		return info.Version.Naming(), nil
	}
	cmd := &cobra.Command{
		Use:   "can-i VERB RESOURCE[/NAME]",
		Short: "Tell whether you may do something, and what to ask for",
		Long: `Tell whether you may do something with policies on the cluster: the API server
is asked for every right that it takes, on the resource and in the tier. If one
is missing, the role that grants it is printed, for an administrator to apply.

Verbs are ` + strings.Join(rights.Verbs()[:6], ", ") + `,
` + strings.Join(rights.Verbs()[6:], ", ") + `.
Without --tier it is tier default. Exit code 0: yes, 1: no.`,
		Example: `  netpol auth can-i stage networkpolicies --tier platform --ns vote
  netpol auth can-i move networkpolicies/db --from default --tier platform --ns vote
  netpol auth can-i create globalnetworkpolicies --tier security -o json`,
		Args:              exactArgs("VERB", "RESOURCE"),
		ValidArgsFunction: completeAction,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := opts.read(f, cmd, args); err != nil {
				return err
			}
			if runF != nil {
				return runF(cmd.Context(), opts)
			}
			return authCanIRun(cmd.Context(), opts)
		},
	}
	cmd.Flags().StringVar(&opts.Action.Tier, "tier", "", "tier that the policy is in, or comes to (default: default)")
	cmd.Flags().StringVar(&opts.Action.From, "from", "", "tier that a moved policy comes from (default: default)")
	output.AddFlag(cmd.Flags(), &opts.Format, output.Text, output.JSON, output.YAML)
	completeTier(cmd, f)
	completeFlag(cmd, f, "from", tierNames, policy.KindTier)
	return cmd
}

// completeAction completes the verb, then the resource.
func completeAction(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	switch len(args) {
	case 0:
		return rights.Verbs(), cobra.ShellCompDirectiveNoFileComp
	case 1:
		var out []string
		for _, n := range nouns {
			if n.name != "policies" && n.name != "staged" && rights.Resource(n.kinds[0]) != "" {
				out = append(out, n.name)
			}
		}
		return out, cobra.ShellCompDirectiveNoFileComp
	}
	return nil, cobra.ShellCompDirectiveNoFileComp
}

// read makes an action of what was typed.
func (o *AuthCanIOptions) read(f *cli.Factory, cmd *cobra.Command, args []string) error {
	const try = "netpol auth can-i create networkpolicies --tier TIER --ns NAMESPACE"
	if f.Offline() {
		return cli.Usage("the same without --dir", "--dir is files alone: rights are of a cluster")
	}
	a := &o.Action
	a.Verb = strings.ToLower(args[0])
	if !slices.Contains(rights.Verbs(), a.Verb) {
		return cli.Unknown("verb", args[0], rights.Verbs(), "netpol auth can-i --help")
	}
	word, name, _ := strings.Cut(args[1], "/")
	n, err := findNoun(word, try)
	if err != nil {
		return err
	}
	if n.name == "policies" || n.name == "staged" || rights.Resource(n.kinds[0]) == "" {
		return cli.Usage(try, "%s: say a kind of policies, tiers or sets; for other kinds ask kubectl auth can-i", word)
	}
	a.Kind, a.Name = n.kinds[0], name
	tiered := rights.Tiered(a.Kind) && !slices.Contains([]string{"get", "list", "watch"}, a.Verb)
	switch {
	case a.Tier != "" && !tiered:
		return cli.Usage(try, "--tier has no meaning here: there are no rights by tier to %s %s", a.Verb, rights.Resource(a.Kind))
	case cmd.Flags().Changed("from") && a.Verb != "move":
		return cli.Usage(try, "--from is for move")
	case !rights.Namespaced(a.Kind):
		return nil
	}
	if a.Namespace, err = f.Namespace(); err != nil || a.Namespace != "" || f.AllNamespaces() {
		return err
	}
	conn, err := f.Cluster()
	if err == nil {
		a.Namespace = conn.Namespace
	}
	return err
}

func authCanIRun(ctx context.Context, opts *AuthCanIOptions) error {
	if a := &opts.Action; rights.Tiered(a.Kind) && (a.Verb == "move" || a.Name != "") {
		naming, err := opts.Naming(ctx)
		if err != nil {
			return err
		}
		a.Anew, a.Stored = a.Verb == "move" && naming != calico.Free, naming.Name
	}
	needs, err := opts.Action.Needs()
	if err != nil {
		return cli.Usage("netpol auth can-i --help", "%v", err)
	}
	access, err := opts.Access()
	if err != nil {
		return err
	}
	user, err := access.User(ctx)
	if err != nil {
		return unanswered(err)
	}
	asked := rights.Rights(needs)
	wants := opts.Action.Wants()
	for _, w := range wants {
		if !slices.Contains(asked, w.Right) {
			asked = append(asked, w.Right)
		}
	}
	answers, err := access.Allowed(ctx, asked)
	if err != nil {
		return unanswered(err)
	}
	allowed := func(r rights.Right) bool { return answers[slices.Index(asked, r)] }
	report, missing := opts.judge(user, needs, wants, allowed)
	p := opts.IO.Printer()
	if opts.Format.Structured() {
		err = p.Object(opts.Format, report)
	} else {
		err = opts.print(p, report, missing)
	}
	if err != nil {
		return err
	}
	return cli.Answer(report.Allowed)
}

// unanswered is the error of a server that gives no answer.
func unanswered(err error) error {
	if failure := (*cluster.Failure)(nil); errors.As(err, &failure) {
		return err
	}
	return &cli.Error{What: "the API server does not answer", Where: []string{err.Error()}, Try: "kubectl auth whoami", Err: err}
}
