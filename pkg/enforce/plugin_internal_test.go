//go:build linux

package enforce

import (
	"context"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/netpol-project/netpol/pkg/enforce/agentpb"
)

// What is known of the CNI plugin is what was told last, for a while; an agent
// that has just begun waits for news before it complains.
func TestPluginNews(t *testing.T) {
	now := time.Unix(1000, 0)
	p := &pluginNews{}
	step := func(after time.Duration, inForce bool, problem string) {
		t.Helper()
		now = now.Add(after)
		s, got := p.status(now), p.problem(now)
		if s.GetInForce() != inForce || problem == "" && got != "" || problem != "" && !strings.HasPrefix(got, "warning: the CNI plugin is not in force: "+problem) {
			t.Errorf("in force: %v, %q", s.GetInForce(), got)
		}
	}
	step(0, false, "")
	step(pluginGrace-time.Second, false, "")
	step(time.Second, false, "nobody has put it there")
	p.tell(&agentpb.PluginStatus{InForce: true, File: "10-a.conflist"}, now)
	step(0, true, "")
	step(pluginLife, true, "")
	step(time.Second, false, "nobody keeps it there any more")
	p.tell(&agentpb.PluginStatus{Reason: "no network yet"}, now)
	step(0, false, "no network yet")
}

func TestTellPluginRefusesWhatSaysNothing(t *testing.T) {
	s := &server{a: &Agent{opts: Options{Now: time.Now}}}
	for name, r := range map[string]*agentpb.PluginStatus{
		"no reason": {}, "too long a reason": {Reason: strings.Repeat("x", maxPluginText+1)}, "too long a file": {InForce: true, File: strings.Repeat("x", maxPluginText+1)},
	} {
		if _, err := s.TellPlugin(context.Background(), r); status.Code(err) != codes.InvalidArgument {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := s.TellPlugin(context.Background(), &agentpb.PluginStatus{InForce: true}); err != nil {
		t.Error(err)
	}
}
