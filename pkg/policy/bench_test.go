package policy_test

import (
	"bytes"
	"fmt"
	"runtime"
	"testing"

	"github.com/netpol-project/netpol/pkg/policy"
)

// podYAML is a pod as an API server gives it, about 1.4 KB.
func podYAML(i int) string {
	return fmt.Sprintf(`apiVersion: v1
kind: Pod
metadata:
  name: web-%[1]d-7d4b9c6f5d-x%[2]d
  namespace: ns-%[1]d
  creationTimestamp: "2026-01-02T03:04:05Z"
  labels:
    app: web-%[1]d
    app.kubernetes.io/part-of: shop
    pod-template-hash: 7d4b9c6f5d
  annotations:
    description: "the web shop's front: everything that customers see"
  ownerReferences:
  - apiVersion: apps/v1
    kind: ReplicaSet
    name: web-%[1]d-7d4b9c6f5d
    controller: true
    blockOwnerDeletion: true
    uid: 6fc3a4b2-93f1-4b0e-8a43-0d5f7a1e2b3c
spec:
  nodeName: node-%[3]d
  serviceAccountName: web
  restartPolicy: Always
  containers:
  - name: web
    image: registry.example/web:1.%[1]d
    args: ["--port", "8080", "--verbose"]
    env:
    - name: DB
      value: db.ns-%[1]d.svc
    - name: EMPTY
      value: ""
    ports:
    - name: http
      containerPort: 8080
      protocol: TCP
    - containerPort: 9090
    resources:
      limits:
        cpu: 500m
        memory: 128Mi
    volumeMounts: []
  volumes:
  - name: tmp
    emptyDir: {}
status:
  phase: Running
  podIP: 10.%[4]d.%[5]d.%[6]d
  podIPs:
  - ip: 10.%[4]d.%[5]d.%[6]d
  - ip: fd00::%[2]x
`, i%100, i, i%10, i>>16, i>>8&255, i&255)
}

func policyYAML(i int) string {
	return fmt.Sprintf(`apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata:
  name: policy-%[1]d
  namespace: ns-%[2]d
spec:
  tier: default
  order: %[1]d
  selector: app == 'web-%[2]d' && has(app.kubernetes.io/part-of)
  types:
    - Ingress
    - Egress
  ingress:
    - action: Allow
      protocol: TCP
      source:
        selector: app in {'a', 'b-%[2]d'}
        namespaceSelector: kubernetes.io/metadata.name == 'ns-%[2]d'
      destination:
        ports: [8080, "9000:9010"]
  egress:
    - action: Allow
      protocol: UDP
      destination:
        nets: [10.0.0.0/24]
        ports: [53]
    - action: Deny
`, i, i%100)
}

// world is 10 000 pods and 1 000 policies as documents.
func world() []string {
	var docs []string
	for i := range 10_000 {
		docs = append(docs, podYAML(i))
	}
	for i := range 1_000 {
		docs = append(docs, policyYAML(i))
	}
	return docs
}

func BenchmarkDecodePod(b *testing.B)    { benchmarkDecode(b, podYAML(7)) }
func BenchmarkDecodePolicy(b *testing.B) { benchmarkDecode(b, policyYAML(7)) }

func benchmarkDecode(b *testing.B, doc string) {
	d := policy.NewDecoder()
	data := []byte(doc)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if _, faults := d.Decode("f.yaml", data); len(faults) > 0 {
			b.Fatal(faults)
		}
	}
}

// BenchmarkDecodeWorld reads 10 000 pods and 1 000 policies, one a file, and
// tells what they hold afterwards.
func BenchmarkDecodeWorld(b *testing.B) {
	docs := world()
	var before, after runtime.MemStats
	for b.Loop() {
		runtime.GC()
		runtime.ReadMemStats(&before)
		d := policy.NewDecoder()
		var all []policy.Resource
		for _, doc := range docs {
			res, faults := d.Decode("f.yaml", []byte(doc))
			if len(faults) > 0 {
				b.Fatal(faults)
			}
			all = append(all, res...)
		}
		b.StopTimer()
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/(1<<20), "MB-held")
		runtime.KeepAlive(all)
		b.StartTimer()
	}
}

func BenchmarkDecodeWorldOneFile(b *testing.B) {
	var file bytes.Buffer
	for _, doc := range world() {
		file.WriteString("---\n" + doc)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, faults := policy.Decode("f.yaml", file.Bytes()); len(faults) > 0 {
			b.Fatal(faults)
		}
	}
}

func BenchmarkSnapshot(b *testing.B) {
	d := policy.NewDecoder()
	var all []policy.Resource
	for i, doc := range world() {
		res, _ := d.Decode(fmt.Sprintf("f%d.yaml", i), []byte(doc))
		all = append(all, res...)
	}
	for i := range 4000 {
		res, _ := d.Decode("s.yaml", fmt.Appendf(nil, "{apiVersion: v1, kind: Service, metadata: {name: s%d}, spec: {clusterIP: 10.96.0.1, ports: [{port: 80}]}}", i))
		all = append(all, res...)
	}
	first, _ := policy.NewSnapshot(1, all, nil)
	b.Run("first", func(b *testing.B) {
		for b.Loop() {
			policy.NewSnapshot(1, all, nil)
		}
	})
	b.Run("unchanged", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			policy.NewSnapshot(1, all, first)
		}
	})
	changed, _ := d.Decode("f5000.yaml", []byte(podYAML(5000)))
	for _, at := range []int{5000} {
		other := append([]policy.Resource(nil), all...)
		other[at] = changed[0]
		b.Run("pod", func(b *testing.B) {
			for b.Loop() {
				policy.NewSnapshot(1, other, first)
			}
		})
	}
	res, _ := d.Decode("f10500.yaml", []byte(policyYAML(500)))
	other := append([]policy.Resource(nil), all...)
	other[10500] = res[0]
	b.Run("policy", func(b *testing.B) {
		for b.Loop() {
			policy.NewSnapshot(1, other, first)
		}
	})
}
