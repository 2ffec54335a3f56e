package kubetest

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"k8s.io/client-go/rest"
)

// ServiceAddress is the ClusterIP of the Service default/kubernetes.
var ServiceAddress = netip.MustParseAddr("10.96.0.1")

// ServiceRange holds the addresses of Services, both families.
const ServiceRange = "10.96.0.0/16,fd00:10:96::/112"

// portAttempts: a port that was free a moment ago may be taken by somebody
// else's test before our server has it.
const portAttempts = 3

// retryPort calls start with fresh ports until it works.
func retryPort(host netip.Addr, n int, start func(ports []int) error) error {
	var err error
	for range portAttempts {
		var ports []int
		if ports, err = freePorts(host, n); err != nil {
			return err
		}
		if err = start(ports); err == nil {
			return nil
		}
	}
	return err
}

func freePorts(host netip.Addr, n int) ([]int, error) {
	ports := make([]int, 0, n)
	for range n {
		listener, err := net.Listen("tcp", netip.AddrPortFrom(host, 0).String())
		if err != nil {
			return nil, fmt.Errorf("a free port: %w", err)
		}
		defer listener.Close() // all at the end, so that they differ
		ports = append(ports, listener.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}

// startEtcd returns the URL where etcd serves.
func (c *ControlPlane) startEtcd(ctx context.Context) (endpoint string, err error) {
	loopback := netip.MustParseAddr("127.0.0.1")
	err = retryPort(loopback, 2, func(ports []int) error {
		endpoint = fmt.Sprintf("http://127.0.0.1:%d", ports[0])
		peer := fmt.Sprintf("http://127.0.0.1:%d", ports[1])
		data := filepath.Join(c.Dir, "etcd")
		if err := os.RemoveAll(data); err != nil {
			return err
		}
		c.etcd, err = StartProcess(c.Dir, c.path("etcd"),
			"--name=test", "--data-dir="+data, "--unsafe-no-fsync", "--log-level=warn",
			"--listen-client-urls="+endpoint, "--advertise-client-urls="+endpoint,
			"--listen-peer-urls="+peer, "--initial-advertise-peer-urls="+peer, "--initial-cluster=test="+peer)
		if err != nil {
			return err
		}
		return c.etcd.Await(ctx, func(ctx context.Context) error { return healthy(ctx, http.DefaultClient, endpoint+"/health") })
	})
	return endpoint, err
}

func (c *ControlPlane) startAPIServer(ctx context.Context, etcd string) error {
	tokens, err := c.writeTokens()
	if err != nil {
		return err
	}
	return retryPort(c.opts.Listen, 1, func(ports []int) error {
		c.address = net.JoinHostPort(c.opts.Listen.String(), fmt.Sprint(ports[0]))
		c.flags = append(c.apiServerFlags(etcd, tokens, ports[0]), c.opts.APIServer...)
		return c.StartAPIServer(ctx)
	})
}

func (c *ControlPlane) apiServerFlags(etcd, tokens string, port int) []string {
	flags := []string{
		"--etcd-servers=" + etcd,
		"--bind-address=" + c.opts.Listen.String(), "--advertise-address=" + c.opts.Listen.String(),
		fmt.Sprintf("--secure-port=%d", port),
		"--tls-cert-file=" + c.pki.path("apiserver.crt"), "--tls-private-key-file=" + c.pki.path("apiserver.key"),
		"--client-ca-file=" + c.pki.path("ca.crt"),
		"--requestheader-client-ca-file=" + c.pki.path("front.crt"), "--requestheader-allowed-names=aggregator",
		"--requestheader-username-headers=X-Remote-User", "--requestheader-group-headers=X-Remote-Group",
		"--requestheader-extra-headers-prefix=X-Remote-Extra-",
		"--proxy-client-cert-file=" + c.pki.path("aggregator.crt"), "--proxy-client-key-file=" + c.pki.path("aggregator.key"),
		"--kubelet-client-certificate=" + c.pki.path("kubelets.crt"), "--kubelet-client-key=" + c.pki.path("kubelets.key"),
		"--kubelet-preferred-address-types=InternalIP",
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=" + c.pki.path("tokens.key"), "--service-account-signing-key-file=" + c.pki.path("tokens.key"),
		"--service-cluster-ip-range=" + ServiceRange,
		"--authorization-mode=Node,RBAC",
		"--allow-privileged",
		"--profiling=false",
	}
	if tokens != "" {
		flags = append(flags, "--token-auth-file="+tokens)
	}
	if !c.opts.Controllers {
		// Nobody makes the default service account that every pod would need.
		flags = append(flags, "--disable-admission-plugins=ServiceAccount")
	}
	if c.opts.Listen.IsLoopback() {
		// Endpoints refuse loopback addresses.
		flags = append(flags, "--endpoint-reconciler-type=none")
	}
	return flags
}

func (c *ControlPlane) startControllerManager() error {
	config, err := c.UserCert("system:kube-controller-manager")
	if err != nil {
		return err
	}
	kubeconfig, err := c.WriteKubeconfig("kube-controller-manager", config, "")
	if err != nil {
		return err
	}
	c.manager, err = StartProcess(c.Dir, c.path("kube-controller-manager"), append([]string{
		"--kubeconfig=" + kubeconfig, "--leader-elect=false", "--use-service-account-credentials", "--secure-port=0",
		"--service-account-private-key-file=" + c.pki.path("tokens.key"), "--root-ca-file=" + c.pki.path("ca.crt"),
	}, c.opts.ControllerManager...)...)
	return err
}

// writeTokens writes the API server's token file; "" if there is none.
func (c *ControlPlane) writeTokens() (string, error) {
	if len(c.opts.Tokens) == 0 {
		return "", nil
	}
	var text strings.Builder
	for _, u := range c.opts.Tokens {
		fmt.Fprintf(&text, "%s,%s,%s,%q\n", u.Token, u.Name, u.Name, strings.Join(u.Groups, ","))
	}
	path := filepath.Join(c.Dir, "tokens.csv")
	return path, os.WriteFile(path, []byte(text.String()), 0o600)
}

func (c *ControlPlane) awaitReady(ctx context.Context) error {
	client, err := rest.HTTPClientFor(c.Admin())
	if err != nil {
		return err
	}
	defer client.CloseIdleConnections()
	return c.apiserver.Await(ctx, func(ctx context.Context) error { return healthy(ctx, client, c.Host()+"/readyz") })
}

// healthy asks a health endpoint once.
func healthy(ctx context.Context, client *http.Client, url string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, response.Status)
	}
	return nil
}
