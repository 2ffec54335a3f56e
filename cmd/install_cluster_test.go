package cmd

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"github.com/netpol-project/netpol/internal/cli"
	site "github.com/netpol-project/netpol/internal/cluster/install"
	"github.com/netpol-project/netpol/internal/cluster/kube"
	"github.com/netpol-project/netpol/internal/install"
	"github.com/netpol-project/netpol/internal/kubetest"
)

// realCluster is a cluster with a command line.
type realCluster struct {
	plane      *kubetest.ControlPlane
	client     *dynamic.DynamicClient
	kubeconfig string
}

func newSite(t *testing.T, opts kubetest.Options) *realCluster {
	t.Helper()
	plane := kubetest.New(t, opts)
	t.Setenv("NETPOL_CONFIG", "")
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	return &realCluster{plane: plane, client: plane.Dynamic(t), kubeconfig: plane.Kubeconfig(t, plane.Admin(), "")}
}

// netpol runs a command on the cluster.
func (s *realCluster) netpol(t *testing.T, args ...string) (code int, out, errs string) {
	t.Helper()
	var o, e bytes.Buffer
	code = Run(t.Context(), &cli.Streams{In: strings.NewReader(""), Out: &o, Err: &e}, append([]string{"netpol", "--kubeconfig", s.kubeconfig}, args...))
	return code, o.String(), e.String()
}

// must is netpol for what has to work; it gives what was written to both.
func (s *realCluster) must(t *testing.T, args ...string) (out, errs string) {
	t.Helper()
	code, out, errs := s.netpol(t, args...)
	if code != 0 {
		t.Fatalf("netpol %s: exit code %d\n%s%s", strings.Join(args, " "), code, out, errs)
	}
	return out, errs
}

func gvr(group, version, resource string) schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: group, Version: version, Resource: resource}
}

// get is an object, nil if there is none.
func (s *realCluster) get(t *testing.T, r schema.GroupVersionResource, namespace, name string) *unstructured.Unstructured {
	t.Helper()
	u, err := s.client.Resource(r).Namespace(namespace).Get(t.Context(), name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// ours are the objects of netpol that there are, as KIND/NAME.
func (s *realCluster) ours(t *testing.T) []string {
	t.Helper()
	var out []string
	for _, kind := range install.Kinds() {
		r, err := install.ResourceOf(kind)
		if err != nil {
			t.Fatal(err)
		}
		list, err := s.client.Resource(r).List(t.Context(), metav1.ListOptions{})
		if apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range list.Items {
			if strings.Contains(u.GetName(), "netpol") || u.GetLabels()[install.LabelPartOf] == install.Ours || u.GetNamespace() == install.Namespace {
				out = append(out, u.GetKind()+"/"+u.GetName())
			}
		}
	}
	return out
}

// kubelets stand in for the nodes and the scheduler: they bind pods, say that
// they are ready, and let those go that are deleted.
type kubelets struct {
	site *realCluster
	mu   sync.Mutex
	dead map[string]bool // nodes that do nothing any more
}

func (s *realCluster) startKubelets(t *testing.T, nodes ...string) *kubelets {
	t.Helper()
	k := &kubelets{site: s, dead: map[string]bool{}}
	for _, n := range nodes {
		s.plane.Apply(t, "apiVersion: v1\nkind: Node\nmetadata: {name: "+n+", labels: {kubernetes.io/os: linux}}\n")
	}
	ctx, stop := context.WithCancel(t.Context())
	var done sync.WaitGroup
	done.Go(func() {
		for ctx.Err() == nil {
			if err := k.turn(ctx); err != nil && ctx.Err() == nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
				t.Errorf("kubelets: %v", err)
				return
			}
			select {
			case <-ctx.Done():
			case <-time.After(50 * time.Millisecond):
			}
		}
	})
	t.Cleanup(func() { stop(); done.Wait() })
	return k
}

func (k *kubelets) kill(node string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.dead[node] = true
}

var podsResource = gvr("", "v1", "pods")

func (k *kubelets) revive(node string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.dead, node)
}

func (k *kubelets) turn(ctx context.Context) error {
	pods := k.site.client.Resource(podsResource).Namespace(install.Namespace)
	list, err := pods.List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	var errs []error
	for i := range list.Items {
		if err := k.run(ctx, pods, &list.Items[i]); err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

var affine = regexp.MustCompile(`"matchFields":\[\{"key":"metadata.name","operator":"In","values":\["([^"]+)"\]`)

func (k *kubelets) run(ctx context.Context, pods dynamic.ResourceInterface, pod *unstructured.Unstructured) error {
	node, _, _ := unstructured.NestedString(pod.Object, "spec", "nodeName")
	if node == "" {
		node = "n1"
		if text, err := pod.MarshalJSON(); err == nil {
			if m := affine.FindSubmatch(text); m != nil {
				node = string(m[1])
			}
		}
		binding := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Binding",
			"metadata": map[string]any{"name": pod.GetName()}, "target": map[string]any{"kind": "Node", "name": node}}}
		_, err := pods.Create(ctx, binding, metav1.CreateOptions{}, "binding")
		return err
	}
	k.mu.Lock()
	dead := k.dead[node]
	k.mu.Unlock()
	phase, _, _ := unstructured.NestedString(pod.Object, "status", "phase")
	switch {
	case dead:
		return nil
	case pod.GetDeletionTimestamp() != nil:
		now := int64(0)
		return pods.Delete(ctx, pod.GetName(), metav1.DeleteOptions{GracePeriodSeconds: &now})
	case phase == "Running":
		return nil
	}
	_, err := pods.Patch(ctx, pod.GetName(), types.MergePatchType,
		[]byte(`{"status":{"phase":"Running","conditions":[{"type":"Ready","status":"True"}]}}`), metav1.PatchOptions{}, "status")
	return err
}

// notKept are what uninstall leaves: kinds, and what is no object of netpol's.
func notKept(all []string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(s string) bool {
		return strings.HasPrefix(s, "CustomResourceDefinition/") || s == "NetworkPolicy/db"
	})
}

const (
	existing = "apiVersion: v1\nkind: Namespace\nmetadata: {name: vote}\n---\n" +
		"apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: db, namespace: vote}\nspec: {podSelector: {}}\n"
	policies = "apiVersion: projectcalico.org/v3\nkind: Tier\nmetadata: {name: platform, finalizers: [netpol.dev/tier-in-use]}\nspec: {order: 5}\n---\n" +
		"apiVersion: projectcalico.org/v3\nkind: NetworkPolicy\nmetadata: {name: db, namespace: vote}\nspec: {tier: platform}\n"
)

// The life of an installation on a real API server, with the real controllers.
func TestClusterInstall(t *testing.T) {
	s := newSite(t, kubetest.Options{Controllers: true})
	nodes := s.startKubelets(t, "n1", "n2")
	s.plane.Apply(t, existing)

	t.Run("a dry run writes nothing", func(t *testing.T) {
		out, _ := s.must(t, "install", "--dry-run=server")
		if !strings.Contains(out, "daemonset.apps/netpol-agent created (dry run, not checked") || !strings.Contains(out, "namespace/netpol-system created (dry run)") {
			t.Errorf("%s", out)
		}
		if have := s.ours(t); len(have) > 0 {
			t.Fatalf("%v", have)
		}
	})
	t.Run("the first installation", func(t *testing.T) {
		out, errs := s.must(t, "install", "--wait")
		for _, want := range []string{"note: 1 policy in 1 namespace will be in force", "agents ready on 2/2 nodes after"} {
			if !strings.Contains(errs, want) {
				t.Errorf("no %q in %s", want, errs)
			}
		}
		for line := range strings.Lines(out) {
			if !strings.HasSuffix(line, " created\n") {
				t.Error(line)
			}
		}
		s.plane.Apply(t, policies)
	})
	t.Run("again: everything is unchanged", s.unchanged)
	t.Run("strict field validation takes it", func(t *testing.T) {
		out, errs := s.must(t, "install", "--dry-run=server")
		if strings.Contains(out, "configured") || strings.Contains(out, "not checked") || strings.Contains(errs, "warning") {
			t.Errorf("%s%s", out, errs)
		}
	})
	t.Run("an upgrade", s.upgrade)
	t.Run("another manager", s.conflict)
	t.Run("without flows, and with them again", func(t *testing.T) {
		values := filepath.Join(t.TempDir(), "values.yaml")
		if err := os.WriteFile(values, []byte("flows: {enabled: false}\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		out, _ := s.must(t, "install", "--values", values)
		if !strings.Contains(out, "deployment.apps/netpol-flows deleted") || s.get(t, gvr("apps", "v1", "deployments"), install.Namespace, install.FlowsName) != nil {
			t.Errorf("%s", out)
		}
		if out, _ = s.must(t, "install", "--wait"); !strings.Contains(out, "deployment.apps/netpol-flows created") {
			t.Errorf("%s", out)
		}
	})
	t.Run("with the CNI plugin, and without it again", s.withPlugin)
	t.Run("after an uninstallation that did not end", s.cleanupLeft)
	t.Run("ports are forwarded to the flows server alone", s.portForward)
	t.Run("a node that does not get ready", func(t *testing.T) {
		nodes.kill("n2")
		code, _, errs := s.netpol(t, "install", "--version", "v0.3.0", "--wait", "--timeout", "3s")
		if code != 2 || !strings.Contains(errs, "not everything is ready after 3s") {
			t.Errorf("%d %s", code, errs)
		}
	})
	t.Run("uninstall", s.uninstall)
	nodes.revive("n2")
	t.Run("the node that did not answer is back", func(t *testing.T) {
		s.awaitLeft(t, notKept)
		s.must(t, "uninstall", "--clean-nodes", "--wait")
		s.awaitLeft(t, notKept)
	})
	t.Run("purge", s.purge)
}

func (s *realCluster) unchanged(t *testing.T) {
	out, errs := s.must(t, "install")
	lines := strings.Split(strings.TrimSpace(out), "\n")
	for _, line := range lines {
		if !strings.HasSuffix(line, " unchanged") {
			t.Error(line)
		}
	}
	if len(lines) < 40 || errs != "" {
		t.Errorf("%d lines, %s", len(lines), errs)
	}
}

func (s *realCluster) upgrade(t *testing.T) {
	const old = "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: %, labels: {app.kubernetes.io/part-of: netpol LABEL}}\nrules: []\n"
	s.plane.Apply(t,
		strings.NewReplacer("%", "netpol-former", "LABEL", ", app.kubernetes.io/managed-by: netpol").Replace(old),
		strings.NewReplacer("%", "netpol-by-somebody", "LABEL", "").Replace(old))
	out, _ := s.must(t, "install", "--version", "v0.2.0", "-o", "json")
	var report installReport
	if err := json.Unmarshal([]byte(out), &report); err != nil {
		t.Fatal(err)
	}
	var changed []string
	for _, i := range report.Items {
		if i.Outcome != "unchanged" {
			changed = append(changed, i.Outcome+" "+i.Kind+"/"+i.Name)
		}
	}
	want := []string{"configured DaemonSet/netpol-agent", "configured Deployment/netpol-flows", "deleted ClusterRole/netpol-former"}
	if !slices.Equal(changed, want) || report.Kind != "Installation" || report.Image != install.Repository+":v0.2.0" {
		t.Errorf("%v %+v", changed, report.Image)
	}
	role := gvr("rbac.authorization.k8s.io", "v1", "clusterroles")
	if s.get(t, role, "", "netpol-by-somebody") == nil || s.get(t, role, "", "netpol-former") != nil {
		t.Error("what was pruned is not what netpol made")
	}
	if err := s.client.Resource(role).Delete(t.Context(), "netpol-by-somebody", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
}

func (s *realCluster) conflict(t *testing.T) {
	_, err := s.client.Resource(gvr("apps", "v1", "daemonsets")).Namespace(install.Namespace).Patch(t.Context(), install.AgentName,
		types.StrategicMergePatchType, []byte(`{"spec":{"template":{"spec":{"containers":[{"name":"agent","image":"fork/netpol:v9"}]}}}}`),
		metav1.PatchOptions{FieldManager: "gitops"})
	if err != nil {
		t.Fatal(err)
	}
	code, _, errs := s.netpol(t, "install")
	if code != 2 || !strings.Contains(errs, "gitops manages spec.template.spec.containers") || !strings.Contains(errs, "--force-conflicts") {
		t.Errorf("%d %s", code, errs)
	}
	if out, _ := s.must(t, "install", "--force-conflicts"); !strings.Contains(out, "daemonset.apps/netpol-agent configured") {
		t.Errorf("%s", out)
	}
}

// withPlugin: what the plugin takes is there with it, and gone without it; the
// agents' pods know which of the two comes after them.
func (s *realCluster) withPlugin(t *testing.T) {
	role := gvr("rbac.authorization.k8s.io", "v1", "roles")
	conn := &kube.Conn{Config: s.plane.ServiceAccount(t, install.Namespace, install.AgentName)}
	leaves := func(about, says string) {
		t.Helper()
		client, err := site.New(conn, func(string) {})
		if err != nil {
			t.Fatal(err)
		}
		why, err := client.Leaves(t.Context(), "n1", "--bin-dir=/opt/cni/bin", "--conf-dir=/etc/cni/net.d")
		if err != nil || (why == "") != (says == "") || !strings.Contains(why, says) {
			t.Errorf("%s: %q, %v, want %q", about, why, err, says)
		}
	}
	s.must(t, "install", "--cni", "--wait")
	if s.get(t, role, install.Namespace, "netpol-agent-cni") == nil {
		t.Error("the agents may not see what comes after them")
	}
	leaves("installed", "")
	s.must(t, "install", "--cni", "--cni-conf-dir", "/etc/other")
	leaves("installed in other directories", "other directories")
	_, errs := s.must(t, "install", "--wait")
	if !strings.Contains(errs, "note: without --cni the agents take the CNI plugin off every node") || s.get(t, role, install.Namespace, "netpol-agent-cni") != nil {
		t.Errorf("%s", errs)
	}
	// Its right to know is gone with the plugin.
	leaves("installed without", "goes")
	if _, errs = s.must(t, "install"); strings.Contains(errs, "note") {
		t.Errorf("again: %s", errs)
	}
}

// portForward asks for a port of an agent, whose user may forward ports.
func (s *realCluster) portForward(t *testing.T) {
	s.plane.Apply(t, "apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {name: mia, namespace: netpol-system}\n"+
		"roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: netpol-flows-connect}\nsubjects: [{kind: User, name: mia, apiGroup: rbac.authorization.k8s.io}]\n")
	list, err := s.client.Resource(podsResource).Namespace(install.Namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, config := range []*rest.Config{s.plane.User(t, "mia"), s.plane.Admin()} {
		client, err := rest.HTTPClientFor(config)
		if err != nil {
			t.Fatal(err)
		}
		asked := map[bool]bool{}
		for _, pod := range list.Items {
			if pod.GetDeletionTimestamp() != nil {
				continue
			}
			flows := strings.HasPrefix(pod.GetName(), "netpol-flows-")
			asked[flows] = true
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, config.Host+"/api/v1/namespaces/"+install.Namespace+"/pods/"+pod.GetName()+"/portforward", nil)
			if err != nil {
				t.Fatal(err)
			}
			res, err := client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			text, _ := io.ReadAll(res.Body)
			_ = res.Body.Close()
			refused := res.StatusCode == http.StatusForbidden && bytes.Contains(text, []byte("only ports of the flows server"))
			if refused == flows {
				t.Errorf("%s: %s %s", pod.GetName(), res.Status, text)
			}
		}
		if !asked[true] || !asked[false] {
			t.Errorf("pods of one kind only: %v", asked)
		}
	}
}

// cleanupLeft: what removes rules is gone before there are agents again.
func (s *realCluster) cleanupLeft(t *testing.T) {
	v, err := install.Defaults("v0.2.0")
	if err != nil {
		t.Fatal(err)
	}
	ds, err := install.Cleanup(v, nil)
	if err != nil {
		t.Fatal(err)
	}
	text, err := ds.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	const gone, agent = "daemonset.apps/netpol-cleanup deleted", "daemonset.apps/netpol-agent "
	s.plane.Apply(t, string(text))
	out, _ := s.must(t, "install", "--dry-run=server")
	if strings.Count(out, gone) != 1 || s.get(t, gvr("apps", "v1", "daemonsets"), install.Namespace, install.CleanupName) == nil {
		t.Errorf("a dry run: %s", out)
	}
	out, _ = s.must(t, "install", "--wait")
	if first, then := strings.Index(out, gone), strings.Index(out, agent); first < 0 || then < first {
		t.Errorf("%s", out)
	}
	if s.get(t, gvr("apps", "v1", "daemonsets"), install.Namespace, install.CleanupName) != nil {
		t.Error("the cleanup is still there")
	}
}

func (s *realCluster) uninstall(t *testing.T) {
	code, out, errs := s.netpol(t, "uninstall", "--timeout", "4s")
	if code != 2 || !strings.Contains(errs, "rules may still be in the kernels of some nodes") || !strings.Contains(errs, "n2: ") || strings.Contains(errs, "n1: ") {
		t.Errorf("%d %s", code, errs)
	}
	if !strings.Contains(out, "daemonset.apps/netpol-agent deleted") || strings.Contains(out, "customresourcedefinition") {
		t.Errorf("%s", out)
	}
	// A node that is down keeps its pods, they the namespace, and that what is in it
	// of Kubernetes and of others.
	s.awaitLeft(t, func(all []string) []string {
		return slices.DeleteFunc(notKept(all), func(o string) bool {
			return slices.Contains([]string{"Namespace/netpol-system", "ServiceAccount/default", "RoleBinding/mia", "ConfigMap/kube-root-ca.crt"}, o)
		})
	})
	if s.get(t, gvr("projectcalico.org", "v3", "networkpolicies"), "vote", "db") == nil {
		t.Error("a policy is gone")
	}
}

func (s *realCluster) purge(t *testing.T) {
	if _, errs := s.must(t, "uninstall"); !strings.Contains(errs, "nothing of netpol") {
		t.Errorf("%s", errs)
	}
	code, _, errs := s.netpol(t, "uninstall", "--purge")
	if code != 2 || !strings.Contains(errs, "2 resources in 1 namespace") || !strings.Contains(errs, "--yes") {
		t.Errorf("%d %s", code, errs)
	}
	if s.get(t, gvr("projectcalico.org", "v3", "networkpolicies"), "vote", "db") == nil {
		t.Fatal("a policy is gone without --yes")
	}
	s.must(t, "uninstall", "--purge", "--yes")
	s.awaitLeft(t, func(all []string) []string { return all })
}

// awaitLeft waits until what counts of netpol's objects is gone.
func (s *realCluster) awaitLeft(t *testing.T, counts func(all []string) []string) {
	t.Helper()
	var left []string
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if left = counts(s.ours(t)); len(left) == 0 {
			return
		}
	}
	t.Errorf("left: %v", left)
}
