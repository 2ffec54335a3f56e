package cmd

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/internal/output"
	"github.com/netpol-project/netpol/pkg/lint"
	"github.com/netpol-project/netpol/pkg/policy"
)

// ValidateOptions are what validate needs.
type ValidateOptions struct {
	Factory   *cli.Factory
	Files     []string
	Recursive bool
	Strict    bool
	Disable   []string
	Format    output.Format
}

// NewCmdValidate is "netpol validate".
func NewCmdValidate(f *cli.Factory, runF func(context.Context, *ValidateOptions) error) *cobra.Command {
	opts := &ValidateOptions{Factory: f}
	cmd := &cobra.Command{
		Use:   "validate [-f FILE|DIRECTORY|-]",
		Short: "Find every error in manifests, and what is hardly meant so",
		Long: `Find everything that is wrong with manifests, all at once, with file, line and
column; and, as warnings, what is valid but hardly meant so. With -f the files
are judged alone; without it what --dir or the lab has. -n leaves out what is
found in other namespaces.

Exit code 1 if there are errors, with --strict also if there are warnings; 2 if
something can't be read.

Warnings:
` + lintHelp() + `
An annotation on a resource silences warnings about it:
  netpol.dev/lint-ignore: tie, covered     ("all" for all of them)`,
		Example: `  netpol validate -f policies/ -R
  netpol validate -f policies/ --strict --disable allow-all
  netpol validate -f policies/ -o sarif > netpol.sarif
  helm template shop | netpol validate -f -`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if runF != nil {
				return runF(cmd.Context(), opts)
			}
			return validateRun(cmd.Context(), opts)
		},
	}
	addFileFlags(cmd, &opts.Files, &opts.Recursive)
	cmd.Flags().BoolVar(&opts.Strict, "strict", false, "exit code 1 on warnings, too")
	cmd.Flags().StringSliceVar(&opts.Disable, "disable", nil, "warnings not to look for, by their codes")
	output.AddFlag(cmd.Flags(), &opts.Format, output.Text, output.JSON, output.YAML, output.SARIF, output.JUnit)
	_ = cmd.RegisterFlagCompletionFunc("disable", cobra.FixedCompletions(warningCodes(), cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// lintHelp lists the lints for help.
func lintHelp() string {
	var b strings.Builder
	for _, l := range lint.Lints() {
		fmt.Fprintf(&b, "  %-16s %s\n", l.Code, l.Short)
	}
	return b.String()
}

// warningCodes are the codes that --disable takes.
func warningCodes() []string {
	codes := []string{policy.CodeUnsupported, policy.CodeOldVersion}
	for _, l := range lint.Lints() {
		codes = append(codes, l.Code)
	}
	slices.Sort(codes)
	return codes
}

func validateRun(ctx context.Context, opts *ValidateOptions) error {
	known := warningCodes()
	for _, code := range opts.Disable {
		if !slices.Contains(known, code) {
			return cli.Unknown("warning", code, known, "netpol validate --help")
		}
	}
	in, err := readToValidate(ctx, opts)
	if err != nil {
		return err
	}
	for _, ns := range opts.Factory.Namespaces() {
		if !in.speaksOf(ns) { // misspelt, most likely: then nothing is found in it
			opts.Factory.IO.ErrPrinter().Printf("note: nothing that was read is in namespace %s\n", ns)
		}
	}
	report := validate(in, opts)
	if err := printValidation(opts, report); err != nil {
		return err
	}
	return cli.Answer(report.Summary.Errors == 0 && (!opts.Strict || report.Summary.Warnings == 0))
}

// validate judges what was read.
func validate(in *toValidate, opts *ValidateOptions) *validationReport {
	broken := map[policy.Key]bool{}
	for _, f := range in.faults {
		if !f.Warning && f.Code != policy.CodeMissingTier {
			broken[f.Key] = true
		}
	}
	places := lint.NewPlaces(in.read)
	found := lint.Check(in.snap, func(k policy.Key) bool { return broken[k] })
	found = slices.DeleteFunc(found, func(f policy.Fault) bool { return slices.Contains(opts.Disable, f.Code) })
	isOfAll := func(f policy.Fault) bool { return f.Code == policy.CodeMissingTier }
	ofAll := slices.DeleteFunc(slices.Clone(in.faults), func(f policy.Fault) bool { return !isOfAll(f) })
	own := slices.DeleteFunc(slices.Clone(in.faults), isOfAll)
	faults := places.Heed(slices.Concat(own, places.Locate(slices.Concat(ofAll, found))), in.origin)
	namespaces := opts.Factory.Namespaces()
	faults = slices.DeleteFunc(faults, func(f policy.Fault) bool {
		return f.Warning && slices.Contains(opts.Disable, f.Code) ||
			len(namespaces) > 0 && f.Key.Namespace != "" && !slices.Contains(namespaces, f.Key.Namespace)
	})
	return newValidationReport(faults, in)
}

// workingDirectory is where relative paths begin; "" if that can't be told.
func workingDirectory() string {
	dir, err := os.Getwd()
	if err != nil {
		return ""
	}
	return dir
}
