package cmd

import (
	"context"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/stage"
)

// policySelection says which policies a command is about: by name, all of them,
// or those that carry labels.
type policySelection struct {
	Names     []string
	Namespace string
	All       bool
	Selector  string
}

func (s *policySelection) addTo(cmd *cobra.Command, what string) {
	cmd.Flags().BoolVar(&s.All, "all", false, "all "+what+"; with -n those of that namespace alone")
	cmd.Flags().StringVarP(&s.Selector, "selector", "l", "", what+" that carry these labels (app=db,tier!=web); with -n of that namespace alone")
}

// read takes the arguments, and refuses what does not fit together.
func (s *policySelection) read(cmd *cobra.Command, args []string) error {
	s.Names = args
	try := cmd.CommandPath() + " POLICY, or --all"
	switch {
	case len(args) > 0 && (s.All || s.Selector != ""):
		return cli.Usage(try, "names can't be given together with --all or -l")
	case s.All && s.Selector != "":
		return cli.Usage(try, "--all and -l can't be given together")
	case len(args) == 0 && !s.All && s.Selector == "":
		return cli.Usage(try, "POLICY is missing")
	}
	return nil
}

// keys are the policies that are meant, each once. find looks a name up, and
// gives the zero Key for one that is to be left out.
func (s *policySelection) keys(ctx context.Context, w *world, kinds []policy.Kind, find func(string) (policy.Key, error)) ([]policy.Key, error) {
	var out []policy.Key
	for _, name := range s.Names {
		key, err := find(name)
		if err != nil {
			return nil, err
		}
		if key != (policy.Key{}) && !slices.Contains(out, key) {
			out = append(out, key)
		}
	}
	if len(s.Names) > 0 {
		return out, nil
	}
	want, err := labels.Parse(s.Selector)
	if err != nil {
		return nil, cli.Usage("-l app=db,tier!=web", "-l %q: %s", s.Selector, err)
	}
	for _, key := range w.keys {
		if !slices.Contains(kinds, key.Kind) || stage.IsBridge(key) || s.Namespace != "" && key.Namespace != s.Namespace || slices.Contains(out, key) {
			continue
		}
		if !want.Empty() {
			u, err := w.store.Get(ctx, key)
			if err != nil {
				return nil, err
			}
			if !want.Matches(labels.Set(u.GetLabels())) {
				continue
			}
		}
		out = append(out, key)
	}
	slices.SortFunc(out, func(a, b policy.Key) int { return strings.Compare(a.String(), b.String()) })
	return out, nil
}

// known refuses a namespace that there is not.
func (s *policySelection) known(w *world) error {
	if s.Namespace == "" {
		return nil
	}
	return w.namespaces([]string{s.Namespace})
}

// flags is the selection as it is typed.
func (s *policySelection) flags() string {
	out := ""
	if len(s.Names) == 1 {
		out = " " + s.Names[0]
	}
	if s.Namespace != "" {
		out += " --ns " + s.Namespace
	}
	return out
}

// again is the selection with all of its names, as it was typed.
func (s *policySelection) again() string {
	out := ""
	for _, name := range s.Names {
		out += " " + name
	}
	if s.All {
		out += " --all"
	}
	if s.Selector != "" {
		out += " -l " + cli.ShellWord(s.Selector)
	}
	if s.Namespace != "" {
		out += " --ns " + s.Namespace
	}
	return out
}
