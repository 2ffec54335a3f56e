package cmd

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/internal/lab"
	"github.com/netpol-project/netpol/internal/output"
)

// LabDownOptions are what "lab down" needs.
type LabDownOptions struct {
	IO   *cli.Streams
	Name func() string
	All  bool
}

// NewCmdLabDown is "netpol lab down".
func NewCmdLabDown(f *cli.Factory, runF func(context.Context, *LabDownOptions) error) *cobra.Command {
	opts := &LabDownOptions{IO: f.IO, Name: labName(f)}
	cmd := &cobra.Command{
		Use:   "down",
		Short: "End a lab and remove all that it left",
		Args:  exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if runF != nil {
				return runF(cmd.Context(), opts)
			}
			return labDownRun(cmd.Context(), opts)
		},
	}
	cmd.Flags().BoolVar(&opts.All, "all", false, "end all labs of this user")
	return cmd
}

func labDownRun(ctx context.Context, opts *LabDownOptions) error {
	names := []string{opts.Name()}
	if opts.All {
		all, err := lab.List()
		if err != nil {
			return labError(err)
		}
		names = nil
		for _, l := range all {
			names = append(names, l.Name)
		}
	}
	var errs []error
	for _, name := range names {
		if err := lab.Down(ctx, name); err != nil {
			errs = append(errs, labDownError(err))
			continue
		}
		opts.IO.Printer().Printf("lab %q is down\n", name)
	}
	return errors.Join(errs...)
}

// labDownError is labError, but to start a lab is not what to try next.
func labDownError(err error) error {
	err = labError(err)
	var e *cli.Error
	if errors.As(err, &e) && errors.Is(err, lab.ErrNotRunning) {
		e.Try = "netpol lab list"
	}
	return err
}

// LabListOptions are what "lab list" needs.
type LabListOptions struct {
	IO     *cli.Streams
	Format output.Format
}

// labList is "lab list"'s JSON.
type labList struct {
	output.Meta
	Items []lab.Listed `json:"items"`
}

// NewCmdLabList is "netpol lab list".
func NewCmdLabList(f *cli.Factory, runF func(*LabListOptions) error) *cobra.Command {
	opts := &LabListOptions{IO: f.IO}
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List this user's labs",
		Args:  exactArgs(),
		RunE: func(*cobra.Command, []string) error {
			if runF != nil {
				return runF(opts)
			}
			return labListRun(opts)
		},
	}
	output.AddFlag(cmd.Flags(), &opts.Format, output.Text, output.JSON, output.YAML, output.Name)
	return cmd
}

func labListRun(opts *LabListOptions) error {
	labs, err := lab.List()
	if err != nil {
		return labError(err)
	}
	p := opts.IO.Printer()
	switch {
	case opts.Format.Structured():
		return p.Object(opts.Format, labList{Meta: output.NewMeta("LabList"), Items: labs})
	case opts.Format == output.Name:
		for _, l := range labs {
			p.Printf("%s\n", l.Name)
		}
		return nil
	case len(labs) == 0:
		opts.IO.ErrPrinter().Printf("no labs; start one: netpol lab up -f examples/vote -f examples/wordpress\n")
		return nil
	}
	t := p.Table("NAME", "STATE", "PROCESS", "DIRECTORY")
	for _, l := range labs {
		state := output.Judged(true, "running")
		if !l.Running {
			state = output.Judged(false, "dead")
		}
		t.Row(l.Name, state, l.PID, l.Directory)
	}
	return t.Print()
}
