package policy_test

import (
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/policy/selector"
)

func addrs(list ...string) (out []netip.Addr) {
	for _, s := range list {
		out = append(out, netip.MustParseAddr(s))
	}
	return out
}

func TestDecodePod(t *testing.T) {
	got := decodeOne[policy.Endpoint](t, podYAML(7))
	want := &policy.Endpoint{
		Namespace: "ns-7", Name: "web-7-7d4b9c6f5d-x7",
		Workload: policy.Workload{Kind: policy.KindDeployment, Namespace: "ns-7", Name: "web-7"},
		Labels: selector.Labels{
			"app": "web-7", "app.kubernetes.io/part-of": "shop", "pod-template-hash": "7d4b9c6f5d",
			"projectcalico.org/namespace": "ns-7", "projectcalico.org/orchestrator": "k8s", "projectcalico.org/serviceaccount": "web",
		},
		Node:    "node-7",
		Addrs:   addrs("10.0.0.7", "fd00::7"),
		Ports:   []policy.ContainerPort{{Name: "http", Protocol: policy.TCP, Port: 8080}, {Protocol: policy.TCP, Port: 9090}},
		Created: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).UnixNano(),
		Origin:  policy.Origin{File: "f.yaml", Line: 1, Column: 1},
	}
	if diff := cmp.Diff(want, got, alike); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func pod(rest string) string { return "apiVersion: v1\nkind: Pod\nmetadata:\n  name: a\n" + rest }

func TestS15_PodLabels(t *testing.T) {
	ep := decodeOne[policy.Endpoint](t, pod("  labels: {projectcalico.org/namespace: kube-system, projectcalico.org/serviceaccount: root, x: y}\n"))
	want := selector.Labels{"x": "y", "projectcalico.org/namespace": "default", "projectcalico.org/orchestrator": "k8s", "projectcalico.org/serviceaccount": "default"}
	if diff := cmp.Diff(want, ep.Labels); diff != "" {
		t.Errorf("a pod must not choose them: (-want +got)\n%s", diff)
	}
}

func TestS12_PodsThatAreNoEndpoints(t *testing.T) {
	for rest, host := range map[string]bool{
		"spec: {hostNetwork: true}":                           true,
		"status: {phase: Succeeded, podIP: 10.0.0.1}":         false,
		"status: {phase: Failed, podIP: 10.0.0.1}":            false,
		"spec: {hostNetwork: true}\nstatus: {phase: Running}": true,
	} {
		if idle := decodeOne[policy.Idle](t, pod(rest)); idle.HostNetwork != host || idle.Name != "a" {
			t.Errorf("%q: %+v", rest, idle)
		}
	}
	for _, rest := range []string{"status: {phase: Pending}", "status: {phase: Unknown, podIP: 10.0.0.1}", "spec: {hostNetwork: false}"} {
		decodeOne[policy.Endpoint](t, pod(rest))
	}
}

func TestDecodePodDetails(t *testing.T) {
	ep := decodeOne[policy.Endpoint](t, pod("  deletionTimestamp: 2026-01-01T00:00:00Z\nstatus: {podIP: '::ffff:10.0.0.1'}\n"))
	if !ep.Terminating || !cmp.Equal(ep.Addrs, addrs("10.0.0.1"), alike) {
		t.Errorf("%+v", ep)
	}
	// S21: native sidecars' ports count, other init containers' do not.
	ep = decodeOne[policy.Endpoint](t, pod("spec: {initContainers: [{ports: [{containerPort: 1}]}, {restartPolicy: Always, ports: [{containerPort: 2, protocol: UDP}]}], containers: [{ports: [{containerPort: 3, protocol: SCTP}]}]}\n"))
	if diff := cmp.Diff([]policy.ContainerPort{{Protocol: policy.SCTP, Port: 3}, {Protocol: policy.UDP, Port: 2}}, ep.Ports); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestPodOwners(t *testing.T) {
	owner := func(api, kind, name, controller string) string {
		return "  ownerReferences: [{apiVersion: " + api + ", kind: " + kind + ", name: " + name + ", controller: " + controller + "}]\n"
	}
	for rest, want := range map[string]policy.Workload{
		"": {Kind: policy.KindPod, Name: "a"},
		owner("apps/v1", "StatefulSet", "db", "true"):                                                {Kind: policy.KindStatefulSet, Name: "db"},
		owner("apps/v1", "StatefulSet", "db", "false"):                                               {Kind: policy.KindPod, Name: "a"},
		owner("apps/v1", "DaemonSet", "d", "true"):                                                   {Kind: policy.KindDaemonSet, Name: "d"},
		owner("batch/v1", "Job", "j", "true"):                                                        {Kind: policy.KindJob, Name: "j"},
		owner("v1", "Node", "n", "true"):                                                             {Kind: policy.KindPod, Name: "a"},
		owner("example.com/v1", "StatefulSet", "s", "true"):                                          {Kind: policy.KindPod, Name: "a"},
		owner("apps/v1", "ReplicaSet", "web-abc", "true"):                                            {Kind: policy.KindReplicaSet, Name: "web-abc"},
		owner("apps/v1", "ReplicaSet", "web-abc", "true") + "  labels: {pod-template-hash: abc}\n":   {Kind: policy.KindDeployment, Name: "web"},
		owner("apps/v1", "ReplicaSet", "web-abc", "true") + "  labels: {pod-template-hash: other}\n": {Kind: policy.KindReplicaSet, Name: "web-abc"},
	} {
		want.Namespace = "default"
		if ep := decodeOne[policy.Endpoint](t, pod(rest)); ep.Workload != want {
			t.Errorf("%q: %v %v", rest, ep.Workload.Kind, ep.Workload)
		}
	}
}

func TestDecodeService(t *testing.T) {
	svc := "apiVersion: v1\nkind: Service\nmetadata: {name: db, namespace: vote}\nspec: "
	got := decodeOne[policy.Service](t, svc+`{clusterIP: 10.96.0.9, clusterIPs: [10.96.0.9, "fd00::9"], selector: {app: db}, ports: [
  {name: a, port: 80}, {port: 53, protocol: UDP, targetPort: dns}, {port: 443, targetPort: 8443, nodePort: 30443}, {port: 1, targetPort: "90"}]}`)
	want := &policy.Service{Namespace: "vote", Name: "db", Addrs: addrs("10.96.0.9", "fd00::9"), Selector: map[string]string{"app": "db"},
		Ports: []policy.ServicePort{
			{Name: "a", Protocol: policy.TCP, Port: 80, TargetPort: 80},
			{Protocol: policy.UDP, Port: 53, TargetName: "dns"},
			{Protocol: policy.TCP, Port: 443, TargetPort: 8443, NodePort: 30443},
			{Protocol: policy.TCP, Port: 1, TargetPort: 90},
		},
		Origin: policy.Origin{File: "f.yaml", Line: 1, Column: 1}}
	if diff := cmp.Diff(want, got, alike); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	for _, spec := range []string{"{clusterIP: None}", "{}", "{type: ExternalName, externalName: a.example}"} {
		if s := decodeOne[policy.Service](t, svc+spec); len(s.Addrs) != 0 {
			t.Errorf("%s: %v", spec, s.Addrs)
		}
	}
	if s := decodeOne[policy.Service](t, svc+"{clusterIP: 10.96.0.1}"); !cmp.Equal(s.Addrs, addrs("10.96.0.1"), alike) {
		t.Errorf("%v", s.Addrs)
	}
}

func TestDecodeTemplates(t *testing.T) {
	template := "template: {metadata: {labels: {app: x}}, spec: {serviceAccountName: sa, containers: [{ports: [{containerPort: 80}]}]}}"
	for kind, doc := range map[policy.Kind]string{
		policy.KindDeployment:  "apiVersion: apps/v1\nkind: Deployment\nspec: {replicas: 3, " + template + "}",
		policy.KindStatefulSet: "apiVersion: apps/v1\nkind: StatefulSet\nspec: {replicas: 3, " + template + "}",
		policy.KindReplicaSet:  "apiVersion: apps/v1\nkind: ReplicaSet\nspec: {replicas: 3, " + template + "}",
		policy.KindDaemonSet:   "apiVersion: apps/v1\nkind: DaemonSet\nspec: {" + template + "}",
		policy.KindJob:         "apiVersion: batch/v1\nkind: Job\nspec: {" + template + "}",
		policy.KindCronJob:     "apiVersion: batch/v1\nkind: CronJob\nspec: {jobTemplate: {spec: {" + template + "}}}",
	} {
		got := decodeOne[policy.Template](t, doc+"\nmetadata: {name: w, namespace: n}\n")
		want := &policy.Template{
			Workload:       policy.Workload{Kind: kind, Namespace: "n", Name: "w"},
			Labels:         selector.Labels{"app": "x", "projectcalico.org/namespace": "n", "projectcalico.org/orchestrator": "k8s", "projectcalico.org/serviceaccount": "sa"},
			ServiceAccount: "sa",
			Ports:          []policy.ContainerPort{{Protocol: policy.TCP, Port: 80}},
			Replicas:       1,
			Origin:         policy.Origin{File: "f.yaml", Line: 1, Column: 1},
		}
		if kind == policy.KindDeployment || kind == policy.KindStatefulSet || kind == policy.KindReplicaSet {
			want.Replicas = 3
		}
		if diff := cmp.Diff(want, got, alike); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", kind, diff)
		}
	}
}

// One decoder serves several goroutines (seen by the race detector).
func TestDecoderConcurrently(t *testing.T) {
	d := policy.NewDecoder()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range 50 {
				res, faults := d.Decode("f.yaml", []byte(podYAML(i)+"---\n"+policyYAML(i)))
				if len(res) != 2 || len(faults) > 0 || res[0].Value.(*policy.Endpoint).Labels["app"] != fmt.Sprintf("web-%d", i) {
					t.Errorf("%d: %v %v", i, res, faults)
				}
			}
		})
	}
	wg.Wait()
}

// A decoder keeps one copy of what pods have alike, and nothing of a document.
func TestDecoderShares(t *testing.T) {
	d := policy.NewDecoder()
	a, _ := d.Decode("a", []byte(podYAML(3)))
	data := []byte(podYAML(103))
	b, _ := d.Decode("b", data)
	for i := range data {
		data[i] = 'x'
	}
	x, y := a[0].Value.(*policy.Endpoint), b[0].Value.(*policy.Endpoint)
	x.Labels["probe"] = "1"
	if y.Labels["probe"] != "1" {
		t.Error("equal labels are not shared")
	}
	if y.Name != "web-3-7d4b9c6f5d-x103" || y.Labels["app"] != "web-3" || y.Workload.Name != "web-3" {
		t.Errorf("the pod depends on the document: %+v", y)
	}
}

// A Deny may name the Service, so one with faults does not vanish; 0 stands for
// a port that is not given.
func TestS20_WhatCouldBeReadOfAServiceIsKept(t *testing.T) {
	for spec, want := range map[string]struct {
		ports  int
		faulty bool
	}{
		"{selector: {app: db}, ports: [{port: 80, nodePort: 0, targetPort: 0}]}":        {1, false},
		"{selector: {app: db}, ports: [{port: 80, targetPort: 70000}, {port: 81}]}":     {1, true},
		"{selector: {app: db}, ports: [{port: 80, targetPort: '70000'}, {port: 81}]}":   {1, true},
		"{selector: {app: db}, ports: [{port: 0}]}":                                     {0, true},
		"{selector: {app: db}, clusterIP: 10.0.0.300, ports: [{port: 80}]}":             {1, true},
		"{selector: {app: db, generation: 1}, ports: [{port: 80}]}":                     {1, true},
		"{selector: {app: db}, ports: [{port: 80, protocol: TPC}, {port: 80}]}":         {1, true},
		"{selector: {app: db}, ports: [{port: 80, targetPort: {}}, {port: 81}], a: []}": {1, true},
	} {
		list, faults := policy.Decode("f.yaml", []byte("apiVersion: v1\nkind: Service\nmetadata: {name: db, namespace: vote}\nspec: "+spec))
		if (faults.Err() != nil) != want.faulty {
			t.Errorf("%s: %v", spec, faults)
		}
		svc, ok := list[0].Value.(*policy.Service)
		if !ok {
			t.Errorf("%s: no Service", spec)
			continue
		}
		if svc.Selector["app"] != "db" || len(svc.Ports) != want.ports {
			t.Errorf("%s: %+v", spec, svc)
		}
		for _, p := range svc.Ports {
			if p.TargetPort != p.Port {
				t.Errorf("%s: %+v", spec, p)
			}
		}
	}
}
