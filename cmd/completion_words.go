package cmd

import (
	"slices"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// wordsOf are the words that a flag takes, by "FLAG" or "COMMAND FLAG".
var wordsOf = map[string][]string{
	"dry-run":        {"none", "client", "server"},
	"flows verdict":  {"allow", "deny"},
	"flows pending":  {"allow", "deny"},
	"flows by":       {"namespace", "workload"},
	"flows protocol": {"tcp", "udp", "icmp", "icmpv6", "sctp", "udplite"},
	"probe protocol": {"tcp", "udp", "icmp"},
	"family":         {"4", "6", "both"},
	"via":            {"pod", "service"},
	"types":          {"ingress", "egress"},
	"default-action": {"deny", "pass"},
	"established":    {"cut", "keep"},
	"log-level":      {"debug", "info", "warn", "error"},
}

// completeWords completes the flags that take one of a few words, and keeps a shell
// from offering files where a number or a time is meant.
func completeWords(cmd *cobra.Command) {
	numbers := []string{"int", "int64", "uint16", "float64", "duration"}
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
		words := wordsOf[cmd.Name()+" "+f.Name]
		if words == nil {
			words = wordsOf[f.Name]
		}
		if words != nil {
			_ = cmd.RegisterFlagCompletionFunc(f.Name, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp))
		} else if slices.Contains(numbers, f.Value.Type()) || slices.Contains([]string{"since", "until", "port", "to-port"}, f.Name) {
			_ = cmd.RegisterFlagCompletionFunc(f.Name, cobra.NoFileCompletions)
		}
	})
	for _, sub := range cmd.Commands() {
		completeWords(sub)
	}
}
