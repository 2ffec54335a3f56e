package cni

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/netpol-project/netpol/pkg/enforce/agentpb"
)

// quickly is how an agent that is just starting is found.
var quickly = grpc.ConnectParams{
	Backoff:           backoff.Config{BaseDelay: 10 * time.Millisecond, Multiplier: 1.5, MaxDelay: 200 * time.Millisecond},
	MinConnectTimeout: time.Second,
}

// answerTime is how long an answer may take beyond what was waited for.
const answerTime = 500 * time.Millisecond

// askAgain is how soon an agent that ended while it was asked is asked anew.
const askAgain = 50 * time.Millisecond

// ask asks the agent, and waits for it if it does not answer. If it ends
// meanwhile, the next one is asked.
func (c *config) ask(ctx context.Context, question func(context.Context, agentpb.AgentClient) error) error {
	conn, err := grpc.NewClient("unix:"+c.Socket, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithConnectParams(quickly), grpc.WithDefaultCallOptions(grpc.WaitForReady(true)))
	if err != nil {
		return err
	}
	defer conn.Close()
	// The agent itself says what is missing when the time is over.
	ctx, cancel := context.WithTimeout(ctx, c.timeout+answerTime)
	defer cancel()
	for {
		err = question(ctx, agentpb.NewAgentClient(conn))
		if err == nil {
			return nil
		}
		if status.Code(err) != codes.Unavailable || ctx.Err() != nil {
			break
		}
		select {
		case <-ctx.Done():
		case <-time.After(askAgain):
		}
	}
	if ctx.Err() != nil {
		return fmt.Errorf("no answer from the node's agent on %s", c.Socket)
	}
	return errors.New(status.Convert(err).Message())
}

// ready is why the agent can't let pods start; nil if it can. enforcing asks
// also whether it finds the pods' interfaces here.
func (c *config) ready(ctx context.Context, enforcing bool) error {
	return c.ask(ctx, func(ctx context.Context, agent agentpb.AgentClient) error {
		reply, err := agent.Status(ctx, &agentpb.StatusRequest{})
		switch {
		case err != nil:
			return err
		case !reply.GetReady():
			return errors.New("the agent is not ready")
		case enforcing && !reply.GetEnforcing():
			return errors.New("the agent does not enforce on this node")
		}
		return nil
	})
}

// AgentReady is why pods could not start on this node if they had to wait for
// the agent on socket; nil if they could. It waits for an answer for a second or
// two.
func AgentReady(ctx context.Context, socket string) error {
	c := &config{Socket: socket, timeout: time.Second}
	return c.ready(ctx, true)
}

// AwaitAgent waits until pods could start on this node if they had to wait for
// the agent on socket, or until ctx ends, which is its only error.
func AwaitAgent(ctx context.Context, socket string, log *slog.Logger) error {
	told := ""
	for {
		err := AgentReady(ctx, socket)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err == nil {
			return nil
		}
		if told != err.Error() {
			told = err.Error()
			log.Info("waiting for the node's agent", "reason", told)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(between):
		}
	}
}

// TellAgent tells the agent on socket of the plugin on its node: the file that
// names it, or why it is not in force. An agent of before, which does not take
// it, is told in vain.
func TellAgent(ctx context.Context, socket, file string, why error) error {
	c := &config{Socket: socket, timeout: time.Second}
	news := &agentpb.PluginStatus{InForce: why == nil, File: file}
	if why != nil {
		news.Reason = why.Error()[:min(len(why.Error()), longestReason)]
	}
	return c.ask(ctx, func(ctx context.Context, agent agentpb.AgentClient) error {
		_, err := agent.TellPlugin(ctx, news)
		if status.Code(err) == codes.Unimplemented {
			return nil
		}
		return err
	})
}

// longestReason bounds a reason, in bytes.
const longestReason = 500

// unlessElsewhere asks the agent, but gives up, and is content, if an agent runs
// that has no socket here.
func (c *config) unlessElsewhere(ask func(context.Context) error) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var content atomic.Bool
	go func() {
		if c.elsewhere(ctx) {
			content.Store(true)
			cancel()
		}
	}()
	if err := ask(ctx); err != nil && !content.Load() {
		return err
	}
	return nil
}

const (
	// between two looks for an agent that is elsewhere, and how many must agree:
	// an agent that starts has its socket and says that it is ready at about
	// the same time.
	between = 300 * time.Millisecond
	looks   = 3
)

// elsewhere says that the node's agent is ready and has no socket here: it was
// installed without the plugin, which an unclean end of a former one has left.
// Then its pods are closed until it knows them, and need not wait.
func (c *config) elsewhere(ctx context.Context) bool {
	for n := 0; n < looks; n++ {
		var d net.Dialer
		conn, err := d.DialContext(ctx, "unix", c.Socket)
		if err == nil {
			_ = conn.Close()
			return false
		}
		if !c.healthy(ctx) {
			return false
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(between):
		}
	}
	return true
}

// healthy asks the agent's health port of this node.
func (c *config) healthy(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+c.Health+"/readyz", nil)
	if err != nil {
		return false
	}
	res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req) // no proxy
	if err != nil {
		return false
	}
	_ = res.Body.Close()
	return res.StatusCode == http.StatusOK
}
