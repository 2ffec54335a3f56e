package cmd

import (
	"context"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/internal/lab"
	"github.com/netpol-project/netpol/internal/output"
)

// LabUpOptions are what "lab up" needs.
type LabUpOptions struct {
	IO        *cli.Streams
	Now       func() time.Time
	Name      func() string
	Files     []string
	Recursive bool
	NoAgent   bool
	LogPrefix string
	Format    output.Format
	// Executable is this program.
	Executable func() (string, error)
}

// NewCmdLabUp is "netpol lab up".
func NewCmdLabUp(f *cli.Factory, runF func(context.Context, *LabUpOptions) error) *cobra.Command {
	opts := &LabUpOptions{IO: f.IO, Now: f.Now, Name: labName(f), Executable: os.Executable}
	cmd := &cobra.Command{
		Use:   "up -f FILE|DIRECTORY …",
		Short: "Start a lab with the pods and Services of some manifests",
		Example: `  netpol lab up -f examples/vote -f examples/wordpress
  netpol lab up --lab second -f shop.yaml`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if len(opts.Files) == 0 {
				return cli.Usage("netpol lab up -f examples/vote -f examples/wordpress", "-f is missing: which manifests?")
			}
			if err := checkLogPrefix(opts.LogPrefix, "netpol lab up --help"); err != nil {
				return err
			}
			if runF != nil {
				return runF(cmd.Context(), opts)
			}
			return labUpRun(cmd.Context(), opts)
		},
	}
	flags := cmd.Flags()
	flags.StringArrayVarP(&opts.Files, "filename", "f", nil, "manifest, directory of manifests, or - for standard input")
	flags.BoolVarP(&opts.Recursive, "recursive", "R", false, "directories within directories too")
	flags.BoolVar(&opts.NoAgent, "no-agent", false, "start no agent: nothing is enforced or reported")
	flags.StringVar(&opts.LogPrefix, "log-prefix", defaultLogPrefix, "how lines of Log rules begin (see lab status for their file)")
	output.AddFlag(flags, &opts.Format, output.Text, output.Wide, output.JSON, output.YAML)
	return cmd
}

// labName is the name given by --lab.
func labName(f *cli.Factory) func() string {
	return func() string { return f.Config.GetString("lab") }
}

func labUpRun(ctx context.Context, opts *LabUpOptions) error {
	files, err := lab.Gather(opts.Files, opts.Recursive, opts.IO.In)
	if err != nil {
		return &cli.Error{What: err.Error(), Try: "netpol lab up -f examples/vote -f examples/wordpress", Err: err}
	}
	exe, err := opts.Executable()
	if err != nil {
		return err
	}
	up := &lab.Up{
		Name: opts.Name(), Files: files, NoAgent: opts.NoAgent, LogPrefix: opts.LogPrefix,
		Command: []string{exe, "lab", "node"}, IPv6: lab.HasIPv6(), Now: opts.Now(),
	}
	start := opts.Now()
	client, err := up.Run(ctx)
	if err != nil {
		return labError(err)
	}
	status, err := client.Status(ctx)
	if err != nil {
		return labError(err)
	}
	p := opts.IO.Printer()
	if opts.Format.Structured() {
		return p.Object(opts.Format, status)
	}
	if err := printPods(p, status, opts.Format == output.Wide); err != nil {
		return err
	}
	p.Printf("\nlab %q is up: %d pods, %s in %s\n", status.Name, len(status.Pods), agentWord(status), opts.Now().Sub(start).Round(10*time.Millisecond))
	for _, n := range status.Notes {
		p.Printf("note: %s\n", n)
	}
	return nil
}

// labError turns an error of package lab into one that is shown as all others.
func labError(err error) error {
	hint, ok := asHint(err)
	if !ok {
		return err
	}
	lines := strings.Split(hint.What, "\n")
	return &cli.Error{What: lines[0], Where: lines[1:], Try: hint.Try, Err: err}
}
