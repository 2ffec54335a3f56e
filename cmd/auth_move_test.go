package cmd

import (
	"bytes"
	"strings"
	"testing"

	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/internal/goldmanetest"
)

// Beside a Calico that has the tier in the policy's name, who moves a policy makes
// and deletes one, and the rights are of these names.
func TestCanIMoveBesideCalico(t *testing.T) {
	t.Setenv("NETPOL_CONFIG", "")
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	for version, anew := range map[string]bool{"v3.31.2": true, "v3.32.0": false} {
		c := goldmanetest.NewCluster(t, goldmanetest.Start(t), version)
		c.Documents["/apis/authentication.k8s.io/v1/selfsubjectreviews"] = map[string]any{"status": map[string]any{"userInfo": map[string]any{"username": "mia"}}}
		c.Documents["/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"] = map[string]any{"status": map[string]any{"allowed": true}}
		var out, errs bytes.Buffer
		code := Run(t.Context(), &cli.Streams{In: strings.NewReader(""), Out: &out, Err: &errs},
			[]string{"netpol", "--kubeconfig", c.Kubeconfig(t), "auth", "can-i", "move", "networkpolicies/db", "--from", "default", "--tier", "platform", "-n", "vote", "-o", "json"})
		text := strings.Join(strings.Fields(out.String()), "")
		if code != 0 || strings.Contains(text, `"verb":"delete"`) != anew || strings.Contains(text, `"verb":"create"`) != anew ||
			strings.Contains(text, `"verb":"patch","group":"projectcalico.org","resource":"networkpolicies","namespace":"vote","name":"platform.db"`) != anew {
			t.Errorf("%s: exit code %d\n%s%s", version, code, out.String(), errs.String())
		}
	}
}
