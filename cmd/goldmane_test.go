package cmd

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/netpol-project/netpol/internal/cli"
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
	contains(t, out, "name: redis", "app == 'vote'", "- redis")
	_, errs = b.must(0, append(from, "flows", "--ns", "vote", "--verdict", "deny")...)
	contains(t, errs, "0 rows")

	_, errs = b.must(2, append(from[:4:4], "flows")...)
	contains(t, errs, "Goldmane's flows can't be read", "goldmane://"+s.Address, "try: kubectl -n calico-system port-forward svc/goldmane 7443")
	_, errs = b.must(2, "flows", "--flows", "goldmane://"+s.Address)
	contains(t, errs, "certificate signed by unknown authority", "--flows-ca")
}

// Where Calico enforces, its Goldmane is where flows come from, without a flag.
func TestGoldmaneOfACluster(t *testing.T) {
	c := goldmanetest.NewCluster(t, sawGoldmane(t), "v3.31.2")
	c.Documents["/apis/projectcalico.org/v3/stagedglobalnetworkpolicies"] = map[string]any{"metadata": map[string]any{"resourceVersion": "1"}, "items": []any{map[string]any{
		"metadata": map[string]any{"name": "platform.deny", "uid": "1", "resourceVersion": "1"},
		"spec":     map[string]any{"tier": "platform", "types": []any{"Ingress"}},
	}}}
	c.Documents["/apis/projectcalico.org/v3/tiers"] = map[string]any{"metadata": map[string]any{"resourceVersion": "1"}, "items": []any{map[string]any{
		"metadata": map[string]any{"name": "platform", "uid": "2", "resourceVersion": "1"}, "spec": map[string]any{"order": 1},
	}}}
	t.Setenv("NETPOL_CONFIG", "")
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	config := c.Kubeconfig(t)
	run := func(code int, args ...string) (string, string) {
		t.Helper()
		var out, errs bytes.Buffer
		streams := &cli.Streams{In: strings.NewReader(""), Out: &out, Err: &errs}
		if got := Run(t.Context(), streams, append([]string{"netpol", "--kubeconfig", config}, args...)); got != code {
			t.Fatalf("%v: exit code %d, want %d\n%s%s", args, got, code, out.String(), errs.String())
		}
		return out.String(), errs.String()
	}
	out, _ := run(0, "flows")
	contains(t, out, "vote/vote   vote/redis   TCP/6379   out   4")
	if out, _ = run(0, "get", "staged"); strings.Contains(out, "platform.deny") {
		t.Errorf("the tier is in the name:\n%s", out)
	}
	contains(t, out, "deny", "platform")
	out, _ = run(0, "report", "deny")
	contains(t, out, "If deny (StagedGlobalNetworkPolicy) alone were enforced")

	c.Denied["/api/v1/namespaces/calico-system/pods"] = true
	_, errs := run(2, "flows")
	contains(t, errs, "Calico's Goldmane can't be reached: a right is missing for finding Goldmane's pod", "you may not list pods -n calico-system", "kubectl auth can-i list pods -n calico-system")
	delete(c.Documents, "/api/v1/namespaces/calico-system/services/goldmane")
	_, errs = run(2, "report")
	contains(t, errs, "Calico v3.31.2 enforces here, and it has no Goldmane", "--flows FILE")
	c.Denied["/api/v1/namespaces/calico-system/services/goldmane"] = true
	_, errs = run(2, "report")
	contains(t, errs, "you may not see whether it has a Goldmane", "kubectl auth can-i get services/goldmane -n calico-system")

	// Without its API server, Calico's own resources are read and not written.
	delete(c.Documents, "/apis/projectcalico.org/v3")
	delete(c.Documents, "/apis/apiregistration.k8s.io/v1/apiservices/v3.projectcalico.org")
	groups := c.Documents["/apis"].(map[string]any)
	groups["groups"] = groups["groups"].([]any)[1:]
	c.Documents["/apis/crd.projectcalico.org/v1/clusterinformations/default"] = map[string]any{"spec": map[string]any{"calicoVersion": "v3.30.1"}}
	c.Documents["/apis/crd.projectcalico.org/v1/networkpolicies"] = map[string]any{"metadata": map[string]any{"resourceVersion": "1"}, "items": []any{map[string]any{
		"metadata": map[string]any{"name": "default.db", "namespace": "vote", "uid": "3", "resourceVersion": "1"}, "spec": map[string]any{"selector": "app == 'db'"},
	}}}
	out, errs = run(0, "get", "policies", "-A")
	contains(t, out, "vote", "db")
	if strings.Contains(out+errs, "default.db") {
		t.Errorf("the stored name shows:\n%s%s", out, errs)
	}
	contains(t, errs, "warning: policies can only be read here: Calico's API server is not installed")
	_, errs = run(2, "create", "policy", "web", "--ns", "vote", "--selector", "app == 'web'")
	contains(t, errs, "NetworkPolicy vote/web can't be written", "install-apiserver")
}
