//go:build linux

package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"

	"github.com/netpol-project/netpol/examples"
	"github.com/netpol-project/netpol/internal/e2e"
	"github.com/netpol-project/netpol/internal/install"
	"github.com/netpol-project/netpol/internal/lab/actor"
	"github.com/netpol-project/netpol/internal/lab/plan"
)

// overlay is a manifest of examples/ as a test can run it: the images are public
// ones that can't be pulled here, so the tools' actor takes the place of each
// container and does what the annotations say. Clients outside keep their
// address, as with the node ports of a load balancer.
func overlay(t *testing.T, object *unstructured.Unstructured) {
	t.Helper()
	switch object.GetKind() {
	case "Service":
		if kind, _, _ := unstructured.NestedString(object.Object, "spec", "type"); kind == "NodePort" {
			set(t, object, "Local", "spec", "externalTrafficPolicy")
		}
	case "Deployment":
		containers, _, err := unstructured.NestedSlice(object.Object, "spec", "template", "spec", "containers")
		if err != nil || len(containers) != 1 {
			t.Fatalf("%s: want one container, got %v, %v", object.GetName(), containers, err)
		}
		container := containers[0].(map[string]any)
		text := jsonOf(t, actorOf(t, object, container))
		container["image"], container["imagePullPolicy"] = e2e.ToolsImage, "Never"
		container["args"] = []any{"actor"}
		container["env"] = []any{map[string]any{"name": "ACTOR", "value": text}}
		set(t, object, containers, "spec", "template", "spec", "containers")
	}
}

func set(t *testing.T, object *unstructured.Unstructured, value any, path ...string) {
	t.Helper()
	if err := unstructured.SetNestedField(object.Object, value, path...); err != nil {
		t.Fatal(err)
	}
}

// actorOf is what the pods of a Deployment do.
func actorOf(t *testing.T, object *unstructured.Unstructured, container map[string]any) actor.Config {
	t.Helper()
	config := actor.Config{Name: object.GetNamespace() + "/" + object.GetName(), Every: 500 * time.Millisecond}
	ports, _ := container["ports"].([]any)
	for _, each := range ports {
		number, _ := each.(map[string]any)["containerPort"].(int64)
		config.Listen = append(config.Listen, plan.Port{Protocol: "TCP", Port: uint16(number)})
	}
	connect, _, _ := unstructured.NestedString(object.Object, "spec", "template", "metadata", "annotations", plan.AnnotationConnect)
	if connect == "" {
		return config
	}
	var err error
	if config.Targets, err = plan.ParseTargets(connect); err != nil {
		t.Fatal(err)
	}
	return config
}

// startExamples runs examples/vote and examples/wordpress.
func startExamples(t *testing.T, c *e2e.Cluster) {
	t.Helper()
	for _, app := range []string{"vote", "wordpress"} {
		files, err := fs.Glob(examples.FS, app+"/*.yaml")
		if err != nil {
			t.Fatal(err)
		}
		// The namespace first.
		slices.SortFunc(files, func(a, b string) int {
			return strings.Compare(fmt.Sprint(!strings.HasSuffix(a, "namespace.yaml"), a), fmt.Sprint(!strings.HasSuffix(b, "namespace.yaml"), b))
		})
		for _, name := range files {
			text, err := fs.ReadFile(examples.FS, name)
			if err != nil {
				t.Fatal(err)
			}
			decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(text), 4096)
			for {
				object := &unstructured.Unstructured{}
				if decoder.Decode(object) != nil {
					break
				}
				overlay(t, object)
				c.Apply(t, jsonOf(t, object.Object))
			}
		}
		c.Kubectl(t, "--namespace="+app, "rollout", "status", "deployment", "--timeout=120s")
	}
}

// outside is a client outside the cluster, where the control plane is, that
// uses the node ports of vote and result until the context ends.
func outside(ctx context.Context, t *testing.T, c *e2e.Cluster) {
	t.Helper()
	for service, port := range map[string]string{"vote": "31000", "result": "31001"} {
		pods := podsOf(t, c, "vote", "app="+service)
		if len(pods) != 1 {
			t.Fatalf("want one pod of %s, got %v", service, pods)
		}
		node, err := c.Node(pods[0].node)
		if err != nil {
			t.Fatal(err)
		}
		address := net.JoinHostPort(node.IPv4.String(), port)
		go func() {
			for ctx.Err() == nil {
				if conn, err := net.DialTimeout("tcp", address, 2*time.Second); err == nil {
					_ = conn.Close()
				}
				select {
				case <-ctx.Done():
				case <-time.After(500 * time.Millisecond):
				}
			}
		}()
	}
}

// testWorkshop is the workshop of netpol lab demo on the real cluster.
func testWorkshop(t *testing.T, c *e2e.Cluster) {
	startExamples(t, c)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	outside(ctx, t, c)
	w := workshop{c: c}
	w.connects(t, "--ns=vote")
	netpol(t, c, 0, "stage", "default-deny", "--ns=vote", "--wait")
	w.connects(t, "--ns=vote")
	w.reports(t, append(needed(), "10.10.0.1 → vote/result:80", "10.10.0.1 → vote/vote:80")...)

	netpol(t, c, 0, "tier", "create", "platform", "--before=default")
	netpol(t, c, 0, "create", "policy", "db", "--ns=vote", "--tier=platform", "--selector=app == 'db'",
		"--ingress=allow tcp:5432 from app == 'worker' || app == 'result'")
	netpol(t, c, 0, "enforce", "db", "--ns=vote", "--wait")
	w.connects(t, "--from=vote/worker", "--to=vote/db")
	w.connects(t, "--from=vote/result", "--to=vote/db")
	w.blocked(t, "db", "--from=wordpress/wordpress", "--to=vote/db")

	netpol(t, c, 0, "recommend", "--ns=vote", "--workload=redis", "--enforce")
	netpol(t, c, 0, "policy", "move", "redis", "--ns=vote", "--tier=platform")
	netpol(t, c, 1, "enforce", "default-deny", "--ns=vote") // too early
	netpol(t, c, 0, "recommend", "--ns=vote", "--enforce")
	w.nothingWouldBreak(t)
	before := time.Now()
	out := netpol(t, c, 0, "enforce", "default-deny", "--ns=vote", "--wait")
	t.Logf("%s", out)
	w.stillWorking(t, before)

	netpol(t, c, 1, "explain", "wordpress/wordpress", "vote/db:5432")
	w.onlyNeeded(t)
	w.agrees(t)
	netpol(t, c, 0, "status")
}

// needed are the connections between workloads that the Voting App makes.
func needed() []string {
	return []string{
		"vote/result → kube-system/coredns:53",
		"vote/result → vote/db:5432",
		"vote/vote → kube-system/coredns:53",
		"vote/vote → vote/redis:6379",
		"vote/worker → kube-system/coredns:53",
		"vote/worker → vote/db:5432",
		"vote/worker → vote/redis:6379",
	}
}

// workshop are checks of what commands answer.
type workshop struct{ c *e2e.Cluster }

// item is a line of a report in JSON.
type item struct {
	Source, Destination struct{ Namespace, Workload, Address string }
	Port                int
	Result, Error       string
	BlockedBy, DeniedBy *struct{ Name string }
}

func (i item) String() string {
	name := func(namespace, workload, address string) string {
		if workload == "" {
			return address
		}
		return namespace + "/" + workload
	}
	return fmt.Sprintf("%s → %s:%d", name(i.Source.Namespace, i.Source.Workload, i.Source.Address),
		name(i.Destination.Namespace, i.Destination.Workload, i.Destination.Address), i.Port)
}

type probeAnswer struct{ Items []item }

func (w workshop) probe(t *testing.T, args ...string) (answer probeAnswer) {
	t.Helper()
	netpolJSON(t, w.c, &answer, append([]string{"probe", "--yes"}, args...)...)
	if len(answer.Items) == 0 {
		t.Fatalf("probe %v: nothing was probed", args)
	}
	return answer
}

// connects: every pair of a probe connects, but for the flows server, which has
// a policy of its own.
func (w workshop) connects(t *testing.T, args ...string) {
	t.Helper()
	for _, i := range w.probe(t, args...).Items {
		ours := i.Source.Namespace == install.Namespace || i.Destination.Namespace == install.Namespace
		if i.Result != "connected" && !ours {
			t.Errorf("probe %v: %s: %s %s", args, i, i.Result, i.Error)
		}
	}
}

func (w workshop) blocked(t *testing.T, policy string, args ...string) {
	t.Helper()
	for _, i := range w.probe(t, args...).Items {
		if i.Result != "blocked" || i.DeniedBy == nil || i.DeniedBy.Name != policy {
			t.Errorf("probe %v: %s is %s by %+v", args, i, i.Result, i.DeniedBy)
		}
	}
}

// onlyNeeded: exactly the pairs that the application needs connect.
func (w workshop) onlyNeeded(t *testing.T) {
	t.Helper()
	var connected []string
	for _, i := range w.probe(t, "--ns=vote").Items {
		switch i.Result {
		case "connected":
			connected = append(connected, i.String())
		case "blocked":
		default:
			t.Errorf("%s: %s", i, i.Result)
		}
	}
	slices.Sort(connected)
	if connected = slices.Compact(connected); !slices.Equal(connected, needed()) { // TCP and UDP
		t.Errorf("these connect: %s", strings.Join(connected, ", "))
	}
}

// agrees: the network does what the model says, for every pair and by both
// families.
func (w workshop) agrees(t *testing.T) {
	t.Helper()
	expected := filepath.Join(t.TempDir(), "expected.json")
	text := netpol(t, w.c, 0, "connectivity", "--ns=vote", "--output=json")
	if err := os.WriteFile(expected, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	netpol(t, w.c, 0, "probe", "--yes", "--ns=vote", "--family=both", "--expect="+expected)
}

type reportAnswer struct {
	Summary struct {
		Flows struct{ Observed, WouldBlock int }
	}
	Items []item
}

// reports: the default deny would block these flows, and no others.
func (w workshop) reports(t *testing.T, flows ...string) {
	t.Helper()
	slices.Sort(flows)
	var seen []string
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(time.Second) {
		var answer reportAnswer
		netpolJSON(t, w.c, &answer, "report", "default-deny", "--ns=vote")
		seen = nil
		for _, i := range answer.Items {
			seen = append(seen, i.String())
		}
		slices.Sort(seen)
		if seen = slices.Compact(seen); slices.Equal(seen, flows) {
			return
		}
	}
	t.Errorf("the report has\n  %s\nwant\n  %s", strings.Join(seen, "\n  "), strings.Join(flows, "\n  "))
}

func (w workshop) nothingWouldBreak(t *testing.T) {
	t.Helper()
	var answer reportAnswer
	netpolJSON(t, w.c, &answer, "report", "default-deny", "--ns=vote")
	if answer.Summary.Flows.Observed == 0 || answer.Summary.Flows.WouldBlock != 0 {
		t.Errorf("would block: %+v", answer)
	}
}

// stillWorking: since a time no actor of vote has failed, and each that
// connects has connected.
func (w workshop) stillWorking(t *testing.T, since time.Time) {
	t.Helper()
	time.Sleep(5 * time.Second)
	for _, app := range []string{"vote", "worker", "result"} {
		out := w.c.Kubectl(t, "--namespace=vote", "logs", "deployment/"+app, "--since-time="+since.UTC().Format(time.RFC3339))
		good := 0
		for line := range strings.Lines(out) {
			var event actor.Event
			if err := json.Unmarshal([]byte(line), &event); err != nil {
				t.Errorf("%s printed %q", app, line)
			}
			switch {
			case event.Start.Before(since):
			case event.Error != "":
				t.Errorf("%s: %s", app, event.Error)
			default:
				good++
			}
		}
		if good == 0 {
			t.Errorf("%s has made no connections", app)
		}
	}
}
