package cli

import (
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// PluginName is how users call netpol where it is kubectl's plugin.
const PluginName = "kubectl netpol"

// typed is where a text tells one of netpol's commands: the program's name and
// the word after it.
var typed = regexp.MustCompile(`(^|[^\w./-])(?:kubectl )?netpol( +)([a-z]+|-[-a-z]+|…)`)

// asking is where a text tells a command that reads flows, and so takes --flows.
var asking = regexp.MustCompile(`\bnetpol(?: --[a-z]+ (?:'[^']*'|\S+))* (?:report|recommend|fix|enforce|unenforce|rollback|flows)\b`)

// placing is where a text tells a command that takes from a file of flows the
// workloads alone.
var placing = regexp.MustCompile(`\bnetpol(?: --[a-z]+ (?:'[^']*'|\S+))* (?:connectivity|explain|diff|test)\b`)

// Retype puts the name by which users call netpol into a text that tells
// commands. Where commands are given, no other word after netpol makes one: the
// text may have sentences about netpol.
func Retype(text, program string, commands []string) string {
	return typed.ReplaceAllStringFunc(text, func(found string) string {
		m := typed.FindStringSubmatch(found)
		if word := m[3]; len(commands) > 0 && word[0] != '-' && !slices.Contains(commands, word) {
			return found
		}
		return m[1] + program + m[2] + m[3]
	})
}

// Command is a command (or several) as users have to type it: by the name by
// which they call netpol, and with the --dir, --lab or --flows that they typed.
func (f *Factory) Command(text string) string {
	program := "netpol"
	if f.Program != "" {
		program = f.Program
	}
	if !saysWhere.MatchString(text) {
		program += f.where
	}
	text = Retype(text, program, nil)
	if f.flows == "" || strings.Contains(text, "--flows") {
		return text
	}
	add := func(found string) string { return found + f.flows }
	if !strings.Contains(f.flows, "://") {
		text = placing.ReplaceAllStringFunc(text, add)
	}
	return asking.ReplaceAllStringFunc(text, add)
}

// saysWhere are commands that say themselves where to look, or need not.
var saysWhere = regexp.MustCompile(`--(lab|dir|context|kubeconfig|help)\b|\bnetpol (lab up|lab [a-z]+ --all|completion|version)\b`)

// Remember keeps what cmd was told about where to look, for the commands that
// users are offered.
func (f *Factory) Remember(cmd *cobra.Command) {
	f.where = ""
	typed := map[string]bool{}
	for _, name := range []string{"dir", "lab", "context", "kubeconfig"} {
		if flag := cmd.Flags().Lookup(name); flag != nil && flag.Changed {
			f.where += " --" + name + " " + ShellWord(flag.Value.String())
			typed[name] = true
		}
	}
	f.flows = ""
	for _, name := range []string{"flows", "flows-ca", "flows-cert", "flows-key", "flows-token-file", "flows-password-file"} {
		if flag := cmd.Flags().Lookup(name); flag != nil && flag.Changed {
			f.flows += " --" + name + " " + ShellWord(flag.Value.String())
		}
	}
	// What was typed wins over what was set.
	f.labAsked = typed["lab"] || (os.Getenv("NETPOL_LAB") != "" || f.Config.InConfig("lab")) && !typed["context"] && !typed["kubeconfig"]
	if flag := cmd.Flags().Lookup("as"); flag != nil {
		f.as.User = flag.Value.String()
	}
	if groups, err := cmd.Flags().GetStringArray("as-group"); err == nil {
		f.as.Groups = groups
	}
}

// bare are words that no shell makes something else of.
var bare = regexp.MustCompile(`^[\w@%+=:,./-]+$`)

// ShellWord is a word as shells take it.
func ShellWord(word string) string {
	if bare.MatchString(word) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// Report writes an error to the error stream as Report does, and what to type
// next as it has to be typed.
func (f *Factory) Report(err error) {
	if e := reported(err); e != nil {
		told := *e
		told.Try = f.Command(e.Try)
		report(f.IO.Err, &told)
	}
}
