package flow_test

import (
	"testing"

	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
)

func TestWitnessesStandForWhatWasSeen(t *testing.T) {
	peer := func(namespace, name string, kind policy.Kind) flow.Peer {
		return flow.Peer{Kind: flow.PeerWorkload, Workload: policy.Workload{Kind: kind, Namespace: namespace, Name: name}}
	}
	flows := []flow.Flow{
		{Key: flow.Key{Source: peer("new", "a", ""), Destination: peer("ns", "gone", "")}, SourceLabels: map[string]string{"app": "a", "v": "1"}},
		{Key: flow.Key{Source: peer("new", "a", ""), Destination: peer("new", "ours", policy.KindDeployment)}, SourceLabels: map[string]string{"app": "a", "v": "2"}},
	}
	snap := snapshot() // which has pods in ns
	eps, err := flow.Witnesses(snap, flows)
	if err != nil || len(eps) != 1 {
		t.Fatalf("%v %v", eps, err)
	}
	ep := eps[0]
	if ep.ID() != "new/a" || ep.Labels["app"] != "a" || ep.Labels["v"] != "" || ep.Labels["projectcalico.org/namespace"] != "new" {
		t.Errorf("%+v", ep)
	}
	more := snap.WithEndpoints(eps)
	if len(more.Endpoints) != len(snap.Endpoints)+1 || more.Namespace("new") == nil || snap.Namespace("new") != nil {
		t.Errorf("%+v", more)
	}
	if w := flow.NewNames(more).Flow(flows[0]).Source.Workload; w != ep.Workload {
		t.Errorf("named %v, want %v", w, ep.Workload)
	}
}
