package cmd

import (
	"context"
	"errors"
	"testing"

	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/internal/cluster/calico"
)

// Calico enforces policies for host endpoints, and no agent of ours does: so a lab
// and a cluster without Calico have none, and of what is not known they may be.
func TestHostsAreEnforcedWhereCalicoMayBe(t *testing.T) {
	v, _ := calico.ParseVersion("v3.30.2")
	for name, tc := range map[string]struct {
		target cli.Target
		calico *calico.Info
		err    error
		want   bool
	}{
		"a lab":                            {target: cli.TargetLab},
		"a directory":                      {target: cli.TargetDir, want: true},
		"a cluster without Calico":         {target: cli.TargetCluster, calico: &calico.Info{}},
		"beside Calico":                    {target: cli.TargetCluster, calico: &calico.Info{Found: true, Unsure: true, Version: v}, want: true},
		"Calico's resources and no agents": {target: cli.TargetCluster, calico: &calico.Info{Found: true, Version: v}},
		"it can't be looked for":           {target: cli.TargetCluster, err: errors.New("forbidden"), want: true},
	} {
		t.Run(name, func(t *testing.T) {
			f := &cli.Factory{
				Target: func() (cli.Target, error) { return tc.target, nil },
				Calico: func(context.Context) (*calico.Info, error) { return tc.calico, tc.err },
			}
			if got := hostsEnforced(t.Context(), f); got != tc.want {
				t.Errorf("got %v, want %v", got, tc.want)
			}
		})
	}
}
