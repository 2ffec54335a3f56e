//go:build linux

package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/netpol-project/netpol/internal/kubetest"
)

// cniDirs are where distributions keep CNI's plugins.
var cniDirs = [...]string{"/usr/lib/cni", "/opt/cni/bin", "/usr/libexec/cni"}

func containerdConfig() string {
	var dirs []string
	for _, dir := range cniDirs {
		dirs = append(dirs, fmt.Sprintf("%q", dir))
	}
	// restrict_oom_score_adj: without CAP_SYS_RESOURCE runc can't lower it.
	return fmt.Sprintf(`version = 3
[grpc]
  address = "/run/containerd/containerd.sock"
[plugins."io.containerd.cri.v1.images"]
  snapshotter = "overlayfs"
[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = %q
[plugins."io.containerd.cri.v1.runtime"]
  restrict_oom_score_adj = true
[plugins."io.containerd.cri.v1.runtime".cni]
  bin_dirs = [%s]
  conf_dir = "/etc/cni/net.d"
[plugins."io.containerd.cri.v1.runtime".containerd]
  default_runtime_name = "runc"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
  SystemdCgroup = false
`, ToolsImage, strings.Join(dirs, ", "))
}

func (n *Node) startContainerd(ctx context.Context) error {
	config := filepath.Join(n.dir, "containerd.toml")
	if err := os.WriteFile(config, []byte(containerdConfig()), 0o600); err != nil {
		return err
	}
	if _, err := n.Run("mkdir", "-p", "/etc/cni/net.d"); err != nil {
		return err
	}
	var err error
	n.containerd, err = kubetest.StartCmd(n.dir, "containerd", n.Command("containerd", "--config", config))
	if err != nil {
		return err
	}
	return n.containerd.Await(ctx, func(context.Context) error {
		_, err := n.Run("ctr", "version")
		return err
	})
}

// importImage makes an image known to the node; path is the tar of it.
func (n *Node) importImage(path string) error {
	_, err := n.Run("ctr", "--namespace=k8s.io", "images", "import", path)
	return err
}

func kubeletConfig(cgroup, ca, resolv string) string {
	return fmt.Sprintf(`apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication:
  anonymous: {enabled: false}
  webhook: {enabled: true}
  x509: {clientCAFile: %s}
authorization: {mode: Webhook}
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
cgroupDriver: cgroupfs
cgroupRoot: /%s
failCgroupV1: false
failSwapOn: false
oomScoreAdj: 0
protectKernelDefaults: true
makeIPTablesUtilChains: false
localStorageCapacityIsolation: false
imageGCHighThresholdPercent: 100
evictionHard: {memory.available: 1Mi, nodefs.available: "0%%", nodefs.inodesFree: "0%%", imagefs.available: "0%%"}
clusterDomain: cluster.local
clusterDNS: [%s]
resolvConf: %s
volumePluginDir: /var/lib/kubelet/volumeplugins
nodeStatusUpdateFrequency: 2s
syncFrequency: 10s
`, ca, cgroup, dnsAddress, resolv)
}

// startKubelet starts the node's kubelet, which is who its certificate says.
func (n *Node) startKubelet(plane *kubetest.ControlPlane, cgroup string) error {
	user, err := plane.UserCert("system:node:"+n.Name, "system:nodes")
	if err != nil {
		return err
	}
	kubeconfig, err := plane.WriteKubeconfig("kubelet-"+n.Name, user, "")
	if err != nil {
		return err
	}
	resolv, config := filepath.Join(n.dir, "resolv.conf"), filepath.Join(n.dir, "kubelet.yaml")
	files := map[string]string{
		resolv: "", // names outside the cluster are nobody's
		config: kubeletConfig(cgroup+"/"+n.Name, plane.PKI().CAFile(), resolv),
	}
	for path, text := range files {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return err
		}
	}
	n.kubelet, err = kubetest.StartCmd(n.dir, "kubelet", n.Command("kubelet",
		"--config="+config, "--kubeconfig="+kubeconfig, "--hostname-override="+n.Name,
		fmt.Sprintf("--node-ip=%s,%s", n.IPv4, n.IPv6)))
	return err
}

// startProxy starts kube-proxy in nftables mode. It leaves the machine's
// conntrack settings alone.
func (n *Node) startProxy(plane *kubetest.ControlPlane) error {
	user, err := plane.UserCert("system:kube-proxy")
	if err != nil {
		return err
	}
	kubeconfig, err := plane.WriteKubeconfig("kube-proxy", user, "")
	if err != nil {
		return err
	}
	config := filepath.Join(n.dir, "kube-proxy.yaml")
	text := fmt.Sprintf(`apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
hostnameOverride: %s
clusterCIDR: %s
detectLocalMode: ClusterCIDR
clientConnection: {kubeconfig: %s}
conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
oomScoreAdj: 0
nodePortAddresses: [primary]
`, n.Name, podRanges, kubeconfig)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return err
	}
	n.proxy, err = kubetest.StartCmd(n.dir, "kube-proxy", n.Command("kube-proxy", "--config="+config))
	return err
}
