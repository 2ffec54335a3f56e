package cmd

import (
	"context"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/internal/output"
	"github.com/netpol-project/netpol/pkg/enforce/agentpb"
)

// StatusOptions are what status needs.
type StatusOptions struct {
	Factory *cli.Factory
	Format  output.Format
}

// NewCmdStatus is "netpol status".
func NewCmdStatus(f *cli.Factory, runF func(*StatusOptions) error) *cobra.Command {
	opts := &StatusOptions{Factory: f}
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show whether every node's agent enforces",
		Long: `Show each node's agent: whether it is ready and enforces, what it has
programmed, how long the last change took to the kernel (LAG), how many events
it lost, and how often kernel and model disagreed, which must be 0. On a cluster
that is what the agents tell the flows server; in a lab, its one agent.

Exit code 1 if an agent is missing, not ready, does not enforce, or disagrees.
Versions that differ are a warning, and so is a node that is to have the CNI
plugin and where it is not in force (-o wide has a column for it).`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if runF != nil {
				return runF(opts)
			}
			return statusRun(cmd.Context(), opts)
		},
	}
	output.AddFlag(cmd.Flags(), &opts.Format, output.Text, output.Wide, output.JSON, output.YAML)
	return cmd
}

func statusRun(ctx context.Context, opts *StatusOptions) error {
	doc, err := readStatus(ctx, opts.Factory)
	if err != nil {
		return err
	}
	doc.judge(programVersion())
	if opts.Format.Structured() {
		err = opts.Factory.IO.Printer().Object(opts.Format, doc)
	} else {
		err = printStatus(opts.Factory.IO, doc, opts.Format == output.Wide, opts.Factory.Now())
	}
	if err != nil {
		return err
	}
	return cli.Answer(doc.Healthy)
}

// readStatus asks the lab's agent or the cluster's flows server.
func readStatus(ctx context.Context, f *cli.Factory) (*statusReport, error) {
	target, err := f.Target()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	doc := &statusReport{Meta: output.NewMeta("Status"), Nodes: []nodeStatus{}, Problems: []string{}, Warnings: []string{}}
	switch target {
	case cli.TargetDir:
		return nil, cli.Usage("netpol status without --dir, or netpol validate", "--dir is files alone: no agent enforces them that could have a status")
	case cli.TargetLab:
		agent, err := f.Agent(ctx)
		if err != nil {
			return nil, err
		}
		s, err := agent.Status(ctx, &agentpb.StatusRequest{})
		switch status.Code(err) {
		case codes.OK:
			doc.Nodes = append(doc.Nodes, newNodeStatus(&agentpb.NodeReply{Node: s.GetNode(), Connected: true, Status: s}))
		case codes.Unavailable:
			doc.Nodes = append(doc.Nodes, newNodeStatus(&agentpb.NodeReply{Node: "lab"}))
		default:
			return nil, &cli.Error{What: "the lab's agent does not tell its status", Where: []string{agentText(err)}, Try: "netpol lab status", Err: err}
		}
		return doc, nil
	}
	return doc, doc.readCluster(ctx, f)
}

func (doc *statusReport) readCluster(ctx context.Context, f *cli.Factory) error {
	nodes, err := f.Nodes(ctx)
	if err != nil {
		return err
	}
	reply, err := nodes.List(ctx, &agentpb.NodesRequest{})
	switch status.Code(err) {
	case codes.OK:
	case codes.PermissionDenied, codes.Unauthenticated:
		return &cli.Error{
			What: "the agents' status is not yours to see", Where: []string{statusText(err)}, Err: err,
			Try: "as an administrator: kubectl create clusterrolebinding NAME --clusterrole=netpol-flows-reader --user=USER",
		}
	default:
		return &cli.Error{What: "the flows server does not tell the agents' status", Where: []string{statusText(err)}, Try: "kubectl -n netpol-system get pods", Err: err}
	}
	doc.FlowsServer = &serverStatus{Version: reply.GetVersion(), Expected: len(reply.GetNodes())}
	for _, w := range reply.GetWarnings() {
		doc.Warnings = append(doc.Warnings, "flows server: "+w)
	}
	for _, n := range reply.GetNodes() {
		if n.GetConnected() {
			doc.FlowsServer.Connected++
		}
		doc.Nodes = append(doc.Nodes, newNodeStatus(n))
	}
	return nil
}
