// Package cni is netpol as the last plugin of a CNI chain: it makes a pod's
// start wait until the node's agent has the pod's policies in the kernel, so
// that the first packet that the pod sends or is sent is judged and not
// dropped. It changes nothing of the network itself, and passes on what the
// plugin before it has made.
package cni

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/containernetworking/cni/pkg/skel"
	"github.com/containernetworking/cni/pkg/types"
	current "github.com/containernetworking/cni/pkg/types/100"
	"github.com/containernetworking/cni/pkg/version"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/netpol-project/netpol/pkg/enforce/agentpb"
)

// What a network configuration leaves out.
const (
	defaultSocket  = "/run/netpol/agent.sock"
	defaultTimeout = 20 * time.Second
	longestTimeout = 2 * time.Minute
)

// The error codes of STATUS: no ADD can succeed now.
const errNotAvailable uint = 50

// config is the plugin's part of a network configuration.
type config struct {
	types.PluginConf
	// Socket is the agent's.
	Socket string `json:"socket"`
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
	_ = c.ask(func(ctx context.Context, agent agentpb.AgentClient) error {
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
	var reply *agentpb.StatusReply
	err = c.ask(func(ctx context.Context, agent agentpb.AgentClient) (err error) {
		reply, err = agent.Status(ctx, &agentpb.StatusRequest{})
		return err
	})
	if err == nil && !reply.GetReady() {
		err = errors.New("the agent is not ready")
	}
	if err != nil {
		return types.NewError(errNotAvailable, "netpol: no pod can start: "+err.Error(), "kubectl -n netpol-system get pods -o wide")
	}
	return nil
}

// load reads a network configuration.
func load(data []byte) (*config, error) {
	c := &config{Socket: defaultSocket, timeout: defaultTimeout}
	if err := json.Unmarshal(data, c); err != nil {
		return nil, types.NewError(types.ErrDecodingFailure, "netpol: network configuration: "+err.Error(), "")
	}
	if c.Timeout != "" {
		d, err := time.ParseDuration(c.Timeout)
		if err != nil || d <= 0 || d > longestTimeout {
			return nil, types.NewError(types.ErrInvalidNetworkConfig,
				fmt.Sprintf("netpol: timeout %q: expected a time such as 20s, at most %s", c.Timeout, longestTimeout), "")
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
		TimeoutMilliseconds: c.timeout.Milliseconds(),
	}
	for _, ip := range result.IPs {
		request.Addresses = append(request.Addresses, ip.Address.IP.String())
	}
	if len(request.Addresses) == 0 {
		return types.NewError(types.ErrInvalidNetworkConfig, "netpol: the plugin before gave the pod no address", "")
	}
	err = c.ask(func(ctx context.Context, agent agentpb.AgentClient) error {
		_, err := agent.AwaitPod(ctx, request)
		return err
	})
	if err != nil {
		return types.NewError(types.ErrTryAgainLater,
			fmt.Sprintf("netpol: the policies of pod %s/%s were not in force after %s: %v", request.Namespace, request.Name, c.timeout, err),
			"kubectl -n netpol-system get pods -o wide")
	}
	return nil
}

// quickly is how an agent that is just starting is found.
var quickly = grpc.ConnectParams{
	Backoff:           backoff.Config{BaseDelay: 10 * time.Millisecond, Multiplier: 1.5, MaxDelay: 200 * time.Millisecond},
	MinConnectTimeout: time.Second,
}

// answerTime is how long an answer may take beyond what was waited for.
const answerTime = 500 * time.Millisecond

// ask asks the agent, and waits for it if it does not answer.
func (c *config) ask(question func(context.Context, agentpb.AgentClient) error) error {
	conn, err := grpc.NewClient("unix:"+c.Socket, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithConnectParams(quickly), grpc.WithDefaultCallOptions(grpc.WaitForReady(true)))
	if err != nil {
		return err
	}
	defer conn.Close()
	// The agent itself says what is missing when the time is over.
	ctx, cancel := context.WithTimeout(context.Background(), c.timeout+answerTime)
	defer cancel()
	err = question(ctx, agentpb.NewAgentClient(conn))
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return fmt.Errorf("no answer from the node's agent on %s", c.Socket)
	}
	return errors.New(status.Convert(err).Message())
}
