package cmd

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/internal/cluster"
	"github.com/netpol-project/netpol/internal/output"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/stage"
)

// noteBridgeOf says which staged policies a bridge is for, and noteBridgeBy which
// command wrote it, unless enforce did.
const (
	noteBridgeOf = "netpol.dev/bridge-of"
	noteBridgeBy = "netpol.dev/bridge-by"
)

func withOwners(bridge *unstructured.Unstructured, list []promotion) *unstructured.Unstructured {
	names := make([]string, len(list))
	for i := range list {
		names[i] = list[i].policy.Key.String()
	}
	out := bridge.DeepCopy()
	out.SetAnnotations(map[string]string{noteBridgeOf: strings.Join(names, ", ")})
	return out
}

// leftovers are the bridges of commands that did not come to their end, as
// deletions to be made in this run's order. A bridge of a promotion that another
// command has to go on with stays, and is told; one that is not of command by, unless
// that is empty, is not looked at.
func (o *EditOptions) leftovers(ctx context.Context, w *world, keys []policy.Key, by string) ([]promotion, error) {
	var out []promotion
	for _, key := range w.keys {
		if !stage.IsBridge(key) {
			continue
		}
		u, err := w.store.Get(ctx, key)
		if err != nil {
			return nil, changeError(err)
		}
		if u.GetLabels()[stage.LabelBridge] == "" {
			continue // somebody's own, of that name
		}
		wrote := cmp.Or(u.GetAnnotations()[noteBridgeBy], "enforce")
		if by != "" && wrote != by {
			continue
		}
		var waits []policy.Key
		for _, k := range w.keys {
			if k.Kind.Staged() && !slices.Contains(keys, k) && slices.Contains(strings.Split(u.GetAnnotations()[noteBridgeOf], ", "), k.String()) {
				waits = append(waits, k)
			}
		}
		if len(waits) > 0 {
			if o.Format == output.Text {
				o.IO.ErrPrinter().Printf("note: %s is left of a netpol %s that was interrupted, and goes with it: netpol %s %s\n", key, wrote, wrote, namesOf(waits))
			}
			continue
		}
		gone, err := stage.Stage(u, policy.StagedDelete)
		if err != nil {
			return nil, stageError(err)
		}
		p, err := policyOf(gone)
		if err != nil {
			return nil, err
		}
		out = append(out, promotion{policy: p, enforced: u, edits: []stage.Edit{{Delete: key}}})
	}
	return out, nil
}

// namesOf are policies as the command line takes them.
func namesOf(keys []policy.Key) string {
	var names []string
	for _, k := range keys {
		names = append(names, k.Name)
	}
	if keys[0].Namespace != "" {
		names = append(names, "--ns "+keys[0].Namespace)
	}
	return strings.Join(names, " ")
}

// bridged says that steps need a bridge.
func bridged(steps []editStep) bool {
	return slices.ContainsFunc(steps, func(st editStep) bool { return st.unbridge })
}

// withoutBridge are all changes of steps at once: where they become visible
// together, or where none is made, there is nothing to bridge.
func withoutBridge(steps []editStep) []cluster.Change {
	var all []cluster.Change
	for _, st := range steps {
		for _, c := range st.changes {
			if c.Object == nil && st.unbridge || c.Object != nil && c.Object.GetLabels()[stage.LabelBridge] != "" {
				continue
			}
			all = append(all, c)
		}
	}
	return all
}

// removable tries on the server whether a bridge that was written can be taken
// away again. By itself it changes nothing, so it is no harm that it is there.
func (o *EditOptions) removable(ctx context.Context, server cluster.Server, made []cluster.Change) error {
	var gone []cluster.Change
	for _, c := range made {
		gone = append(gone, cluster.Change{Delete: keyOfChange(c)})
	}
	_, err := server.ChangeWith(ctx, gone, cluster.ChangeOptions{DryRun: cluster.DryRunServer, Force: o.ForceConflicts})
	if err == nil {
		return nil
	}
	return &cli.Error{What: "a temporary policy was written, and it can't be deleted again: nothing depends on it yet", Where: strings.Split(err.Error(), "\n"), Err: err}
}

// tellBridge says what is there for a moment.
func (g *gate) tellBridge(o *EditOptions) {
	if g.report == nil || o.Format != output.Text || o.Offline() {
		return
	}
	if g.report.Opens != "" {
		fmt.Fprintf(o.IO.Err, "note: between the steps %s is open for a moment, which is closed before and after\n", g.report.Opens)
	}
	for _, name := range g.report.Bridge {
		fmt.Fprintf(o.IO.Err, "note: %s carries connections over the moments between, and goes with the last step\n", name)
	}
}
