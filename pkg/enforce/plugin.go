//go:build linux

package enforce

import (
	"context"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/netpol-project/netpol/pkg/enforce/agentpb"
)

// pluginLife is how long what was told of the CNI plugin holds: who keeps it
// there tells again every half a minute.
const pluginLife = 100 * time.Second

// pluginGrace is how long after its own beginning an agent does not complain: who
// keeps the plugin there waits for the agent.
const pluginGrace = 30 * time.Second

// maxPluginText bounds what is told, in bytes.
const maxPluginText = 512

// pluginNews is what was told last of the CNI plugin on this node.
type pluginNews struct {
	mu    sync.Mutex
	last  *agentpb.PluginStatus
	at    time.Time
	began time.Time // of the first question
}

// problem is what to say of a plugin that is missing; empty if it is not, or if
// it may still come.
func (p *pluginNews) problem(now time.Time) string {
	s := p.status(now)
	p.mu.Lock()
	defer p.mu.Unlock()
	if s.GetInForce() || p.last == nil && now.Sub(p.began) < pluginGrace {
		return ""
	}
	return "warning: the CNI plugin is not in force: " + s.GetReason()
}

// status is what is known of it now. Nobody who tells means that nobody keeps it
// there.
func (p *pluginNews) status(now time.Time) *agentpb.PluginStatus {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.began.IsZero() {
		p.began = now
	}
	switch {
	case p.last == nil:
		return &agentpb.PluginStatus{Reason: "nobody has put it there since this agent began"}
	case now.Sub(p.at) > pluginLife:
		return &agentpb.PluginStatus{File: p.last.GetFile(), Reason: "nobody keeps it there any more"}
	}
	return &agentpb.PluginStatus{InForce: p.last.GetInForce(), File: p.last.GetFile(), Reason: p.last.GetReason()}
}

func (p *pluginNews) tell(s *agentpb.PluginStatus, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last, p.at = s, now
}

// TellPlugin implements agentpb.AgentServer.
func (s *server) TellPlugin(_ context.Context, r *agentpb.PluginStatus) (*agentpb.TellPluginReply, error) {
	if len(r.GetFile()) > maxPluginText || len(r.GetReason()) > maxPluginText {
		return nil, status.Errorf(codes.InvalidArgument, "file and reason have at most %d bytes each", maxPluginText)
	}
	if !r.GetInForce() && r.GetReason() == "" {
		return nil, status.Error(codes.InvalidArgument, "reason is needed where it is not in force")
	}
	s.a.plugin.tell(r, s.a.opts.Now())
	return &agentpb.TellPluginReply{}, nil
}
