//go:build linux

package e2e

import (
	"fmt"
	"os/exec"
	"strings"
)

// Exec runs a program in a pod's first container and returns what it printed.
func (c *Cluster) Exec(namespace, pod string, command ...string) (string, error) {
	return c.TryKubectl(append([]string{"--namespace=" + namespace, "exec", pod, "--"}, command...)...)
}

// Node is the node of a name.
func (c *Cluster) Node(name string) (*Node, error) {
	for _, n := range c.Nodes {
		if n.Name == name {
			return n, nil
		}
	}
	return nil, fmt.Errorf("no node %q", name)
}

// PID is the process of a pod's first container.
func (c *Cluster) PID(namespace, pod string) (string, error) {
	out, err := c.TryKubectl("--namespace="+namespace, "get", "pod", pod, "--output=jsonpath={.spec.nodeName} {.status.containerStatuses[0].containerID}")
	if err != nil {
		return "", err
	}
	name, id, ok := strings.Cut(strings.TrimSpace(out), " containerd://")
	if !ok {
		return "", fmt.Errorf("pod %s/%s has no container: %q", namespace, pod, out)
	}
	node, err := c.Node(name)
	if err != nil {
		return "", err
	}
	tasks, err := node.Run("ctr", "--namespace=k8s.io", "tasks", "list")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(tasks) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == id {
			return fields[1], nil
		}
	}
	return "", fmt.Errorf("container %s of pod %s/%s does not run", id, namespace, pod)
}

// NFT runs an nft script in a pod's network namespace.
func (c *Cluster) NFT(namespace, pod, script string) (string, error) {
	pid, err := c.PID(namespace, pod)
	if err != nil {
		return "", err
	}
	cmd := exec.Command("nsenter", "--target="+pid, "--net", "--", "nft", "--file", "-")
	cmd.Stdin = strings.NewReader(script)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("in %s/%s: nft: %w\n%s", namespace, pod, err, out)
	}
	return string(out), nil
}
