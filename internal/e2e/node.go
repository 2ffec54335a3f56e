//go:build linux

package e2e

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"

	"github.com/netpol-project/netpol/internal/kubetest"
)

// Node is a machine of the cluster: a network, a mount and a UTS namespace.
type Node struct {
	Name string
	// IPv4 and IPv6 are the node's addresses.
	IPv4, IPv6 netip.Addr
	// Pods4 and Pods6 are the ranges of its pods.
	Pods4, Pods6 netip.Prefix

	dir    string // logs, and what the harness hands to it
	bin    string
	holder *kubetest.Process

	containerd, kubelet, proxy *kubetest.Process
}

func newNode(i int, dir, bin string) *Node {
	name := fmt.Sprintf("node%d", i)
	return &Node{
		Name: name, dir: filepath.Join(dir, name), bin: bin,
		IPv4: hostAddr4(10 + i), IPv6: hostAddr6(10 + i),
		Pods4: netip.MustParsePrefix(fmt.Sprintf("10.244.%d.0/24", i)),
		Pods6: netip.MustParsePrefix(fmt.Sprintf("fd00:10:244:%d::/64", i)),
	}
}

// nodeMounts is what a node does not share with the machine: directories that
// its programs write, each a file system of its own. /etc and /opt show the
// machine's below.
const nodeMounts = `set -e
hostname "$1"
mount --make-rshared /
for dir in /run /var/lib /var/log; do mount -t tmpfs -o mode=0755 tmpfs $dir; done
for dir in /etc /opt; do
  mkdir -p "$2$dir/upper" "$2$dir/work"
  mount -t overlay -o "lowerdir=$dir,upperdir=$2$dir/upper,workdir=$2$dir/work" overlay $dir
done
touch "$2/ready"
exec sleep infinity
`

// start makes the node's namespaces. A process that sleeps holds them.
func (n *Node) start(ctx context.Context) error {
	if err := os.MkdirAll(n.dir, 0o755); err != nil {
		return err
	}
	cmd := exec.Command("unshare", "--net", "--mount", "--uts", "--propagation=private", "sh", "-c", nodeMounts, "sh", n.Name, n.dir)
	var err error
	if n.holder, err = kubetest.StartCmd(n.dir, "node", cmd); err != nil {
		return err
	}
	return n.holder.Await(ctx, func(context.Context) error {
		_, err := os.Stat(filepath.Join(n.dir, "ready"))
		return err
	})
}

// Command is a program that runs on the node.
func (n *Node) Command(program string, args ...string) *exec.Cmd {
	enter := []string{"--target=" + strconv.Itoa(n.holder.Pid()), "--net", "--mount", "--uts", "--", program}
	cmd := exec.Command("nsenter", append(enter, args...)...)
	cmd.Env = append(os.Environ(), "PATH="+n.bin+":"+os.Getenv("PATH"))
	return cmd
}

// Run runs a program on the node to its end and returns what it printed.
func (n *Node) Run(program string, args ...string) (string, error) {
	out, err := n.Command(program, args...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s: %s: %w\n%s", n.Name, program, err, out)
	}
	return string(out), nil
}

// writeCNI makes the node able to run pods.
func (n *Node) writeCNI() error {
	path := filepath.Join(n.dir, "pods.conflist")
	if err := os.WriteFile(path, []byte(n.cniConfig()), 0o644); err != nil {
		return err
	}
	_, err := n.Run("cp", path, "/etc/cni/net.d/10-pods.conflist")
	return err
}
