// Package cni is netpol as the last plugin of a CNI chain: it makes a pod's
// start wait until the node's agent has the pod's policies in the kernel, so
// that the first packet that the pod sends or is sent is judged and not
// dropped. It changes nothing of the network itself, and passes on what the
// plugin before it has made.
package cni

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/containernetworking/cni/pkg/skel"
	"github.com/containernetworking/cni/pkg/types"
	current "github.com/containernetworking/cni/pkg/types/100"
	"github.com/containernetworking/cni/pkg/version"

	"github.com/netpol-project/netpol/pkg/enforce/agentpb"
)

// What a network configuration leaves out.
const (
	defaultSocket  = "/run/netpol/agent.sock"
	defaultHealth  = "127.0.0.1:9469"
	defaultTimeout = 20 * time.Second
	// LongestTimeout is the longest time that a pod may wait.
	LongestTimeout = 2 * time.Minute
)

// The error codes of STATUS: no ADD can succeed now.
const errNotAvailable uint = 50

// remedy is what to do about an agent that does not answer. One that was removed
// while this node was away has left the plugin here.
const remedy = "kubectl -n netpol-system get pods -o wide; if netpol was uninstalled: netpol uninstall --clean-nodes"

// config is the plugin's part of a network configuration.
type config struct {
	types.PluginConf
	// Socket is the agent's.
	Socket string `json:"socket"`
	// Health is where an agent that has no socket here says that it is ready.
	Health string `json:"health"`
	// Timeout is how long a pod may wait, such as 20s.
	Timeout string `json:"timeout"`

	timeout time.Duration
}

// podArgs are what a container runtime tells of a pod.
type podArgs struct {
	types.CommonArgs
	K8S_POD_NAMESPACE, K8S_POD_NAME, K8S_POD_UID, K8S_POD_INFRA_CONTAINER_ID types.UnmarshallableString
}

// Plugin carries out one CNI command.
type Plugin struct{ Version string }

// Main answers the command that the environment names, on the process's
// streams, and returns its exit code.
func (p Plugin) Main() int {
	err := skel.PluginMainFuncsWithError(skel.CNIFuncs{
		Add: p.add, Check: p.check, Del: p.del, Status: p.status,
		GC: func(*skel.CmdArgs) error { return nil }, // nothing is kept
	}, version.All, "netpol "+p.Version+": a pod starts when its policies are in force")
	if err == nil {
		return 0
	}
	_ = err.Print()
	return 1
}

func (p Plugin) add(args *skel.CmdArgs) error {
	c, err := load(args.StdinData)
	if err != nil {
		return err
	}
	if c.PrevResult == nil {
		return types.NewError(types.ErrInvalidNetworkConfig, "netpol is a chained plugin: put it after the one that makes the interface", "")
	}
	if err := c.await(args); err != nil {
		return err
	}
	return types.PrintResult(c.PrevResult, c.CNIVersion)
}

func (p Plugin) check(args *skel.CmdArgs) error {
	c, err := load(args.StdinData)
	if err != nil || c.PrevResult == nil {
		return err
	}
	return c.await(args)
}

// del must not fail when there is no agent any more: the pod would never go.
func (p Plugin) del(args *skel.CmdArgs) error {
	c, err := load(args.StdinData)
	if err != nil {
		return nil
	}
	c.timeout = min(c.timeout, time.Second)
	_ = c.ask(context.Background(), func(ctx context.Context, agent agentpb.AgentClient) error {
		_, err := agent.ForgetPod(ctx, &agentpb.ForgetPodRequest{Container: args.ContainerID})
		return err
	})
	return nil
}

func (p Plugin) status(args *skel.CmdArgs) error {
	c, err := load(args.StdinData)
	if err != nil {
		return err
	}
	c.timeout = min(c.timeout, 2*time.Second)
	if err = c.ready(context.Background(), false); err != nil && c.elsewhere(context.Background()) {
		err = nil
	}
	if err != nil {
		return types.NewError(errNotAvailable, "netpol: no pod can start: "+err.Error(), remedy)
	}
	return nil
}

// load reads a network configuration.
func load(data []byte) (*config, error) {
	c := &config{Socket: defaultSocket, Health: defaultHealth, timeout: defaultTimeout}
	if err := json.Unmarshal(data, c); err != nil {
		return nil, types.NewError(types.ErrDecodingFailure, "netpol: network configuration: "+err.Error(), "")
	}
	if c.Timeout != "" {
		d, err := time.ParseDuration(c.Timeout)
		if err != nil || d <= 0 || d > LongestTimeout {
			return nil, types.NewError(types.ErrInvalidNetworkConfig,
				fmt.Sprintf("netpol: timeout %q: expected a time such as 20s, at most %s", c.Timeout, LongestTimeout), "")
		}
		c.timeout = d
	}
	if err := version.ParsePrevResult(&c.PluginConf); err != nil {
		return nil, types.NewError(types.ErrDecodingFailure, "netpol: prevResult: "+err.Error(), "")
	}
	return c, nil
}

// await waits until the policies of the pod are in force. What is no pod of
// Kubernetes has none.
func (c *config) await(args *skel.CmdArgs) error {
	var pod podArgs
	pod.IgnoreUnknown = true
	if err := types.LoadArgs(args.Args, &pod); err != nil {
		return types.NewError(types.ErrInvalidEnvironmentVariables, "netpol: CNI_ARGS: "+err.Error(), "")
	}
	if pod.K8S_POD_NAME == "" {
		return nil
	}
	result, err := current.NewResultFromResult(c.PrevResult)
	if err != nil {
		return types.NewError(types.ErrDecodingFailure, "netpol: prevResult: "+err.Error(), "")
	}
	request := &agentpb.AwaitPodRequest{
		Namespace: string(pod.K8S_POD_NAMESPACE), Name: string(pod.K8S_POD_NAME), Container: args.ContainerID,
	}
	for _, ip := range result.IPs {
		request.Addresses = append(request.Addresses, ip.Address.IP.String())
	}
	if len(request.Addresses) == 0 {
		return types.NewError(types.ErrInvalidNetworkConfig, "netpol: the plugin before gave the pod no address", "")
	}
	err = c.unlessElsewhere(func(ctx context.Context) error {
		return c.ask(ctx, func(ctx context.Context, agent agentpb.AgentClient) error {
			// What is left of the time, if an agent has had some of it already.
			if end, ok := ctx.Deadline(); ok {
				left := time.Until(end) - answerTime
				request.TimeoutMilliseconds = max(1, min(c.timeout, left).Milliseconds())
			}
			_, err := agent.AwaitPod(ctx, request)
			return err
		})
	})
	if err != nil {
		return types.NewError(types.ErrTryAgainLater,
			fmt.Sprintf("netpol: the policies of pod %s/%s were not in force after %s: %v", request.Namespace, request.Name, c.timeout, err), remedy)
	}
	return nil
}
