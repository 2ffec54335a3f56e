package cmd

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/internal/cluster"
	"github.com/netpol-project/netpol/internal/output"
	"github.com/netpol-project/netpol/pkg/enforce/agentpb"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/stage"
)

// EditOptions are what every command needs that changes resources.
type EditOptions struct {
	IO    *cli.Streams
	Now   func() time.Time
	Store func() (cluster.Store, error)
	Agent func(context.Context) (agentpb.AgentClient, error)
	// Offline: there is no agent, the changes are to files alone.
	Offline func() bool
	// Namespace of the kubeconfig's context, for what names none; "" unless
	// this is a cluster.
	Default func() string
	DryRun  dryRun
	// ForceConflicts takes over fields that others manage.
	ForceConflicts bool
	Format         output.Format
	// Nodes are a cluster's agents, which Wait is for.
	Nodes func(context.Context) (agentpb.NodesClient, error)
	Wait  waitFlags
	// Command is a command as users have to type it; nil: as it is written.
	Command func(string) string
	// Author is who makes the changes, for their history; nil: nobody knows.
	Author func() stage.Author
	// preflight is told with a dry run's changes; nil: there was none.
	preflight *preflightReport
}

func newEditOptions(f *cli.Factory) EditOptions {
	return EditOptions{IO: f.IO, Now: f.Now, Store: f.Store, Agent: f.Agent, Offline: f.Offline, Default: f.DefaultNamespace, Nodes: f.Nodes, Command: f.Command,
		Author: func() stage.Author { return authorOf(f) }}
}

// typed is a command as users have to type it.
func (o *EditOptions) typed(command string) string {
	if o.Command == nil {
		return command
	}
	return o.Command(command)
}

// world is the policies, tiers and namespaces that there are.
func (o *EditOptions) world(ctx context.Context) (*world, error) {
	w, _, err := o.worldAndFaults(ctx)
	return w, err
}

// worldTold is world for commands that show what there is: faults are told, since what
// has them may be missing in the answer.
func (o *EditOptions) worldTold(ctx context.Context) (*world, error) {
	w, faults, err := o.worldAndFaults(ctx)
	if err == nil {
		tellFaults(o.IO, faults)
	}
	return w, err
}

func (o *EditOptions) worldAndFaults(ctx context.Context) (*world, policy.Faults, error) {
	w, faults, err := loadWorld(ctx, o.Store, orderKinds...)
	if err == nil && o.Default != nil {
		w.home = o.Default()
	}
	return w, faults, err
}

// addFlags gives a command --dry-run, --wait, --timeout and -o.
func (o *EditOptions) addFlags(cmd *cobra.Command) {
	o.DryRun.addTo(cmd)
	o.Wait.addTo(cmd)
	output.AddFlag(cmd.Flags(), &o.Format, output.Text, output.Name, output.JSON, output.YAML)
}

// change carries out changes, tells what was done, and returns when it is in
// force. words replace an outcome's word (created → staged) by key.
func (o *EditOptions) change(ctx context.Context, changes []cluster.Change, words map[policy.Key]string) error {
	if err := o.Wait.check(o); err != nil {
		return err
	}
	store, err := o.Store()
	if err != nil {
		return err
	}
	_, server := store.(cluster.Server)
	if server && !o.DryRun.on() && !o.Wait.off() {
		o.prepare(ctx)
	}
	changes, finish, err := o.record(ctx, store, changes)
	if err != nil {
		return changeError(err)
	}
	start := o.Now()
	results, err := o.write(ctx, store, changes)
	if err != nil {
		return changeError(err)
	}
	finish()
	if err := o.tell(results, words); err != nil || o.DryRun.on() {
		return err
	}
	changed, enforced := false, false
	for _, r := range results {
		if r.Outcome != cluster.Unchanged {
			changed = true
			enforced = enforced || !r.Key.Kind.Staged()
		}
	}
	if !changed || o.Offline() || o.Wait.off() {
		return nil
	}
	if server {
		return o.await(ctx, results, start, enforced)
	}
	return o.sync(ctx, enforced)
}

// write makes changes as the flags say.
func (o *EditOptions) write(ctx context.Context, store cluster.Store, changes []cluster.Change) ([]cluster.Result, error) {
	server, ok := store.(cluster.Server)
	switch {
	case ok:
		return server.ChangeWith(ctx, changes, cluster.ChangeOptions{DryRun: cluster.DryRun(o.DryRun), Force: o.ForceConflicts})
	case cluster.DryRun(o.DryRun) == cluster.DryRunServer:
		return nil, cli.Usage("--dry-run=client, which checks the same", "--dry-run=server is for a cluster: here is no server")
	case o.ForceConflicts:
		return nil, cli.Usage("the same without it", "--force-conflicts is for a cluster: here nobody else manages fields")
	}
	return store.Change(ctx, changes, o.DryRun.on())
}

// changeError gives a store's error its next step.
func changeError(err error) error {
	var faults policy.Faults
	var failure *cluster.Failure
	var typed *cli.Error
	switch {
	case errors.As(err, &faults):
		return cli.FaultsError(faults)
	case errors.As(err, &failure), errors.As(err, &typed), cli.Code(err) == cli.ExitInterrupted:
		return err
	case errors.Is(err, cluster.ErrConflict):
		return &cli.Error{What: err.Error(), Try: "look at it, then the same command again", Err: err}
	case errors.Is(err, cluster.ErrNotFound):
		return &cli.Error{What: err.Error(), Try: "netpol get policies", Err: err}
	}
	return &cli.Error{What: err.Error(), Err: err}
}

// sync waits until the agent has what was written in the kernel. Where it can't
// enforce, that is an error if something that was to be enforced changed.
func (o *EditOptions) sync(ctx context.Context, enforced bool) error {
	agent, err := o.Agent(ctx)
	if err != nil {
		return err
	}
	start := o.Now()
	ctx, cancel := context.WithTimeout(ctx, o.Wait.limit(10*time.Second))
	defer cancel()
	status, err := agent.Sync(ctx, &agentpb.SyncRequest{})
	if err != nil {
		return &cli.Error{
			What:  "it is written, but the agent did not say that it is in force",
			Where: []string{agentText(err)}, Try: "netpol lab status", Err: err,
		}
	}
	e := o.IO.ErrPrinter()
	switch {
	case !status.GetEnforcing() && enforced:
		return &cli.Error{What: "it is written, but the agent does not enforce", Where: status.GetProblems(), Try: "netpol lab status"}
	case !status.GetEnforcing():
		e.Printf("warning: the agent does not enforce: %s\n", strings.Join(status.GetProblems(), "; "))
	case o.Format == output.Text && !enforced:
		e.Printf("judged by the agent after %s\n", roundTime(o.Now().Sub(start)))
	case o.Format == output.Text:
		e.Printf("in the kernel after %s\n", roundTime(o.Now().Sub(start)))
	}
	return nil
}

// stageEdits are the edits of package stage as changes.
func stageEdits(edits []stage.Edit) []cluster.Change {
	out := make([]cluster.Change, len(edits))
	for i, e := range edits {
		out[i] = cluster.Change{Object: e.Object, Delete: e.Delete, Version: e.Version}
	}
	return out
}
