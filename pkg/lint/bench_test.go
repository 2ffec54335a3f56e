package lint_test

import (
	"fmt"
	"testing"

	"github.com/netpol-project/netpol/pkg/lint"
	"github.com/netpol-project/netpol/pkg/policy"
)

// documents is a cluster of n documents: 3 in 10 are policies, the others pods,
// in 100 namespaces. Some rules are covered, some select nothing, and policies
// have no orders, so that every lint has work to do.
func documents(n int) []string {
	var docs []string
	for i := range n * 7 / 10 {
		docs = append(docs, fmt.Sprintf(`apiVersion: v1
kind: Pod
metadata:
  name: web-%[1]d
  namespace: ns-%[2]d
  labels: {app: web-%[3]d, tier: front}
spec:
  containers:
  - name: web
    image: registry.example/web
    ports: [{name: http, containerPort: 8080}]
status: {podIP: 10.%[4]d.%[5]d.%[6]d}
`, i, i%100, i/7, i>>16, i>>8&255, i&255))
	}
	for i := range n * 3 / 10 {
		action := "Allow"
		if i%10 == 0 {
			action = "Deny"
		}
		docs = append(docs, fmt.Sprintf(`apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata:
  name: policy-%[1]d
  namespace: ns-%[2]d
spec:
  selector: app == 'web-%[3]d'
  types: [Ingress, Egress]
  ingress:
  - action: %[4]s
    protocol: TCP
    source: {selector: app == 'web-%[5]d'}
    destination: {ports: [8080]}
  - action: Allow
    protocol: TCP
    source: {nets: [10.%[6]d.0.0/16]}
    destination: {ports: [http]}
  egress:
  - action: Allow
    protocol: TCP
    destination: {selector: app == 'web-%[5]d' && tier == 'front', ports: [8080]}
  - action: Allow
    protocol: UDP
    destination: {selector: k8s-app == 'kube-dns', namespaceSelector: all(), ports: [53]}
`, i, i%100, i*7/3/7, action, (i+100)*7/3/7, i%200))
	}
	return docs
}

// BenchmarkValidate decodes 10 000 documents, one a file, and looks for
// everything that is wrong with them.
func BenchmarkValidate(b *testing.B) {
	docs := documents(10_000)
	for b.Loop() {
		d := policy.NewDecoder()
		var all []policy.Resource
		for i, doc := range docs {
			res, faults := d.Decode(fmt.Sprintf("f%d.yaml", i), []byte(doc))
			if len(faults) > 0 {
				b.Fatal(faults)
			}
			all = append(all, res...)
		}
		snap, _ := policy.NewSnapshot(1, all, nil)
		read := func(file string) ([]byte, error) {
			var i int
			_, err := fmt.Sscanf(file, "f%d.yaml", &i)
			return []byte(docs[i]), err
		}
		found := lint.NewPlaces(read).Locate(findIn(snap))
		b.ReportMetric(float64(len(found)), "findings")
	}
}

// BenchmarkCheck is the lints alone, on clusters that are hard on them.
func BenchmarkCheck(b *testing.B) {
	alike := func(n int, spec func(i int) []string) string {
		docs := shop
		for i := range n {
			docs += netpol(fmt.Sprintf("p%d", i), spec(i)...)
		}
		return docs
	}
	for name, docs := range map[string]string{
		"allows-of-one-pod": alike(3000, func(i int) []string {
			return []string{"selector: app == 'web'", fmt.Sprintf("ingress: [{action: Allow, protocol: TCP, source: {selector: app == 'c%d'}, destination: {ports: [%d]}}]", i, i+1)}
		}),
		"ties-of-one-pod": alike(1000, func(i int) []string {
			action := []string{"Allow", "Deny"}[i%2]
			return []string{"selector: app == 'web'", fmt.Sprintf("ingress: [{action: %s, protocol: TCP, destination: {ports: [%d]}}]", action, i/2+1)}
		}),
		"the-same-ports": alike(3000, func(i int) []string {
			return []string{fmt.Sprintf("ingress: [{action: Allow, protocol: TCP, destination: {ports: [%d]}}]", i+1)}
		}),
	} {
		b.Run(name, func(b *testing.B) {
			resources, _ := policy.Decode("f.yaml", []byte(docs))
			snap, _ := policy.NewSnapshot(1, resources, nil)
			for b.Loop() {
				findIn(snap)
			}
		})
	}
}
