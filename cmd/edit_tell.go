package cmd

import (
	"fmt"
	"strings"
	"time"

	"github.com/netpol-project/netpol/internal/cluster"
	"github.com/netpol-project/netpol/internal/output"
	"github.com/netpol-project/netpol/pkg/policy"
)

// changeReport is the JSON of a command that changes resources.
type changeReport struct {
	output.Meta
	DryRun bool         `json:"dryRun"`
	Items  []changeItem `json:"items"`
	// Preflight is what was looked at before, in a dry run of a command that
	// does.
	Preflight *preflightReport `json:"preflight,omitempty"`
}

type changeItem struct {
	Kind      string `json:"kind"`
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	Outcome   string `json:"outcome"`
	File      string `json:"file,omitempty"`
}

func (o *EditOptions) tell(results []cluster.Result, words map[policy.Key]string) error {
	p := o.IO.Printer()
	report := changeReport{Meta: output.NewMeta("Changes"), DryRun: o.DryRun.on(), Items: []changeItem{}, Preflight: o.preflight}
	for _, r := range results {
		word := string(r.Outcome)
		if w := words[r.Key]; w == silent || w != "" && r.Outcome != cluster.Unchanged {
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

// plural is "1 flow", "2 flows".
func plural(n int, word string) string {
	if n == 1 {
		return fmt.Sprintf("1 %s", word)
	}
	if strings.HasSuffix(word, "y") && !strings.HasSuffix(word, "ay") {
		return fmt.Sprintf("%d %sies", n, strings.TrimSuffix(word, "y"))
	}
	return fmt.Sprintf("%d %ss", n, word)
}
