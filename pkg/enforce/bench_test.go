//go:build linux

package enforce_test

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/netpol-project/netpol/internal/netnstest"
	"github.com/netpol-project/netpol/pkg/enforce/internal/nfnl"
)

// BenchmarkManifestToKernel is from the rename of a policy's manifest to the
// kernel's new generation of rules, on a node with ten pods, one of which all
// policies select.
func BenchmarkManifestToKernel(b *testing.B) {
	netnstest.Bench(b, func(b *testing.B) {
		for _, policies := range []int{1, 5000} {
			b.Run(fmt.Sprintf("policies=%d", policies), func(b *testing.B) { manifestToKernel(b, policies) })
		}
	})
}

func manifestToKernel(b *testing.B, policies int) {
	n := newNode(b)
	for _, name := range []string{"client", "server", "a", "b", "c", "d", "e", "f", "g", "h"} {
		n.addPod(name)
	}
	n.crowd(policies)
	a := n.start(nil)
	g := openGeneration(b)
	middle := policies / 2
	var spent []time.Duration
	for i := 0; b.Loop(); i++ {
		name := fmt.Sprintf("p%d", middle)
		temp := filepath.Join(n.dir, ".next")
		n.must(os.WriteFile(temp, []byte(crowdPolicy(middle, 20_000+i%40_000)), 0o644))
		before := g.now()
		start := time.Now()
		n.must(os.Rename(temp, filepath.Join(n.dir, name+".yaml")))
		for g.now() == before {
			if time.Since(start) > patience {
				b.Fatal("the kernel has no new rules")
			}
			time.Sleep(50 * time.Microsecond)
		}
		spent = append(spent, time.Since(start))
		a.sync() // so that one change does not meet the next
	}
	report(b, spent)
	b.ReportMetric(1e3*a.status().LastProgramSeconds, "ms-programming")
	a.stop()
}

func report(b *testing.B, spent []time.Duration) {
	slices.Sort(spent)
	b.ReportMetric(float64(spent[len(spent)/2].Microseconds())/1e3, "ms-median")
	b.ReportMetric(float64(spent[len(spent)*9/10].Microseconds())/1e3, "ms-p90")
	b.ReportMetric(0, "ns/op") // it would count the waiting between changes
}

// crowd writes policies that all select the server, each allowing a port to
// the client.
func (n *node) crowd(policies int) {
	n.t.Helper()
	for i := range policies {
		n.write(fmt.Sprintf("p%d", i), crowdPolicy(i, i+1))
	}
}

func crowdPolicy(i, port int) string {
	return fmt.Sprintf(`apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: p%d, namespace: %s}
spec:
  order: %d
  selector: app == 'server'
  types: [Ingress]
  ingress:
  - action: Allow
    protocol: TCP
    source: {selector: app == 'client'}
    destination: {ports: [%d]}
`, i, namespace, i, port)
}

// generation asks the kernel how often its rules have changed.
type generation struct {
	t    testing.TB
	conn *nfnl.Conn
	buf  [512]byte
}

func openGeneration(t testing.TB) *generation {
	t.Helper()
	conn, err := nfnl.Open(nfnl.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &generation{t: t, conn: conn}
}

func (g *generation) now() (id uint32) {
	var enc nfnl.Encoder
	enc.Begin(nfnl.Header{Type: unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_GETGEN, Family: unix.AF_UNSPEC})
	enc.End()
	err := g.conn.Send(enc.Bytes())
	var m nfnl.Message
	if err == nil {
		var size int
		if size, err = g.conn.Receive(g.buf[:]); err == nil {
			m, _, err = nfnl.Next(g.buf[:size])
		}
	}
	if err != nil {
		g.t.Fatalf("generation: %v", err)
	}
	nfnl.Attrs(m.Body, func(typ uint16, data []byte) {
		if typ == unix.NFTA_GEN_ID {
			id = nfnl.Uint32(data)
		}
	})
	return id
}

// BenchmarkLoad is from the start of an agent's process to its rules being in
// the kernel: 1 000 policies and 10 000 pods, 110 of them on this node.
func BenchmarkLoad(b *testing.B) {
	netnstest.Bench(b, func(b *testing.B) {
		for _, layout := range []string{"files", "one-file"} {
			b.Run(layout, func(b *testing.B) { load(b, layout == "files") })
		}
	})
}

func load(b *testing.B, files bool) {
	const pods, policies, local = 10_000, 1000, 110
	n := newNode(b)
	var all strings.Builder
	write := func(name, text string) {
		if files {
			n.write(name, text)
		} else {
			all.WriteString("---\n" + text)
		}
	}
	for i := range pods {
		node, addrs := "node-2", addresses(fmt.Sprintf("10.%d.%d.%d", 100+i>>14, i>>6&0xff, i&63+1), fmt.Sprintf("fd01::%x", i+1))
		if i%(pods/local) == 0 {
			node = nodeName
			iface := n.pair(i)
			for _, a := range addrs {
				n.must(route(iface, netip.PrefixFrom(a, a.BitLen()), netip.Addr{}))
			}
		}
		write(fmt.Sprintf("pod-%d", i), fmt.Sprintf(`apiVersion: v1
kind: Pod
metadata: {name: pod-%d, namespace: ns-%d, labels: {app: a%d}}
spec: {nodeName: %s}
status: {phase: Running, podIPs: [{ip: %s}, {ip: "%s"}]}
`, i, i%100, i/100%10, node, addrs[0], addrs[1]))
	}
	for i := range policies {
		write(fmt.Sprintf("policy-%d", i), fmt.Sprintf(`apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: p%d, namespace: ns-%d}
spec:
  selector: app == 'a%d'
  ingress:
  - action: Allow
    protocol: TCP
    source: {selector: app == 'a%d'}
    destination: {ports: [%d]}
`, i, i%100, i/100%10, (i/100+3)%10, 1000+i))
	}
	if !files {
		n.write("all", all.String())
	}
	var spent []time.Duration
	var rss, peak float64
	for b.Loop() {
		start := time.Now()
		a, cmd := n.startProcess()
		spent = append(spent, time.Since(start))
		if s := a.status(); s.Policies != policies || s.Endpoints < local {
			b.Fatalf("%d policies, %d endpoints", s.Policies, s.Endpoints)
		}
		rss = max(rss, memory(b, cmd.Process.Pid, "VmRSS:"))
		peak = max(peak, memory(b, cmd.Process.Pid, "VmHWM:"))
		a.stop()
		n.removeTable()
	}
	report(b, spent)
	b.ReportMetric(rss, "MB-RSS")
	b.ReportMetric(peak, "MB-RSS-peak")
}

// pair makes a pod interface whose other end is of no interest.
func (n *node) pair(i int) string {
	n.t.Helper()
	attrs := netlink.NewLinkAttrs()
	attrs.Name = fmt.Sprintf("%s%d", podPrefix, i)
	n.unlink(attrs.Name)
	n.must(netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: fmt.Sprintf("peer%d", i)}))
	link, err := netlink.LinkByName(attrs.Name)
	n.must(err)
	n.must(netlink.LinkSetUp(link))
	return attrs.Name
}

// memory is a figure of /proc/PID/status in MB.
func memory(b *testing.B, pid int, field string) float64 {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, field); ok {
			var kib float64
			if _, err := fmt.Sscan(rest, &kib); err == nil {
				return kib * 1024 / 1e6
			}
		}
	}
	b.Fatalf("no %s", field)
	return 0
}
