package flow

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/netpol-project/netpol/pkg/policy"
)

// Witnesses are endpoints that stand for the workloads of flows, with the labels
// that the flows tell, in namespaces of which the snapshot has no endpoints: a
// directory of policies alone can be judged by what was seen. Of workloads without
// labels nothing can be said.
func Witnesses(snap *policy.Snapshot, flows []Flow) ([]*policy.Endpoint, error) {
	known := map[string]bool{}
	for _, ep := range snap.Endpoints {
		known[ep.Namespace] = true
	}
	labels := map[policy.Workload]map[string]string{}
	add := func(p Peer, l map[string]string) {
		w := p.Workload
		if p.Kind != PeerWorkload || w.Kind != "" || w.Name == "" || known[w.Namespace] || len(l) == 0 {
			return
		}
		if before, ok := labels[w]; ok {
			l = intersect(before, l)
		}
		labels[w] = l
	}
	for i := range flows {
		add(flows[i].Source, flows[i].SourceLabels)
		add(flows[i].Destination, flows[i].DestinationLabels)
	}
	workloads := slices.SortedFunc(maps.Keys(labels), func(a, b policy.Workload) int {
		return ComparePeers(Peer{Kind: PeerWorkload, Workload: a}, Peer{Kind: PeerWorkload, Workload: b})
	})
	var out []*policy.Endpoint
	for _, w := range workloads {
		ep, err := witness(w, labels[w])
		if err != nil {
			return nil, err
		}
		out = append(out, ep)
	}
	return out, nil
}

// witness reads the pod that a workload's pods are like, so that it has all the
// labels that a pod has (S15).
func witness(w policy.Workload, labels map[string]string) (*policy.Endpoint, error) {
	doc, err := json.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "Pod",
		"metadata": map[string]any{"namespace": w.Namespace, "name": w.Name, "labels": labels},
		"spec":     map[string]any{"containers": []any{map[string]any{"name": "seen", "image": "seen"}}},
	})
	if err != nil {
		return nil, err
	}
	resources, faults := policy.Decode("", doc)
	if len(resources) == 1 {
		if ep, ok := resources[0].Value.(*policy.Endpoint); ok {
			return ep, nil
		}
	}
	return nil, fmt.Errorf("workload %s, as flows tell it: %w", w, faults.Err())
}
