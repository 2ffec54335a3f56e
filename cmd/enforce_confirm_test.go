package cmd

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/internal/cluster"
	"github.com/netpol-project/netpol/internal/output"
	"github.com/netpol-project/netpol/pkg/enforce/agentpb"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/stage"
)

// All that one command puts on trial says the same end, by which agents know that
// they go back together; another command's says another, though it is the same
// second.
func TestEnforceOnTrialTogether(t *testing.T) {
	d := stagedDir(t)
	for _, name := range []string{"a", "b", "c"} {
		manifest := strings.ReplaceAll(`apiVersion: projectcalico.org/v3
kind: StagedNetworkPolicy
metadata: {name: NAME, namespace: vote}
spec: {stagedAction: Set, selector: app == 'NAME', types: [Ingress], ingress: [{action: Allow}]}
`, "NAME", name)
		if err := os.WriteFile(filepath.Join(d.Path(), name+".yaml"), []byte(manifest), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	now := time.Date(2026, 1, 2, 15, 0, 0, 0, time.UTC)
	enforce := func(names ...string) {
		t.Helper()
		opts, _ := enforceOptions(d, &syncAgent{reply: &agentpb.StatusReply{Enforcing: true}}, &stage.Report{})
		opts.Now = func() time.Time { now = now.Add(time.Microsecond); return now }
		opts.Names, opts.Confirm.Within = names, time.Minute
		if err := enforceRun(t.Context(), opts); err != nil {
			t.Fatal(err)
		}
	}
	enforce("a", "b", "default-deny")
	enforce("c")
	var got []string
	for _, key := range []policy.Key{
		denyKey, {Kind: policy.KindNetworkPolicy, Namespace: "vote", Name: "a"},
		{Kind: policy.KindNetworkPolicy, Namespace: "vote", Name: "b"}, {Kind: policy.KindNetworkPolicy, Namespace: "vote", Name: "c"},
	} {
		u, err := d.Get(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, u.GetAnnotations()[policy.NoteConfirmBy])
	}
	if got[0] == "" || got[0] != got[1] || got[0] != got[2] || got[0] == got[3] || got[3] == "" {
		t.Errorf("they end at %q", got)
	}
	var said bytes.Buffer
	err := confirmRun(t.Context(), &ConfirmOptions{Name: "a", Namespace: "vote", EditOptions: EditOptions{
		IO: &cli.Streams{Out: &bytes.Buffer{}, Err: &said}, Now: func() time.Time { return now }, Format: output.Text,
		Store: func() (cluster.Store, error) { return d, nil }, Offline: func() bool { return true },
	}})
	const left = "note: enforced with it, and still to be confirmed: GlobalNetworkPolicy default-deny, NetworkPolicy vote/b\n"
	if err != nil || !strings.Contains(said.String(), left) {
		t.Errorf("%v, and it says %q", err, said.String())
	}
}
