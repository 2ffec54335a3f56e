package lab_test

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
)

// A default-deny that nobody confirms cuts, and then all is open again with no
// command running and nobody asked; one that is confirmed stays.
func TestTrialInALab(t *testing.T) {
	u := newUser(t)
	u.netpol("lab", "up", "-f", filepath.Join(examples, "vote"))
	u.netpol("stage", "default-deny", "--ns", "vote")
	// Commands may take long here, so nothing is asked of the policy while its
	// time runs: what it refused is seen afterwards.
	u.netpol("enforce", "default-deny", "--ns", "vote", "--force", "--confirm-within", "10s")
	await(t, "default-deny to be gone by itself", func() bool {
		return !strings.Contains(u.netpol("get", "policies"), "on-trial")
	})
	u.netpol("probe", "--to", "db", "--expect", "allow")
	if out := u.netpol("flows", "-n", "vote", "--verdict", "deny"); !strings.Contains(out, "vote/vote") {
		t.Errorf("it has refused nothing:\n%s", out)
	}
	await(t, "the history to tell which agent took it back", func() bool {
		out := u.netpol("history", "default-deny")
		return strings.Contains(out, "agent on ") && strings.Contains(out, "taken back, there was none before: nobody confirmed it in time")
	})
	if out := u.netpol("get", "staged"); !strings.Contains(out, "default-deny") {
		t.Errorf("the staged one is gone: %s", out)
	}
	if _, stderr, code := u.try(t.Context(), "confirm", "default-deny"); code != 1 || !strings.Contains(stderr, "it was taken back") {
		t.Errorf("confirmed too late: exit code %d: %s", code, stderr)
	}
	u.netpol("enforce", "default-deny", "--ns", "vote", "--force", "--confirm-within", "5m")
	if out := u.netpol("confirm", "--list", "-o", "name"); !strings.Contains(out, "globalnetworkpolicy.projectcalico.org/default-deny") {
		t.Errorf("what waits to be confirmed: %q", out)
	}
	u.netpol("probe", "--to", "db", "--expect", "deny")
	u.netpol("confirm", "default-deny")
	u.netpol("probe", "--to", "db", "--expect", "deny")
	if out := u.netpol("status", "-o", "json"); !strings.Contains(out, `"disagreements": 0`) {
		t.Errorf("status: %s", out)
	}
}

// A default-deny that refuses what was usual before it was staged goes back at once,
// and the history tells what that was.
func TestRollbackOnDenyInALab(t *testing.T) {
	u := newUser(t)
	u.netpol("lab", "up", "-f", filepath.Join(examples, "vote"))
	await(t, "traffic to be usual", func() bool {
		var doc struct {
			Items []struct{ Connections int }
		}
		if err := json.Unmarshal([]byte(u.netpol("flows", "-n", "vote", "-o", "json")), &doc); err != nil {
			t.Fatal(err)
		}
		often := 0
		for _, f := range doc.Items {
			if f.Connections > 1 {
				often++
			}
		}
		return often >= 4
	})
	u.netpol("stage", "default-deny", "--ns", "vote")
	_, stderr, code := u.try(t.Context(), "enforce", "default-deny", "--ns", "vote", "--force", "--confirm-within", "2m", "--rollback-on-deny", "--wait")
	if code != 1 || !strings.Contains(stderr, "that were usual before it was staged are refused") {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	out := u.netpol("history", "default-deny", "-o", "json")
	var doc struct {
		Items []struct {
			Revisions []struct {
				Reverted *struct {
					Reason string
					Denied struct {
						Connections, Pods int
						Flows             []struct{ From, To string }
					}
				}
			}
		}
	}
	if err := json.Unmarshal([]byte(out), &doc); err != nil || len(doc.Items) != 1 || len(doc.Items[0].Revisions) != 2 {
		t.Fatalf("%v: %s", err, out)
	}
	r := doc.Items[0].Revisions[1].Reverted
	if r == nil || r.Reason != "denied" || r.Denied.Connections < 3 || r.Denied.Pods < 2 || len(r.Denied.Flows) == 0 || !strings.HasPrefix(r.Denied.Flows[0].From, "vote/") {
		t.Errorf("history: %s", out)
	}
	u.netpol("probe", "--to", "db", "--expect", "allow")
}
