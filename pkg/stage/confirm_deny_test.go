package stage

import (
	"testing"

	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
)

// refusedFlow is a flow that a policy refuses.
func refusedFlow(from, to string, port uint16, n int64, by policy.Hit) flow.Flow {
	f := impactFlow(from, to, port, policy.Egress, n)
	f.Enforced = by
	return f
}

// by is a flow whose refused pods are told.
func by(f flow.Flow, pods ...string) flow.Flow {
	for _, name := range pods {
		f.Refused = append(f.Refused, flow.RefusedPod{Name: name})
	}
	return f
}

func TestMissingTraffic(t *testing.T) {
	refusing := &policy.Policy{Key: policy.Key{Kind: policy.KindGlobalNetworkPolicy, Name: "default-deny"}, Tier: "default"}
	own := policy.Hit{Tier: "default", Policy: refusing.Key, Rule: 0, Action: policy.Deny}
	end := policy.Hit{Tier: "default", Policy: policy.Key{Kind: policy.KindNetworkPolicy, Namespace: "vote", Name: "z"}, Rule: policy.EndOfTier, Action: policy.Deny}
	other := policy.Hit{Tier: "sec", Policy: policy.Key{Kind: policy.KindNetworkPolicy, Namespace: "vote", Name: "z"}, Rule: 0, Action: policy.Deny}
	usual := impactFlow("vote", "redis", 6379, policy.Egress, 10)
	scan := []flow.Flow{usual}
	for port := range uint16(denyScanPorts) {
		scan = append(scan, impactFlow("vote", "db", 1000+port, policy.Egress, 5))
	}
	hosts := []flow.Flow{refusedFlow("vote", "redis", 6379, 5, own)}
	for i := range denyScanHosts {
		hosts = append(hosts, refusedFlow("vote", string(rune('A'+i)), 6379, 1, own))
	}
	host := impactFlow("vote", "redis", 6379, policy.Ingress, 10)
	host.Source = flow.Peer{Kind: flow.PeerHost, Workload: policy.Workload{Name: "n1"}}
	probe := usual
	probe.Probe = true
	for name, tc := range map[string]struct {
		before, since []flow.Flow
		want, pods    int
	}{
		"it was usual":               {[]flow.Flow{usual}, []flow.Flow{refusedFlow("vote", "redis", 6379, 5, own)}, 5, 1},
		"at the end of its tier":     {[]flow.Flow{usual}, []flow.Flow{refusedFlow("vote", "redis", 6379, 5, end)}, 5, 1},
		"another policy refuses it":  {[]flow.Flow{usual}, []flow.Flow{refusedFlow("vote", "redis", 6379, 5, other)}, 0, 0},
		"it is allowed":              {[]flow.Flow{usual}, []flow.Flow{usual}, 0, 0},
		"it was never seen":          {nil, []flow.Flow{refusedFlow("vote", "redis", 6379, 500, own)}, 0, 0},
		"another port was seen":      {[]flow.Flow{usual}, []flow.Flow{refusedFlow("vote", "redis", 22, 500, own)}, 0, 0},
		"it was seen once":           {[]flow.Flow{impactFlow("vote", "redis", 6379, policy.Egress, 1)}, []flow.Flow{refusedFlow("vote", "redis", 6379, 5, own)}, 0, 0},
		"once, and both ends say so": {[]flow.Flow{impactFlow("vote", "redis", 6379, policy.Egress, 1), impactFlow("vote", "redis", 6379, policy.Ingress, 1)}, []flow.Flow{refusedFlow("vote", "redis", 6379, 5, own)}, 0, 0},
		"its peer refused it":        {[]flow.Flow{usual, refusedFlow("vote", "redis", 6379, 1, other)}, []flow.Flow{refusedFlow("vote", "redis", 6379, 5, own)}, 0, 0},
		"part of a scan before":      {scan, []flow.Flow{refusedFlow("vote", "redis", 6379, 5, own)}, 0, 0},
		"who scans now":              {[]flow.Flow{usual}, hosts, 0, 0},
		"from a node":                {[]flow.Flow{host}, []flow.Flow{func() flow.Flow { f := host; f.Enforced = own; return f }()}, 0, 0},
		"a probe before":             {[]flow.Flow{probe}, []flow.Flow{refusedFlow("vote", "redis", 6379, 5, own)}, 0, 0},
		"a probe now":                {[]flow.Flow{usual}, []flow.Flow{func() flow.Flow { f := probe; f.Enforced = own; return f }()}, 0, 0},
		// Pods count, where flows tell them apart; where they do not, a workload may
		// be one.
		"two pods of one workload":     {[]flow.Flow{usual}, []flow.Flow{by(refusedFlow("vote", "redis", 6379, 5, own), "vote-1", "vote-2")}, 5, 2},
		"one pod, refused in two ways": {[]flow.Flow{usual}, []flow.Flow{by(refusedFlow("vote", "redis", 6379, 5, own), "vote-1"), by(refusedFlow("vote", "redis", 6379, 2, end), "vote-1")}, 7, 1},
		"pods of what was not usual":   {[]flow.Flow{usual}, []flow.Flow{by(refusedFlow("vote", "redis", 6379, 5, own), "vote-1"), by(refusedFlow("vote", "redis", 22, 5, own), "vote-2")}, 5, 1},
		"pods of one, none of another": {[]flow.Flow{usual, impactFlow("worker", "redis", 6379, policy.Egress, 9)},
			[]flow.Flow{by(refusedFlow("vote", "redis", 6379, 5, own), "vote-1", "vote-2"), refusedFlow("worker", "redis", 6379, 7, own)}, 12, 3},
		"two sources": {[]flow.Flow{usual, impactFlow("worker", "redis", 6379, policy.Egress, 9)},
			[]flow.Flow{refusedFlow("vote", "redis", 6379, 5, own), refusedFlow("worker", "redis", 6379, 7, own)}, 12, 2},
	} {
		got := MissingTraffic(refusing, tc.before, tc.since)
		if got.Connections != int64(tc.want) || len(got.Pods) != tc.pods {
			t.Errorf("%s: %d connections of %v, want %d of %d pods", name, got.Connections, got.Pods, tc.want, tc.pods)
		}
	}
	// The most missed comes first.
	got := MissingTraffic(refusing, []flow.Flow{usual, impactFlow("worker", "redis", 6379, policy.Egress, 9)},
		[]flow.Flow{refusedFlow("vote", "redis", 6379, 5, own), refusedFlow("worker", "redis", 6379, 7, own)})
	if len(got.Flows) != 2 || got.Flows[0].Source.Workload.Name != "worker" || got.Flows[0].Connections != 7 {
		t.Errorf("flows %+v", got.Flows)
	}
}
