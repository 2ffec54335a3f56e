package cmd

import (
	"errors"

	"github.com/spf13/cobra"
)

// dryRun is the value of --dry-run; a directory knows no server of its own, so
// client and server are one.
type dryRun bool

func (d *dryRun) addTo(cmd *cobra.Command) {
	cmd.Flags().Var(d, "dry-run", "check everything and tell what would be done, but write nothing: none|client|server")
	cmd.Flags().Lookup("dry-run").NoOptDefVal = "client"
}

func (d *dryRun) String() string {
	if *d {
		return "client"
	}
	return "none"
}

// Type is shown in help.
func (d *dryRun) Type() string { return "mode" }

// Set takes what kubectl takes.
func (d *dryRun) Set(s string) error {
	switch s {
	case "client", "server", "true":
		*d = true
	case "none", "false":
		*d = false
	default:
		return errors.New("expected none, client or server")
	}
	return nil
}
