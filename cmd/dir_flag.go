package cmd

import (
	"github.com/spf13/cobra"

	"github.com/netpol-project/netpol/internal/cli"
)

// addDir gives a command -f DIR, where that is not the manifests that it
// applies or the tests that it runs. what is what it does with them.
func addDir(cmd *cobra.Command, what string) {
	dir := &dirFlag{cmd: cmd}
	cmd.PreRunE = dir.check
	cmd.Flags().VarP(dir, "policies", "f", "directory of manifests to "+what+"; the same as --dir")
	_ = cmd.MarkFlagDirname("policies") // the flag exists
}

// dirFlag is --dir by another name.
type dirFlag struct {
	cmd *cobra.Command
	// path is what was typed, and other what --dir said before.
	path, other string
}

// Set implements pflag.Value.
func (d *dirFlag) Set(path string) error {
	if dir := d.cmd.InheritedFlags().Lookup("dir"); d.path == "" && dir.Changed {
		d.other = dir.Value.String()
	}
	d.path = path
	return d.cmd.InheritedFlags().Set("dir", path)
}

// check refuses two directories, of which one would not count.
func (d *dirFlag) check(cmd *cobra.Command, _ []string) error {
	if d.path == "" {
		return nil
	}
	for _, dir := range []string{d.other, cmd.Flag("dir").Value.String()} {
		if dir != "" && dir != d.path {
			return cli.Usage("-f DIR alone", "-f %s and --dir %s: both name the directory to judge by", d.path, dir)
		}
	}
	return nil
}

// Type implements pflag.Value.
func (*dirFlag) Type() string { return "string" }

// String implements pflag.Value.
func (*dirFlag) String() string { return "" }
