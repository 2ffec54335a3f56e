package cluster

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/netpol-project/netpol/pkg/policy"
)

// pod is a manifest of a running pod.
func pod(i int) string {
	return fmt.Sprintf(`apiVersion: v1
kind: Pod
metadata:
  name: pod-%d
  namespace: ns-%d
  labels: {app: app-%d, tier: backend}
spec:
  nodeName: node-%d
  containers:
  - name: main
    image: example
    ports:
    - containerPort: 80
status:
  phase: Running
  podIP: 10.%d.%d.%d
  podIPs:
  - ip: 10.%d.%d.%d
`, i, i%100, i%500, i%100, i>>16&255, i>>8&255, i&255, i>>16&255, i>>8&255, i&255)
}

// small is a directory of 10 000 pods and 1 000 policies, a file each.
func small(b *testing.B) map[string]string {
	files := map[string]string{}
	for i := range 10000 {
		files[fmt.Sprintf("pod-%d.yaml", i)] = pod(i)
	}
	for i := range 1000 {
		files[fmt.Sprintf("policy-%d.yaml", i)] = np(fmt.Sprintf("p%d", i), i%60000+1)
	}
	b.Logf("%d files", len(files))
	return files
}

// BenchmarkOpenDir is the first reading of 11 000 resources.
func BenchmarkOpenDir(b *testing.B) {
	files := small(b)
	all := make([]string, 0, len(files))
	for _, text := range files {
		all = append(all, text)
	}
	for name, layout := range map[string]map[string]string{
		"files": files,
		"one":   {"all.yaml": strings.Join(all, "---\n")},
	} {
		b.Run(name, func(b *testing.B) {
			root := b.TempDir()
			for name, text := range layout {
				put(b, filepath.Join(root, name), text)
			}
			b.ResetTimer()
			for b.Loop() {
				d, err := OpenDir(root)
				if err != nil {
					b.Fatal(err)
				}
				if s := snapshot(b, d); len(s.Policies) != 1000 || len(s.Endpoints) != 10000 {
					b.Fatal(len(s.Policies), len(s.Endpoints))
				}
			}
			var m runtime.MemStats
			d, _ := OpenDir(root)
			s := snapshot(b, d)
			runtime.GC()
			runtime.ReadMemStats(&m)
			b.ReportMetric(float64(m.HeapAlloc)/1e6, "MB-heap")
			runtime.KeepAlive([]any{d, s})
		})
	}
}

// BenchmarkRename is from the rename of one manifest to the Snapshot, with
// 15 000 resources in other files.
func BenchmarkRename(b *testing.B) {
	files := small(b)
	for i := 10000; i < 14000; i++ {
		files[fmt.Sprintf("pod-%d.yaml", i)] = pod(i)
	}
	root := b.TempDir()
	for name, text := range files {
		put(b, filepath.Join(root, name), text)
	}
	d, err := OpenDir(root)
	if err != nil {
		b.Fatal(err)
	}
	ch, err := d.Watch(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	<-ch
	port := 1
	var spent []time.Duration
	for b.Loop() {
		port = port%60000 + 1
		temp := filepath.Join(root, ".put.tmp")
		if err := os.WriteFile(temp, []byte(np("p500", port)), 0o644); err != nil {
			b.Fatal(err)
		}
		start := time.Now()
		if err := os.Rename(temp, filepath.Join(root, "policy-500.yaml")); err != nil {
			b.Fatal(err)
		}
		for s := range ch {
			p := s.Snapshot.Policy(npKey("p500"))
			if p != nil && int(p.Rules[policy.Ingress][0].Destination.Ports[0].Min) == port {
				break
			}
		}
		spent = append(spent, time.Since(start))
	}
	slices.Sort(spent)
	b.ReportMetric(float64(spent[len(spent)/2].Microseconds()), "µs-median")
}
