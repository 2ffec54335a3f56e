package declared_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/netpol-project/netpol/internal/cluster"
	"github.com/netpol-project/netpol/internal/cluster/declared"
	"github.com/netpol-project/netpol/pkg/policy"
)

func open(t *testing.T, text string) (*cluster.Dir, string) {
	t.Helper()
	root := t.TempDir()
	file := filepath.Join(root, "all.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	d, err := cluster.OpenDir(root)
	if err != nil {
		t.Fatal(err)
	}
	return d, file
}

func TestWorkloadsAndTheirLastRuns(t *testing.T) {
	const template = "template: {metadata: {labels: {app: a}}, spec: {containers: [{name: c, image: i}]}}"
	d, _ := open(t, `apiVersion: batch/v1
kind: CronJob
metadata: {name: nightly, namespace: a, creationTimestamp: "2026-01-01T00:00:00Z"}
spec: {schedule: "0 3 * * *", suspend: true, jobTemplate: {spec: {`+template+`}}}
status: {lastScheduleTime: "2026-03-01T03:00:00Z", lastSuccessfulTime: "2026-03-01T03:01:00Z"}
---
apiVersion: batch/v1
kind: Job
metadata:
  name: nightly-1
  namespace: a
  ownerReferences: [{apiVersion: batch/v1, kind: CronJob, name: nightly, uid: u, controller: true}]
spec: {`+template+`}
status: {startTime: "2026-03-01T03:00:00Z", conditions: [{type: Failed, status: "True", lastTransitionTime: "2026-03-01T03:02:00Z"}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: b}
spec: {replicas: 0, `+template+`}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: everywhere, namespace: b}
spec: {`+template+`}
`)
	list, missing, err := declared.Workloads(t.Context(), d, nil)
	if err != nil || len(missing) > 0 {
		t.Fatal(missing, err)
	}
	got := ""
	for _, w := range list {
		replicas := "-"
		if w.Replicas != nil {
			replicas = fmt.Sprint(*w.Replicas)
		}
		clock := func(at time.Time) string {
			if at.IsZero() {
				return "-"
			}
			return at.Format("15:04")
		}
		got += fmt.Sprintf("%s %s %q suspended=%v owned=%v %s-%s replicas=%s\n", w.Kind, w.Workload, w.Schedule, w.Suspended, w.Owned,
			clock(w.Started), clock(w.Ended), replicas)
	}
	want := `CronJob a/nightly "0 3 * * *" suspended=true owned=false 03:00-03:01 replicas=-
DaemonSet b/everywhere "" suspended=false owned=false --- replicas=-
Deployment b/web "" suspended=false owned=false --- replicas=0
Job a/nightly-1 "" suspended=false owned=true 03:00-03:02 replicas=-
`
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if list, _, err = declared.Workloads(t.Context(), d, []string{"b"}); err != nil || len(list) != 2 {
		t.Errorf("of one namespace: %v, %v", list, err)
	}
}

func TestChangedIsWhenTheFileWas(t *testing.T) {
	d, file := open(t, "apiVersion: projectcalico.org/v3\nkind: StagedNetworkPolicy\nmetadata: {name: p, namespace: a}\nspec: {types: [Ingress]}\n")
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	if err := os.Chtimes(file, at, at); err != nil {
		t.Fatal(err)
	}
	snap, _, err := d.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	key := policy.Key{Kind: policy.KindStagedNetworkPolicy, Namespace: "a", Name: "p"}
	for files, want := range map[bool]time.Time{true: at, false: {}} { // of a checkout it says nothing
		got, err := declared.Changed(t.Context(), d, snap.Policies, files)
		if err != nil || !got[key].Equal(want) {
			t.Errorf("files %v: %v, %v", files, got, err)
		}
	}
}
