//go:build linux

package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/netpol-project/netpol/internal/kubetest"
)

// Cluster is a running cluster.
type Cluster struct {
	*kubetest.ControlPlane
	Nodes []*Node
	// Bin is the directory of binaries, the one of netpol and kubectl included.
	Bin string
	// Kubeconfig is the administrator's.
	Kubeconfig string

	state, cgroup string
	scheduler     *kubetest.Process
}

const nodes = 3

// Up starts a cluster and returns when its nodes are ready and DNS answers.
// The test's end is the cluster's; Sandbox takes down what is left.
func Up(t *testing.T) *Cluster {
	t.Helper()
	bin := os.Getenv(BinEnv)
	if bin == "" {
		t.Skip("no cluster: $" + BinEnv + " is not set (make e2e sets it)")
	}
	if os.Getenv(stageEnv) != stageTests {
		t.Fatal("not in the sandbox: TestMain must be e2e.Sandbox")
	}
	t.Setenv(kubetest.BinEnv, bin)
	c := &Cluster{Bin: bin, state: os.Getenv(stateEnv), cgroup: os.Getenv(cgroupEnv)}
	t.Cleanup(c.down)
	t.Cleanup(func() { c.saveLogs(t) })
	for i := 1; i <= nodes; i++ {
		c.Nodes = append(c.Nodes, newNode(i, c.state, bin))
	}
	if err := c.up(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.awaitNodes(t)
	c.installDNS(t)
	return c
}

func (c *Cluster) up(ctx context.Context) error {
	if err := makeBridge(); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return c.startControlPlane(ctx) })
	group.Go(func() error {
		tars, err := c.images()
		if err != nil {
			return err
		}
		return c.startNodes(ctx, tars)
	})
	if err := group.Wait(); err != nil {
		return err
	}
	return c.join()
}

// images are tars of what runs in pods: netpol's is the one that is shipped.
func (c *Cluster) images() ([]string, error) {
	tools := filepath.Join(c.state, "tools.tar")
	if err := writeImage(tools, ToolsImage, filepath.Join(c.Bin, "tools"), "tools"); err != nil {
		return nil, fmt.Errorf("image %s: %w", ToolsImage, err)
	}
	return []string{tools, filepath.Join(c.Bin, "netpol-image.tar")}, nil
}

// startNodes starts all that a node does before it knows the cluster. The
// network namespaces come first: interfaces need both ends.
func (c *Cluster) startNodes(ctx context.Context, tars []string) error {
	for _, n := range c.Nodes {
		if err := errors.Join(n.start(ctx), n.attach()); err != nil {
			return err
		}
	}
	group, ctx := errgroup.WithContext(ctx)
	for _, n := range c.Nodes {
		group.Go(func() error {
			if err := errors.Join(n.configure(c.Nodes), makeCgroup(c.cgroup+"/"+n.Name), n.startContainerd(ctx)); err != nil {
				return err
			}
			for _, tar := range tars {
				if err := n.importImage(tar); err != nil {
					return err
				}
			}
			return n.writeCNI()
		})
	}
	return group.Wait()
}

func (c *Cluster) startControlPlane(ctx context.Context) (err error) {
	dir := filepath.Join(c.state, "control-plane")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	c.ControlPlane, err = kubetest.Start(ctx, kubetest.Options{
		Dir: dir, Listen: hostAddr4(1), Controllers: true,
		ControllerManager: []string{"--cluster-cidr=" + podRanges, "--service-cluster-ip-range=" + kubetest.ServiceRange},
	})
	if err != nil {
		return err
	}
	if c.Kubeconfig, err = c.WriteKubeconfig("admin", c.Admin(), ""); err != nil {
		return err
	}
	return c.startScheduler()
}

func (c *Cluster) startScheduler() error {
	user, err := c.UserCert("system:kube-scheduler")
	if err != nil {
		return err
	}
	kubeconfig, err := c.WriteKubeconfig("kube-scheduler", user, "")
	if err != nil {
		return err
	}
	c.scheduler, err = kubetest.StartProcess(c.Dir, filepath.Join(c.Bin, "kube-scheduler"),
		"--kubeconfig="+kubeconfig, "--leader-elect=false", "--secure-port=0")
	return err
}

// join makes the nodes members of the cluster.
func (c *Cluster) join() error {
	for _, n := range c.Nodes {
		if err := errors.Join(n.startKubelet(c.ControlPlane, c.cgroup), n.startProxy(c.ControlPlane)); err != nil {
			return err
		}
	}
	return nil
}

func (c *Cluster) awaitNodes(t *testing.T) {
	t.Helper()
	for _, n := range c.Nodes {
		err := n.kubelet.Await(t.Context(), func(context.Context) error {
			_, err := c.TryKubectl("get", "node", n.Name)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		// What a controller of nodes would write; the CNI configuration says the same.
		c.Kubectl(t, "patch", "node", n.Name, "--patch", fmt.Sprintf(`{"spec":{"podCIDR":%q,"podCIDRs":[%q,%q]}}`, n.Pods4, n.Pods4, n.Pods6))
	}
	c.Kubectl(t, "wait", "--for=condition=Ready", "nodes", "--all", "--timeout=180s")
}

// Kubectl runs kubectl as the administrator and returns its standard output.
func (c *Cluster) Kubectl(t testing.TB, args ...string) string {
	t.Helper()
	out, err := c.TryKubectl(args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TryKubectl is Kubectl where failing is an answer.
func (c *Cluster) TryKubectl(args ...string) (string, error) {
	cmd := exec.Command(filepath.Join(c.Bin, "kubectl"), append([]string{"--kubeconfig=" + c.Kubeconfig}, args...)...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return string(out), fmt.Errorf("kubectl %s: %w\n%s%s", strings.Join(args, " "), err, out, stderr.String())
	}
	return string(out), nil
}

// keepEnv keeps a cluster up after the tests, to look around.
const keepEnv = "NETPOL_E2E_KEEP"

// down waits, if the user wants to look around, and ends the cluster.
func (c *Cluster) down() {
	if os.Getenv(keepEnv) != "" && c.ControlPlane != nil {
		fmt.Fprintf(os.Stderr, "\nThe cluster stays up until Ctrl-C. As root, from another terminal:\n"+
			"  nsenter --target=$(pgrep --parent %s) --all -- env KUBECONFIG=%s PATH=%s:$PATH sh\n",
			os.Getenv(outerEnv), c.Kubeconfig, c.Bin)
		select {}
	}
	for _, n := range c.Nodes {
		for _, p := range []*kubetest.Process{n.kubelet, n.proxy} {
			p.Stop()
		}
	}
	c.scheduler.Stop()
	if c.ControlPlane != nil {
		c.Stop()
	}
	// Containers, shims and containerd end with the sandbox.
}

// logsEnv names a directory that gets every process's log when a test fails.
const logsEnv = "NETPOL_E2E_LOGS"

func (c *Cluster) saveLogs(t *testing.T) {
	target := os.Getenv(logsEnv)
	if !t.Failed() || target == "" {
		return
	}
	logs, err := filepath.Glob(filepath.Join(c.state, "*", "*.log"))
	if err != nil {
		t.Error(err)
	}
	for _, log := range logs {
		text, err := os.ReadFile(log)
		if err == nil {
			err = os.MkdirAll(target, 0o755)
		}
		if err == nil {
			name := filepath.Base(filepath.Dir(log)) + "-" + filepath.Base(log)
			err = os.WriteFile(filepath.Join(target, name), text, 0o644)
		}
		if err != nil {
			t.Error(err)
		}
	}
	t.Logf("logs are in %s (%s)", target, time.Now().Format(time.TimeOnly))
}
