package cmd

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/netpol-project/netpol/internal/cli"
)

// flagError is an error about flags in words of users.
func flagError(cmd *cobra.Command, err error) error {
	if e := otherFlag(cmd, err); e != nil {
		return e
	}
	what := err.Error()
	var unknown *pflag.NotExistError
	if errors.As(err, &unknown) && len(unknown.GetSpecifiedName()) > 1 {
		if near := cli.Nearest(unknown.GetSpecifiedName(), flagNames(cmd)); near != "" {
			what += "; did you mean --" + near + "?"
		}
	}
	var invalid *pflag.InvalidValueError
	if errors.As(err, &invalid) {
		what = fmt.Sprintf("--%s %q: %s", invalid.GetFlag().Name, invalid.GetValue(), expected(invalid))
	}
	return &cli.Error{What: what, Try: cmd.CommandPath() + " --help", Err: err}
}

// flagNames are the flags that a command has.
func flagNames(cmd *cobra.Command) []string {
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			names = append(names, f.Name)
		}
	})
	return names
}

// expected is what a flag's value has to be, or what is wrong with it.
func expected(e *pflag.InvalidValueError) string {
	if cli.IsSpan(e.GetFlag().Value) {
		return errors.Unwrap(e).Error()
	}
	switch e.GetFlag().Value.Type() {
	case "int", "int64":
		return "expected a whole number"
	case "uint16":
		return "expected a number from 0 to 65535"
	case "float64":
		return "expected a number"
	case "bool":
		return "expected true or false"
	case "duration":
		return "expected a time such as 90s, 30m or 24h"
	}
	return errors.Unwrap(e).Error()
}

// otherFlag says of -f and --flows, which most commands have, why this one has
// none; nil: the error is about another flag.
func otherFlag(cmd *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	if !errors.As(err, &unknown) {
		return nil
	}
	path := cmd.CommandPath()
	switch unknown.GetSpecifiedName() {
	case "f", "policies":
		return cli.Usage(path+" --help", "%s has no -f: --dir names a directory of manifests, where one will do", path)
	case "flows":
		return cli.Usage(path+" --help", "%s has no --flows: it looks at no traffic that was seen", path)
	}
	return nil
}
