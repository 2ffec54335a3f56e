package cmd

import (
	"testing"
	"time"

	"github.com/netpol-project/netpol/internal/goldmanetest"
	"github.com/netpol-project/netpol/pkg/flow/flowpb"
)

// sawGoldmane is what a Goldmane has of the voting application: both ends of
// one flow, over two windows.
func sawGoldmane(t *testing.T) *goldmanetest.Server {
	s := goldmanetest.Start(t)
	s.Now = func() time.Time { return testNow }
	s.PageSize = 1 // every answer has more pages
	for window := range int64(2) {
		for _, reporter := range []flowpb.Reporter{flowpb.Reporter_Src, flowpb.Reporter_Dst} {
			profile := []*flowpb.PolicyHit{{Kind: flowpb.PolicyKind_Profile, Name: "kns.vote", Action: flowpb.Action_Allow}}
			s.Add(&flowpb.Flow{
				Key: &flowpb.FlowKey{
					SourceName: "vote-6d8b9c7f5-*", SourceNamespace: "vote", SourceType: flowpb.EndpointType_WorkloadEndpoint,
					DestName: "redis-7c5ddbdf54-*", DestNamespace: "vote", DestType: flowpb.EndpointType_WorkloadEndpoint, DestPort: 6379,
					DestServiceName: "redis", DestServiceNamespace: "vote", DestServicePortName: "-", Proto: "tcp",
					Reporter: reporter, Action: flowpb.Action_Allow,
					Policies: &flowpb.PolicyTrace{EnforcedPolicies: profile, PendingPolicies: profile},
				},
				StartTime: testNow.Unix() - 300 + 15*window, NumConnectionsStarted: 2, NumConnectionsCompleted: 1, NumConnectionsLive: 3,
			})
		}
	}
	return s
}

func TestGoldmaneIsASourceOfFlows(t *testing.T) {
	s := sawGoldmane(t)
	b := newBench(t)
	b.agg = nil // there are no other flows
	b.write("deny.yaml", stagedDeny)
	ca, cert, key := s.Certs.Files(t)
	from := []string{"--flows", "goldmane://" + s.Address, "--flows-ca", ca, "--flows-cert", cert, "--flows-key", key}

	out, errs := b.must(0, append(from, "flows", "--ns", "vote", "--to", "vote/redis")...)
	contains(t, out, "vote/vote", "vote/redis   TCP/6379   out   4       allow", "in    4       allow")
	contains(t, errs, "2 rows, seen from 2026-03-01T11:55:00Z to 2026-03-01T11:55:30Z")
	out, _ = b.must(0, append(from, "report", "--since", "10m")...)
	contains(t, out, "1 of 1 flow would be blocked", "4 of 4 connections", "vote/vote   vote/redis   TCP/6379   4")
	out, _ = b.must(0, append(from, "recommend", "--ns", "vote", "--workload", "redis")...)
	contains(t, out, "name: redis", "app == 'vote'", "6379")
	_, errs = b.must(0, append(from, "flows", "--ns", "vote", "--verdict", "deny")...)
	contains(t, errs, "0 rows")

	_, errs = b.must(2, append(from[:4:4], "flows")...)
	contains(t, errs, "Goldmane's flows can't be read", "goldmane://"+s.Address, "try: kubectl -n calico-system port-forward svc/goldmane 7443")
	_, errs = b.must(2, "flows", "--flows", "goldmane://"+s.Address)
	contains(t, errs, "certificate signed by unknown authority", "--flows-ca")
}
