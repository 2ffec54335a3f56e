package cli

import (
	"context"
	"errors"

	"github.com/netpol-project/netpol/internal/cluster"
	"github.com/netpol-project/netpol/internal/lab"
	"github.com/netpol-project/netpol/pkg/enforce/agentpb"
	"github.com/netpol-project/netpol/pkg/flow"
)

var errNotYet = errors.New("no lab is running")

func openLab(name string) (*lab.Client, error)                   { return nil, errNotYet }
func openDir(dir string) (cluster.Store, error)                  { return nil, errNotYet }
func manifests(*lab.Client) string                               { return "" }
func labFlows(context.Context, *lab.Client) (flow.Source, error) { return nil, errNotYet }
func labAgent(context.Context, *lab.Client) (agentpb.AgentClient, error) {
	return nil, errNotYet
}
