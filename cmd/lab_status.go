package cmd

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/internal/lab"
	"github.com/netpol-project/netpol/internal/lab/plan"
	"github.com/netpol-project/netpol/internal/output"
)

// LabStatusOptions are what "lab status" needs.
type LabStatusOptions struct {
	IO     *cli.Streams
	Now    func() time.Time
	Lab    func() (*lab.Client, error)
	Reset  bool
	Format output.Format
}

// NewCmdLabStatus is "netpol lab status".
func NewCmdLabStatus(f *cli.Factory, runF func(context.Context, *LabStatusOptions) error) *cobra.Command {
	opts := &LabStatusOptions{IO: f.IO, Now: f.Now, Lab: f.Lab}
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show a lab's pods and how their connections fare",
		Long: `Show a lab's pods and how their connections fare. Where rules with the action
Log have seen something, the file with their lines is named too.`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if runF != nil {
				return runF(cmd.Context(), opts)
			}
			return labStatusRun(cmd.Context(), opts)
		},
	}
	cmd.Flags().BoolVar(&opts.Reset, "reset", false, "count from zero from now on, then show")
	output.AddFlag(cmd.Flags(), &opts.Format, output.Text, output.Wide, output.JSON, output.YAML)
	return cmd
}

func labStatusRun(ctx context.Context, opts *LabStatusOptions) error {
	client, err := opts.Lab()
	if err != nil {
		return labError(err)
	}
	if opts.Reset {
		if err := client.ResetCounters(ctx); err != nil {
			return labError(err)
		}
	}
	status, err := client.Status(ctx)
	if err != nil {
		return labError(err)
	}
	p := opts.IO.Printer()
	if opts.Format.Structured() {
		return p.Object(opts.Format, status)
	}
	p.Printf("lab %q, up for %s, %s\n", status.Name, output.Ago(status.Started, opts.Now()), agentWord(status))
	p.Printf("manifests: %s\n", status.Manifests)
	if info, err := os.Stat(status.LogLines); err == nil && info.Size() > 0 {
		p.Printf("what Log rules saw: %s\n", status.LogLines)
	}
	if opts.Format == output.Wide {
		p.Printf("node: process %d (nsenter -t %d -U -n --preserve-credentials)\n", status.PID, status.PID)
	}
	for _, problem := range status.Agent.Problems {
		p.Line(output.Cell{Text: "agent:", Style: output.Warn}, output.Cell{Text: problem})
	}
	p.Printf("\n")
	return printPods(p, status, opts.Format == output.Wide)
}

// agentWord is how the agent is, in a few words.
func agentWord(s *lab.Status) string {
	a := s.Agent
	word := "no agent"
	switch {
	case a.Ready:
		word = "agent ready"
	case a.Running:
		word = "agent not ready"
	case a.Wanted:
		word = "agent not running"
	}
	if a.Restarts > 0 {
		word += fmt.Sprintf(" (restarted %d×)", a.Restarts)
	}
	return word
}

// printPods is a line for each pod, or for each target that it connects to.
func printPods(p *output.Printer, s *lab.Status, wide bool) error {
	columns := []string{"WORKLOAD", "ADDRESS", "LISTENS", "CONNECTS TO", "OK", "FAILED"}
	if wide {
		columns = []string{"POD", "ADDRESSES", "INTERFACE", "LISTENS", "CONNECTS TO", "OK", "FAILED"}
	}
	if wide || anyTrouble(s) {
		columns = append(columns, "LAST ERROR")
	}
	t := p.Table(columns...)
	for i := range s.Pods {
		addPod(t, &s.Pods[i], wide)
	}
	if len(s.Outside.Targets) > 0 {
		outside := s.Outside
		outside.Namespace, outside.Workload.Name = "outside", "client"
		addPod(t, &outside, wide)
	}
	return t.Print()
}

// anyTrouble says whether there is anything to show in the last column.
func anyTrouble(s *lab.Status) bool {
	for _, pod := range append(slices.Clone(s.Pods), s.Outside) {
		if !pod.Running || slices.ContainsFunc(pod.Targets, func(t lab.TargetStatus) bool { return t.LastError != "" }) {
			return true
		}
	}
	return false
}

func addPod(t *output.Table, pod *lab.PodStatus, wide bool) {
	row := []any{pod.Namespace + "/" + pod.Workload.Name, firstAddr(pod.Addrs), numbers(pod.Ports)}
	if wide {
		row = []any{pod.Namespace + "/" + pod.Name, addrList(pod.Addrs), pod.Interface, ports(pod.Ports)}
	}
	if !pod.Running {
		t.Row(append(row, "", "", "", output.Cell{Text: "the actor does not run", Style: output.Bad})...)
		return
	}
	if len(pod.Targets) == 0 {
		t.Row(row...)
		return
	}
	for i, target := range pod.Targets {
		if i > 0 {
			row = []any{"", "", ""}
			if wide {
				row = append(row, "")
			}
		}
		failed := output.Cell{Text: fmt.Sprint(target.Failed)}
		if target.Failed > 0 {
			failed.Style = output.Bad
		}
		t.Row(append(row, target.Target, target.OK, failed, target.LastError)...)
	}
}

func firstAddr(addrs []netip.Addr) string {
	if len(addrs) == 0 {
		return ""
	}
	return addrs[0].String()
}

func addrList(addrs []netip.Addr) string {
	out := make([]string, len(addrs))
	for i, a := range addrs {
		out[i] = a.String()
	}
	return strings.Join(out, ",")
}

// numbers are the ports, whatever their protocols.
func numbers(list []plan.Port) string {
	var out []string
	for _, p := range list {
		if n := fmt.Sprint(p.Port); !slices.Contains(out, n) {
			out = append(out, n)
		}
	}
	return strings.Join(out, ",")
}

func ports(list []plan.Port) string {
	out := make([]string, len(list))
	for i, p := range list {
		out[i] = fmt.Sprint(p.Port)
		if p.Protocol != plan.TCP {
			out[i] += "/" + strings.ToLower(p.Protocol)
		}
	}
	return strings.Join(out, ",")
}

func asHint(err error) (*lab.Hint, bool) {
	var h *lab.Hint
	return h, errors.As(err, &h)
}
