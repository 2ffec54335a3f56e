package cmd

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/netpol-project/netpol/internal/cluster"
)

// dryRun is the value of --dry-run.
type dryRun cluster.DryRun

// on says that nothing is to be written.
func (d dryRun) on() bool { return cluster.DryRun(d) != cluster.NoDryRun }

func (d *dryRun) addTo(cmd *cobra.Command) {
	cmd.Flags().Var(d, "dry-run", "check everything and tell what would be done, but write nothing: none|client|server (on a cluster; it checks too)")
	cmd.Flags().Lookup("dry-run").NoOptDefVal = "client"
}

func (d *dryRun) String() string {
	switch cluster.DryRun(*d) {
	case cluster.DryRunClient:
		return "client"
	case cluster.DryRunServer:
		return "server"
	}
	return "none"
}

// Type is shown in help.
func (d *dryRun) Type() string { return "mode" }

// Set takes what kubectl takes.
func (d *dryRun) Set(s string) error {
	switch s {
	case "client", "true":
		*d = dryRun(cluster.DryRunClient)
	case "server":
		*d = dryRun(cluster.DryRunServer)
	case "none", "false":
		*d = dryRun(cluster.NoDryRun)
	default:
		return errors.New("expected none, client or server")
	}
	return nil
}

// addForce gives a command --force-conflicts.
func (o *EditOptions) addForce(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&o.ForceConflicts, "force-conflicts", false, "on a cluster: change fields that others manage, and manage them from then on")
}
