// Package kubetest starts a real Kubernetes control plane for tests: etcd and
// kube-apiserver, and kube-controller-manager where a test needs one, on free
// ports of the loopback, with certificates of its own and RBAC on. It needs no
// root and leaves no process behind.
//
//	var cluster kubetest.Shared
//
//	func TestMain(m *testing.M) { os.Exit(cluster.Around(m).Run()) }
//
//	func TestClusterPods(t *testing.T) {
//		plane := cluster.Get(t) // skips where the binaries are not there
//		namespace := plane.Namespace(t)
//		...
//	}
//
// Names of tests that need it start with TestCluster: make test-cluster builds
// the binaries and runs those. There are no nodes: pods are objects that a test
// writes, with whatever status it likes. It is for test code only.
package kubetest

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"k8s.io/client-go/rest"
)

// BinEnv names the directory of kube-apiserver and etcd.
const BinEnv = "NETPOL_KUBE_BIN"

// ErrNoBinaries: the environment names no directory of binaries.
var ErrNoBinaries = errors.New("no real API server: $" + BinEnv + " is not set (make test-cluster sets it)")

// Options say how a control plane differs from the usual one, which is two
// processes on 127.0.0.1 with the ServiceAccount admission plugin off.
type Options struct {
	// Dir is where everything is kept; empty is a temporary directory, which
	// Stop removes.
	Dir string
	// Listen is the address that the API server listens on.
	Listen netip.Addr
	// Controllers also runs kube-controller-manager, so that there are default
	// service accounts, EndpointSlices, ReplicaSets, garbage collection, and
	// rules in the aggregated ClusterRoles (view, edit, admin are empty without
	// it). The ServiceAccount admission plugin is on then.
	Controllers bool
	// Tokens are users that authenticate with a bearer token that is not a
	// service account's.
	Tokens []TokenUser
	// APIServer and ControllerManager are more flags, the later one winning.
	APIServer, ControllerManager []string
}

// TokenUser is a user as the API server's token file lists it.
type TokenUser struct {
	Token, Name string
	Groups      []string
}

// ControlPlane is a running control plane.
type ControlPlane struct {
	// Dir holds certificates, kubeconfigs, data, and a log of each process.
	Dir string

	opts      Options
	bin       string
	pki       *PKI
	address   string // host:port of the API server
	etcd      *Process
	apiserver *Process
	manager   *Process
	ownsDir   bool
	flags     []string // of the API server, for its next start
}

// startTimeout bounds the wait for one process: the machine may be busy.
const startTimeout = 90 * time.Second

// Start starts a control plane and returns when it is ready. The error Is
// ErrNoBinaries if none are named.
func Start(ctx context.Context, opts Options) (*ControlPlane, error) {
	bin, err := binaries(opts)
	if err != nil {
		return nil, err
	}
	if !opts.Listen.IsValid() {
		opts.Listen = netip.MustParseAddr("127.0.0.1")
	}
	c := &ControlPlane{Dir: opts.Dir, opts: opts, bin: bin}
	if c.Dir == "" {
		c.ownsDir = true
		if c.Dir, err = os.MkdirTemp("", "netpol-kube-"); err != nil {
			return nil, err
		}
	}
	if err := c.start(ctx); err != nil {
		c.Stop()
		return nil, err
	}
	return c, nil
}

func (c *ControlPlane) start(ctx context.Context) (err error) {
	names := []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"}
	if c.pki, err = NewPKI(filepath.Join(c.Dir, "pki"), names, c.opts.Listen, ServiceAddress); err != nil {
		return err
	}
	endpoint, err := c.startEtcd(ctx)
	if err != nil {
		return err
	}
	if err := c.startAPIServer(ctx, endpoint); err != nil {
		return err
	}
	if c.opts.Controllers {
		return c.startControllerManager()
	}
	return nil
}

// Stop ends every process and removes the temporary directory.
func (c *ControlPlane) Stop() {
	for _, p := range []*Process{c.manager, c.apiserver, c.etcd} {
		p.Stop()
	}
	if c.ownsDir {
		_ = os.RemoveAll(c.Dir)
	}
}

// StopAPIServer is an outage of the API server; etcd goes on.
func (c *ControlPlane) StopAPIServer() { c.apiserver.Stop() }

// KillAPIServer is an API server that crashes: no watch is closed in order.
func (c *ControlPlane) KillAPIServer() { c.apiserver.Kill() }

// StartAPIServer ends an outage: same address, same data.
func (c *ControlPlane) StartAPIServer(ctx context.Context) error {
	p, err := StartProcess(c.Dir, c.path("kube-apiserver"), c.flags...)
	if err != nil {
		return err
	}
	c.apiserver = p
	return c.awaitReady(ctx)
}

// Restart is a short outage of the API server.
func (c *ControlPlane) Restart(ctx context.Context) error {
	c.StopAPIServer()
	return c.StartAPIServer(ctx)
}

// Host is the API server's URL.
func (c *ControlPlane) Host() string { return "https://" + c.address }

// PKI is the cluster's certificate authority.
func (c *ControlPlane) PKI() *PKI { return c.pki }

// Admin is the connection of a user who may do everything. Requests are not
// throttled by the client.
func (c *ControlPlane) Admin() *rest.Config {
	config, err := c.UserCert("admin", "system:masters")
	if err != nil {
		panic(fmt.Sprintf("kubetest: a certificate for the administrator: %v", err)) // the key's curve is fixed: it can't fail
	}
	return config
}

func (c *ControlPlane) path(binary string) string { return filepath.Join(c.bin, binary) }

// binaries is the directory that the environment names, with what opts need.
func binaries(opts Options) (string, error) {
	dir := os.Getenv(BinEnv)
	if dir == "" {
		return "", ErrNoBinaries
	}
	if !filepath.IsAbs(dir) {
		return "", fmt.Errorf("$%s: %q is no absolute path, and tests run in their package's directory", BinEnv, dir)
	}
	need := []string{"etcd", "kube-apiserver"}
	if opts.Controllers {
		need = append(need, "kube-controller-manager")
	}
	for _, name := range need {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			return "", fmt.Errorf("$%s: %w (make kube-binaries builds it)", BinEnv, err)
		}
		if info.Mode()&0o111 == 0 {
			return "", fmt.Errorf("$%s: %s can't be executed", BinEnv, filepath.Join(dir, name))
		}
	}
	return dir, nil
}
