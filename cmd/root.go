package cmd

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/pkg/policy"
)

// The groups that help lists commands in.
const (
	groupFlow   = "flow"   // the way from open to closed, in order
	groupLook   = "look"   // what is, and why
	groupPolicy = "policy" // policies by hand
	groupLab    = "lab"
)

// Which resources are meant without a flag; kubectl's plugin is about the cluster.
const (
	labFirst    = "Without such a flag it is the lab that is running, else the\ncluster that kubectl works on."
	pluginFirst = "Without such a flag it is the cluster that kubectl works on."
)

// NewCmdRoot is netpol itself. program is the name it was called by: as
// kubectl-netpol it is a plugin, and help shows what the user typed.
func NewCmdRoot(f *cli.Factory, program string) (*cobra.Command, error) {
	root := &cobra.Command{
		Use:   "netpol",
		Short: "Close a namespace's network without breaking it",
		Long: `netpol takes a namespace from "everything is allowed" to "only what is needed
is allowed" without breaking it: watch the traffic, stage a default-deny, see
what it would block, recommend the missing policies, enforce, and prove it.

Policies are projectcalico.org/v3 resources. They are those of a directory of
manifests (--dir), of a lab (--lab), or of a Kubernetes cluster (--context,
--kubeconfig). ` + labFirst + `

What says where to look (the flags below but --as and --as-group), -o and
--since can be set for good: NETPOL_LAB=second in the environment, or
lab: second in netpol/config.yaml in your configuration directory (~/.config),
or in the file that NETPOL_CONFIG names.`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			return unknownCommand(cmd, args[0])
		},
		PersistentPreRunE: func(cmd *cobra.Command, args []string) error {
			f.Remember(cmd)
			f.Ran = commandText(cmd, args)
			if err := cli.ApplyConfig(cmd, f.Config); err != nil {
				return err
			}
			return f.Check()
		},
	}
	if name := programName(program); strings.HasPrefix(name, "kubectl-") || name == kubectlCompleter {
		f.Program = cli.PluginName
		root.Annotations = map[string]string{cobra.CommandDisplayNameAnnotation: cli.PluginName}
	}
	root.SetIn(f.IO.In)
	root.SetOut(f.IO.Out)
	root.SetErr(f.IO.Err)
	root.SetFlagErrorFunc(flagError)
	if err := cli.AddGlobalFlags(root, f.Config); err != nil {
		return nil, err
	}
	completeFlag(root, f, "namespace", namespaceNames, policy.KindNamespace)
	root.AddGroup(
		&cobra.Group{ID: groupFlow, Title: "From open to closed:"},
		&cobra.Group{ID: groupLook, Title: "Look and prove:"},
		&cobra.Group{ID: groupPolicy, Title: "Policies and tiers:"},
		&cobra.Group{ID: groupLab, Title: "Cluster, lab and agent:"},
	)
	addCommands(root, f)
	completeOutput(root)
	completeWords(root)
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetHelpCommand(newCmdHelp())
	// On a terminal what flags are for is in a column, and not broken by it.
	root.SetUsageTemplate(strings.ReplaceAll(root.UsageTemplate(), "FlagUsages |", fmt.Sprintf("FlagUsagesWrapped %d |", f.IO.Width)))
	if f.Program != "" {
		root.Long = strings.Replace(root.Long, labFirst, pluginFirst, 1)
		var names []string
		for _, c := range root.Commands() {
			names = append(names, c.Name())
		}
		retype(root, f.Program, names)
	}
	return root, nil
}

// retype puts the name by which netpol was called into all help.
func retype(cmd *cobra.Command, program string, commands []string) {
	cmd.Long = cli.Retype(cmd.Long, program, commands)
	cmd.Example = cli.Retype(cmd.Example, program, commands)
	for _, sub := range cmd.Commands() {
		retype(sub, program, commands)
	}
}

// inGroup puts a command into a group of help.
func inGroup(group string, c *cobra.Command) *cobra.Command {
	c.GroupID = group
	return c
}

// newCmdHelp is "netpol help COMMAND", which fails for a command there is not.
func newCmdHelp() *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "Show the help of a command",
		RunE: func(cmd *cobra.Command, args []string) error {
			target, rest, err := cmd.Root().Find(args)
			if err != nil || len(rest) > 0 && target == cmd.Root() {
				return unknownCommand(cmd.Root(), args[0])
			}
			target.InitDefaultHelpFlag()
			return target.Help()
		},
	}
}

// unknownCommand is the error for a word that is no subcommand of cmd.
func unknownCommand(cmd *cobra.Command, word string) error {
	var names []string
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			names = append(names, c.Name())
		}
	}
	return cli.Unknown("command", word, names, cmd.CommandPath()+" --help")
}

// newGroup is a command that only has subcommands.
func newGroup(use, short string, commands ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, Args: cobra.ArbitraryArgs, RunE: parent}
	cmd.AddCommand(commands...)
	return cmd
}

// parent is the RunE of a command that only has subcommands.
func parent(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return cmd.Help()
	}
	return unknownCommand(cmd, args[0])
}

// atMostOneArg is cobra.MaximumNArgs(1) with an error that names what is too much.
func atMostOneArg(cmd *cobra.Command, args []string) error {
	if len(args) > 1 {
		return cli.Usage(cmd.CommandPath()+" --help", "unexpected argument %q", args[1])
	}
	return nil
}

// exactArgs is cobra.ExactArgs with an error that names what is missing.
func exactArgs(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == len(names) {
			return nil
		}
		try := cmd.CommandPath() + " --help"
		if len(args) < len(names) {
			missing, verb := names[len(args):], "is"
			if len(missing) > 1 {
				verb = "are"
			}
			return cli.Usage(try, "%s %s missing", strings.Join(missing, " and "), verb)
		}
		return cli.Usage(try, "unexpected argument %q", args[len(names)])
	}
}
