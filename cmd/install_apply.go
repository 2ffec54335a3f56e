package cmd

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/netpol-project/netpol/internal/cli"
	site "github.com/netpol-project/netpol/internal/cluster/install"
	"github.com/netpol-project/netpol/internal/install"
	"github.com/netpol-project/netpol/internal/output"
)

// installReport is install's JSON.
type installReport struct {
	output.Meta
	Image  string        `json:"image,omitempty"`
	DryRun bool          `json:"dryRun"`
	Items  []installItem `json:"items"`
	// Nodes is set where they were waited for.
	Nodes *installNodes `json:"nodes,omitempty"`
}

type installItem struct {
	Kind      string `json:"kind"`
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	Outcome   string `json:"outcome"`
	// Unchecked: a dry run could not ask the server about it.
	Unchecked bool `json:"unchecked,omitempty"`
}

type installNodes struct {
	Nodes int64 `json:"nodes"`
	Ready int64 `json:"ready"`
}

// show prints what would be applied, without a cluster.
func (o *InstallOptions) show(v *install.Values) error {
	objects, err := install.Objects(v)
	if err != nil {
		return err
	}
	p := o.IO.Printer()
	switch o.Format {
	case output.JSON:
		list := &unstructured.UnstructuredList{}
		list.SetAPIVersion("v1")
		list.SetKind("List")
		for _, u := range objects {
			list.Items = append(list.Items, *u)
		}
		return p.Object(o.Format, list.UnstructuredContent())
	case output.YAML:
		crds, err := install.Encode(install.CRDs())
		if err != nil {
			return err
		}
		rest, err := install.Manifest(v)
		if err != nil {
			return err
		}
		p.Printf("%s---\n%s", crds, rest)
		return nil
	}
	for _, u := range objects {
		o.line(site.Result{Object: u, Outcome: "applied"})
	}
	return nil
}

// line tells of one object as it goes.
func (o *InstallOptions) line(r site.Result) {
	note := ""
	if o.DryRun.on() {
		note = " (dry run)"
	}
	if r.Unchecked {
		note = " (dry run, not checked by the server: what it needs is not there yet)"
	}
	tellResult(o.IO, o.Format, r, note)
}

func tellResult(io *cli.Streams, format output.Format, r site.Result, note string) {
	switch format {
	case output.Text:
		io.Printer().Printf("%s %s%s\n", r.Title(), r.Outcome, note)
	case output.Name:
		io.Printer().Printf("%s\n", r.Title())
	}
}

func installItemOf(r site.Result) installItem {
	return installItem{
		Kind: r.Object.GetKind(), Namespace: r.Object.GetNamespace(), Name: r.Object.GetName(),
		Outcome: string(r.Outcome), Unchecked: r.Unchecked,
	}
}

// apply installs on the cluster.
func (o *InstallOptions) apply(ctx context.Context, v *install.Values) error {
	conn, err := o.Cluster()
	if err != nil {
		return err
	}
	e := o.IO.ErrPrinter()
	client, err := site.New(conn, func(text string) { e.Printf("warning: %s\n", text) })
	if err != nil {
		return err
	}
	found, err := client.Detect(ctx)
	if err != nil {
		return err
	}
	if err := o.refuse(found); err != nil {
		return err
	}
	if err := o.checkStorage(ctx, client, v); err != nil {
		return err
	}
	objects, err := install.Objects(v)
	if err != nil {
		return err
	}
	if install.InstalledCNI(found.Agent).Enabled && !v.Agent.CNI.Enabled {
		e.Printf("note: without --cni the agents take the CNI plugin off every node, and pods don't wait for their policies any more\n")
	}
	if found.Agent == nil {
		if err := o.foretell(ctx, client); err != nil {
			return err
		}
	}
	report := installReport{Meta: output.NewMeta("Installation"), Image: v.Image, DryRun: o.DryRun.on(), Items: []installItem{}}
	apply := site.ApplyOptions{DryRun: o.DryRun.on(), ForceConflicts: o.ForceConflicts, Within: min(o.Timeout, time.Minute), Tell: func(r site.Result) {
		report.Items = append(report.Items, installItemOf(r))
		o.line(r)
	}}
	start := o.Now()
	if !apply.DryRun { // of which Prune tells
		err = client.EndCleanup(ctx, apply.Tell)
	}
	if err == nil {
		err = client.Apply(ctx, objects, apply)
	}
	if err == nil {
		err = client.Prune(ctx, objects, apply)
	}
	if err == nil && o.Wait && !o.DryRun.on() {
		err = o.await(ctx, client, &report, start)
	}
	if o.Format.Structured() {
		return errors.Join(o.IO.Printer().Object(o.Format, report), err)
	}
	return err
}

// refuse tells why nothing should be installed here.
func (o *InstallOptions) refuse(found *site.Found) error {
	switch {
	case len(found.Calico) > 0:
		return &cli.Error{What: "Calico, or another program of the kinds projectcalico.org/v3, is on this cluster, and enforces what netpol writes: netpol works with it as it is",
			Where: found.Calico, Try: "netpol get policies -A"}
	case found.Helm != "":
		namespace, name, _ := strings.Cut(found.Helm, "/")
		return &cli.Error{What: "netpol was installed here by Helm, which would undo changes",
			Where: []string{fmt.Sprintf("release %s in namespace %s", name, namespace)},
			Try:   fmt.Sprintf("helm upgrade %s deploy/helm/netpol -n %s", name, namespace)}
	case len(found.Others) > 0 && !o.Force:
		return &cli.Error{What: "this cluster's network plugin enforces Kubernetes' NetworkPolicy itself: a connection would have to be allowed by both, and policies of projectcalico.org/v3 by netpol alone",
			Where: found.Others, Try: "netpol install --force, if that is what you want"}
	}
	return nil
}

// foretell says before a first installation that policies which nothing has
// enforced so far will be.
func (o *InstallOptions) foretell(ctx context.Context, client *site.Client) error {
	policies, namespaces, err := client.Policies(ctx)
	if err != nil || policies == 0 {
		return err
	}
	o.IO.ErrPrinter().Printf("note: %s in %s will be in force as soon as the agents are ready\n",
		plural(policies, "policy"), plural(namespaces, "namespace"))
	return nil
}

// await waits for the nodes.
func (o *InstallOptions) await(ctx context.Context, client *site.Client, report *installReport, start time.Time) error {
	status := statusLine{io: o.IO}
	err := client.Rollout(ctx, o.Timeout, func(p site.Progress) {
		report.Nodes = &installNodes{Nodes: p.Nodes, Ready: p.Ready}
		status.show(p.String())
	})
	status.end()
	if err != nil {
		return err
	}
	if o.Format == output.Text {
		o.IO.ErrPrinter().Printf("agents ready on %d/%d nodes after %s\n", report.Nodes.Ready, report.Nodes.Nodes, roundTime(o.Now().Sub(start)))
	}
	return nil
}

// statusLine is a line on a terminal's standard error that is written over.
type statusLine struct {
	io    *cli.Streams
	shown bool
}

func (s *statusLine) show(text string) {
	if s.io.ErrTerminal {
		s.shown = true
		fmt.Fprintf(s.io.Err, "\r\x1b[K%s …", text)
	}
}

// end takes the line away.
func (s *statusLine) end() {
	if s.shown {
		fmt.Fprint(s.io.Err, "\r\x1b[K")
	}
}
