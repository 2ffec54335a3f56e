package cmd

import (
	"context"
	"errors"
	"fmt"
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
}

func newEditOptions(f *cli.Factory) EditOptions {
	return EditOptions{IO: f.IO, Now: f.Now, Store: f.Store, Agent: f.Agent, Offline: f.Offline, Default: f.DefaultNamespace, Nodes: f.Nodes}
}

// world is the policies, tiers and namespaces that there are.
func (o *EditOptions) world(ctx context.Context) (*world, error) {
	w, _, err := loadWorld(ctx, o.Store, orderKinds...)
	if err == nil && o.Default != nil {
		w.home = o.Default()
	}
	return w, err
}

// addFlags gives a command --dry-run, --wait, --timeout and -o.
func (o *EditOptions) addFlags(cmd *cobra.Command) {
	o.DryRun.addTo(cmd)
	o.Wait.addTo(cmd)
	output.AddFlag(cmd.Flags(), &o.Format, output.Text, output.Name, output.JSON, output.YAML)
}

// changeReport is the JSON of a command that changes resources.
type changeReport struct {
	output.Meta
	DryRun bool         `json:"dryRun"`
	Items  []changeItem `json:"items"`
}

type changeItem struct {
	Kind      string `json:"kind"`
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	Outcome   string `json:"outcome"`
	File      string `json:"file,omitempty"`
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
	start := o.Now()
	results, err := o.write(ctx, store, changes)
	if err != nil {
		return changeError(err)
	}
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

func (o *EditOptions) tell(results []cluster.Result, words map[policy.Key]string) error {
	p := o.IO.Printer()
	report := changeReport{Meta: output.NewMeta("Changes"), DryRun: o.DryRun.on(), Items: []changeItem{}}
	for _, r := range results {
		word := string(r.Outcome)
		if w := words[r.Key]; w != "" && r.Outcome != cluster.Unchanged {
			word = w
		}
		if word == silent {
			continue
		}
		report.Items = append(report.Items, changeItem{
			Kind: string(r.Key.Kind), Namespace: r.Key.Namespace, Name: r.Key.Name, Outcome: word, File: r.Where.File,
		})
		switch o.Format {
		case output.Text:
			p.Printf("%s %s%s%s\n", r.Key, word, o.place(r), o.dryRunNote())
		case output.Name:
			p.Printf("%s\n", resourceName(r.Key))
		}
	}
	if o.Format.Structured() {
		return p.Object(o.Format, report)
	}
	return nil
}

// silent is the word for a change that is a part of another and not told.
const silent = "-"

// place tells the file, where files are what the user works on.
func (o *EditOptions) place(r cluster.Result) string {
	if !o.Offline() || r.Where.File == "" || r.Outcome == cluster.Unchanged {
		return ""
	}
	return " (" + r.Where.File + ")"
}

func (o *EditOptions) dryRunNote() string {
	switch {
	case cluster.DryRun(o.DryRun) == cluster.DryRunServer:
		return " (server dry run)"
	case o.DryRun.on():
		return " (dry run)"
	}
	return ""
}

// resourceName is kind.group/name, as kubectl prints it.
func resourceName(k policy.Key) string {
	gvk := cluster.GVK(k.Kind)
	kind := strings.ToLower(gvk.Kind)
	if gvk.Group != "" {
		kind += "." + gvk.Group
	}
	return kind + "/" + k.Name
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

// roundTime is a short time with as many digits as mean something.
func roundTime(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return d.Round(time.Microsecond).String()
	case d < time.Second:
		return d.Round(100 * time.Microsecond).String()
	}
	return d.Round(10 * time.Millisecond).String()
}

// notEnforced notes that nothing acts on a directory by itself.
func (o *EditOptions) notEnforced() {
	if o.Offline() && !o.DryRun.on() && o.Format == output.Text {
		o.IO.ErrPrinter().Printf("note: no agent watches this directory here; it is in force where one does (netpol lab up -f DIR)\n")
	}
}

// stageEdits are the edits of package stage as changes.
func stageEdits(edits []stage.Edit) []cluster.Change {
	out := make([]cluster.Change, len(edits))
	for i, e := range edits {
		out[i] = cluster.Change{Object: e.Object, Delete: e.Delete}
	}
	return out
}

// plural is "1 flow", "2 flows".
func plural(n int, word string) string {
	if n == 1 {
		return fmt.Sprintf("1 %s", word)
	}
	if strings.HasSuffix(word, "y") {
		return fmt.Sprintf("%d %sies", n, strings.TrimSuffix(word, "y"))
	}
	return fmt.Sprintf("%d %ss", n, word)
}
