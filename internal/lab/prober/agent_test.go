package prober

import (
	"context"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/netpol-project/netpol/pkg/enforce/agentpb"
)

// fullAgent has no room for the first so many registrations.
type fullAgent struct {
	agentpb.AgentClient
	refusals, asked int
}

func (f *fullAgent) RegisterProbe(context.Context, *agentpb.RegisterProbeRequest, ...grpc.CallOption) (*agentpb.RegisterProbeReply, error) {
	if f.asked++; f.asked <= f.refusals {
		return nil, status.Error(codes.ResourceExhausted, "no room")
	}
	return &agentpb.RegisterProbeReply{}, nil
}

// An agent that has no room for another probe gets room when others end: the
// prober waits, as long as its time lasts.
func TestRegisterWaitsForRoom(t *testing.T) {
	for _, tc := range []struct {
		what     string
		refusals int
		want     codes.Code
	}{
		{"there is room", 0, codes.OK},
		{"there is room later", 20, codes.OK},
		{"there is no room in time", 1000, codes.ResourceExhausted},
	} {
		t.Run(tc.what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), registerPatience)
				defer cancel()
				agent := &fullAgent{refusals: tc.refusals}
				start := time.Now()
				err := NewClient(agent, nil).Register(ctx, Attempt{Protocol: TCP, Source: netip.MustParseAddrPort("10.0.0.1:4000")})
				if status.Code(err) != tc.want {
					t.Errorf("got %v, want %v", err, tc.want)
				}
				if took := time.Since(start); tc.want == codes.OK && (took != time.Duration(tc.refusals)*roomAgain || agent.asked != tc.refusals+1) {
					t.Errorf("asked %d times in %s", agent.asked, took)
				}
			})
		})
	}
}
