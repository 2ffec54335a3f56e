package cmd

import (
	"context"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/pkg/policy"
)

// NewCmdCompletion is "netpol completion".
func NewCmdCompletion(f *cli.Factory) *cobra.Command {
	return &cobra.Command{
		Use:   "completion bash|zsh|fish|powershell",
		Short: "Print the completion script for a shell",
		Long: `Print the completion script for a shell. It completes commands, flags, and the
names of namespaces, workloads, policies and tiers that there are. On a cluster
that does not answer within two seconds it completes no names.

  bash        source <(netpol completion bash)   (needs bash-completion)
  zsh         netpol completion zsh > "${fpath[1]}/_netpol"
  fish        netpol completion fish > ~/.config/fish/completions/netpol.fish
  powershell  netpol completion powershell | Out-String | Invoke-Expression`,
		Args:      exactArgs("SHELL (bash, zsh, fish or powershell)"),
		ValidArgs: []string{"bash", "zsh", "fish", "powershell"},
		RunE: func(cmd *cobra.Command, args []string) error {
			root, out := cmd.Root(), f.IO.Out
			switch args[0] {
			case "bash":
				return root.GenBashCompletionV2(out, true)
			case "zsh":
				return root.GenZshCompletion(out)
			case "fish":
				return root.GenFishCompletion(out, true)
			case "powershell":
				return root.GenPowerShellCompletionWithDesc(out)
			}
			return cli.Unknown("shell", args[0], []string{"bash", "zsh", "fish", "powershell"}, "netpol completion --help")
		},
	}
}

// names lists what may be completed from the resources there are.
type names func(w *world) []string

// completionTime is how long a completion may take: nobody waits longer for it.
const completionTime = 2 * time.Second

// completer completes from the store, of which kinds are enough. What can't be
// read in time completes to nothing, and nothing is said about it: the words
// would land in the middle of the user's command.
func completer(f *cli.Factory, list names, kinds ...policy.Kind) func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		f.Remember(cmd)
		f.Hush(completionTime)
		ctx := cmd.Context()
		if ctx == nil {
			ctx = context.Background()
		}
		ctx, cancel := context.WithTimeout(ctx, completionTime)
		defer cancel()
		found := make(chan []string, 1)
		go func() { // the process ends with this command, and so does what hangs
			w, _, err := loadWorld(ctx, f.Store, kinds...)
			if err != nil {
				found <- nil
				return
			}
			out := list(w)
			slices.Sort(out)
			found <- slices.Compact(out)
		}()
		select {
		case out := <-found:
			return out, cobra.ShellCompDirectiveNoFileComp
		case <-ctx.Done():
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
	}
}

// workloadKinds are those that workloads are known from.
var workloadKinds = []policy.Kind{
	policy.KindPod, policy.KindDeployment, policy.KindStatefulSet, policy.KindDaemonSet, policy.KindReplicaSet, policy.KindJob, policy.KindCronJob,
}

func tierNames(w *world) []string {
	var out []string
	for _, t := range w.snap.AllTiers() {
		out = append(out, t.Name)
	}
	return out
}

func namespaceNames(w *world) []string {
	var out []string
	for _, ns := range w.snap.Namespaces {
		out = append(out, ns.Name)
	}
	return out
}

// policyNames lists the policies of some kinds, in the namespaces given by -n
// and of none.
func policyNames(f *cli.Factory, kinds []policy.Kind) names {
	return func(w *world) []string {
		in := f.Namespaces()
		var out []string
		for _, k := range w.keys {
			if slices.Contains(kinds, k.Kind) && (len(in) == 0 || k.Namespace == "" || slices.Contains(in, k.Namespace)) {
				out = append(out, k.Name)
			}
		}
		return out
	}
}

// completeArg completes the first argument of a command.
func completeArg(cmd *cobra.Command, f *cli.Factory, list names, kinds ...policy.Kind) {
	complete := completer(f, list, kinds...)
	cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return complete(cmd, args, prefix)
	}
}

// completeFlag completes a flag's value. The flag exists, so the only error
// there could be can't happen.
func completeFlag(cmd *cobra.Command, f *cli.Factory, flag string, list names, kinds ...policy.Kind) {
	_ = cmd.RegisterFlagCompletionFunc(flag, completer(f, list, kinds...))
}

func completeTier(cmd *cobra.Command, f *cli.Factory) {
	completeFlag(cmd, f, "tier", tierNames, policy.KindTier)
}

// completeOutput completes the formats of -o for every command that has it.
func completeOutput(cmd *cobra.Command) {
	if flag := cmd.Flags().Lookup("output"); flag != nil {
		if formats, ok := flag.Value.(interface{ Formats() []string }); ok {
			_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(formats.Formats(), cobra.ShellCompDirectiveNoFileComp))
		}
	}
	for _, sub := range cmd.Commands() {
		completeOutput(sub)
	}
}
