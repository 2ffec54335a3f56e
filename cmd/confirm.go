package cmd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/internal/cluster"
	"github.com/netpol-project/netpol/internal/output"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/stage"
)

// ConfirmOptions are what confirm needs.
type ConfirmOptions struct {
	EditOptions
	Name, Namespace string
	List            bool
}

// NewCmdConfirm is "netpol confirm".
func NewCmdConfirm(f *cli.Factory, runF func(context.Context, *ConfirmOptions) error) *cobra.Command {
	opts := &ConfirmOptions{EditOptions: newEditOptions(f)}
	cmd := &cobra.Command{
		Use:   "confirm POLICY | confirm --list",
		Short: "Keep what was enforced with --confirm-within",
		Long: `Keep a policy that was enforced with --confirm-within. Otherwise, when that time
is over, every agent goes back to what was enforced before, by its own clock,
whether or not anybody can be reached then, and the first that reaches the API
writes it back. What is confirmed already is no error.

When it comes too late it changes nothing and says so, with exit code 1: the
agents have gone back, and the staged policy is still there to be enforced
again.

--list shows what waits to be confirmed, and how long is left.`,
		Example: `  netpol enforce default-deny --ns vote --confirm-within 5m
  netpol confirm --list
  netpol confirm default-deny`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case opts.List && len(args) > 0:
				return cli.Usage("netpol confirm --list", "--list takes no name")
			case !opts.List && len(args) == 0:
				return cli.Usage("netpol confirm --list, for what can be confirmed", "POLICY is missing")
			case len(args) > 0:
				opts.Name = args[0]
			}
			var err error
			if opts.Namespace, err = f.Namespace(); err != nil {
				return err
			}
			if runF != nil {
				return runF(cmd.Context(), opts)
			}
			if opts.List {
				return confirmList(cmd.Context(), opts)
			}
			return confirmRun(cmd.Context(), opts)
		},
	}
	cmd.Flags().BoolVar(&opts.List, "list", false, "show what waits to be confirmed")
	addDir(cmd, "work on")
	opts.addFlags(cmd)
	opts.addForce(cmd)
	completeArg(cmd, f, trialNames(f), enforcedKinds...)
	return cmd
}

// trialNames are the policies that can be confirmed.
func trialNames(f *cli.Factory) names {
	return func(w *world) []string {
		var out []string
		for _, p := range w.snap.Policies {
			if p.Trial != nil && (len(f.Namespaces()) == 0 || p.Namespace == "" || slices.Contains(f.Namespaces(), p.Namespace)) {
				out = append(out, p.Name)
			}
		}
		return out
	}
}

// confirmAttempts is how often a confirmation is tried where somebody else
// changes the policy at the same time.
const confirmAttempts = 4

func confirmRun(ctx context.Context, opts *ConfirmOptions) error {
	for n := 1; ; n++ {
		err := confirmOnce(ctx, opts)
		if n == confirmAttempts || !errors.Is(err, cluster.ErrConflict) {
			return err
		}
	}
}

func confirmOnce(ctx context.Context, opts *ConfirmOptions) error {
	w, err := opts.world(ctx)
	if err != nil {
		return err
	}
	key, err := w.find("policy", enforcedKinds, opts.Name, opts.Namespace)
	if err != nil {
		return opts.gone(w, err)
	}
	enforced, err := w.store.Get(ctx, key)
	if err != nil {
		return err
	}
	if by, ok := stage.RevertOf(enforced); ok {
		return tooLate(key, takenBack(&by))
	}
	if p := stage.TrialOf(enforced); p != nil && !opts.Now().Before(p.Trial.By) {
		return tooLate(key, fmt.Sprintf("the agents have gone back to what was enforced before (its time was over at %s, and by the clock here it is %s)",
			output.Time(p.Trial.By), output.Time(opts.Now())))
	}
	var edits []stage.Edit
	twin, ok := stage.Twin(key)
	staged, err := w.optional(ctx, twin)
	if err != nil && ok {
		return err
	}
	edits, err = stage.Confirm(enforced, staged)
	if errors.Is(err, stage.ErrNoTrial) {
		if opts.Format == output.Text {
			opts.IO.ErrPrinter().Printf("note: %s waits for nothing: it is confirmed already, or was never on trial\n", key)
		}
		return opts.tell([]cluster.Result{{Key: key, Outcome: cluster.Unchanged}}, nil)
	}
	if err != nil {
		return err
	}
	words := map[policy.Key]string{key: "confirmed", twin: silent}
	if err := opts.change(ctx, stageEdits(edits), words); err != nil {
		return err
	}
	opts.tellOthers(w, enforced)
	return nil
}

// tellOthers names what the same command put on trial and nobody has confirmed yet:
// without it a policy may cut what the two of them allow.
func (o *ConfirmOptions) tellOthers(w *world, confirmed *unstructured.Unstructured) {
	id, ok := stage.TrialIDOf(stage.TrialOf(confirmed))
	if !ok || o.DryRun.on() || o.Format != output.Text {
		return
	}
	var names []string
	for _, p := range w.snap.Policies {
		if other, ok := stage.TrialIDOf(p); ok && other.Key != id.Key && other.SameCommand(id) {
			names = append(names, p.Key.String())
		}
	}
	if len(names) > 0 {
		o.IO.ErrPrinter().Printf("note: enforced with it, and still to be confirmed: %s\n", strings.Join(names, ", "))
	}
}

// gone is the error where no such policy is enforced. If one is staged, it may
// have been on trial.
func (o *ConfirmOptions) gone(w *world, err error) error {
	staged, other := w.find("staged policy", stagedKinds, o.Name, o.Namespace)
	if other != nil || errors.Is(err, errAmbiguous) {
		return err
	}
	return cli.Refuse(fmt.Sprintf("%s is staged, and nothing of that name is enforced: if it was on trial, it was taken back", staged), nil,
		enforceAgain(staged))
}

// takenBack says in words who took a policy back, when and why.
func takenBack(by *stage.Revert) string {
	out := fmt.Sprintf("revision %d was taken back", by.Revision)
	if by.Time != "" {
		out += " at " + by.Time
	}
	if by.By != "" {
		out += " by " + by.By
	}
	if by.Reason == "" {
		return out
	}
	return out + ": " + by.Text()
}

// tooLate is the answer where the time is over.
func tooLate(key policy.Key, why string) error {
	return cli.Refuse(fmt.Sprintf("too late to confirm %s: %s", key, why), nil, enforceAgain(key))
}

func enforceAgain(key policy.Key) string {
	out := "netpol enforce " + key.Name
	if key.Namespace != "" {
		out += " --ns " + key.Namespace
	}
	return out + " --confirm-within 5m"
}
