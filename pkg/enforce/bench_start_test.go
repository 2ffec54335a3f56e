//go:build linux

package enforce_test

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/netpol-project/netpol/internal/netnstest"
)

// localPods is how many pods the measured node has.
const localPods = 30

// BenchmarkStart measures the netpol binary as an agent of a cluster with
// 10 000 pods, 30 of them on its node: from exec until it is ready, and the
// memory that it holds 10 s later. What it is given comes from a fake API
// server, so that the API server's own time is not measured.
//
// $NETPOL_BIN is the binary; without it one is built.
func BenchmarkStart(b *testing.B) {
	bin := netpolBinary(b)
	netnstest.Bench(b, func(b *testing.B) {
		n := newNode(b)
		for i := range localPods {
			n.place(fmt.Sprintf("cali%d", i), netip.AddrFrom4([4]byte{10, 65, 0, byte(i + 1)}))
		}
		for _, size := range []struct{ pods, policies int }{{6, 0}, {10000, 0}, {10000, 1000}, {10000, 5000}} {
			b.Run(fmt.Sprintf("pods=%d/policies=%d", size.pods, size.policies), func(b *testing.B) {
				api := newFakeAPI(b)
				api.fill(size.pods, min(localPods, size.pods), size.policies)
				for b.Loop() {
					n.measureStart(b, bin, api)
				}
			})
		}
	})
}

// netpolBinary is the program that is measured.
func netpolBinary(b *testing.B) string {
	b.Helper()
	if bin := os.Getenv("NETPOL_BIN"); bin != "" {
		return bin
	}
	bin := filepath.Join(b.TempDir(), "netpol")
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", bin, "github.com/netpol-project/netpol")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("build: %v\n%s", err, out)
	}
	b.Setenv("NETPOL_BIN", bin) // for the process inside
	return bin
}

// place gives an address a route to an interface as of a pod.
func (n *node) place(name string, addr netip.Addr) {
	n.t.Helper()
	n.must(netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: name}, PeerName: name + "p"}))
	n.unlink(name)
	for _, end := range []string{name, name + "p"} {
		link, err := netlink.LinkByName(end)
		n.must(err)
		n.must(netlink.LinkSetUp(link))
	}
	n.must(route(name, netip.PrefixFrom(addr, addr.BitLen()), netip.Addr{}))
}

func (n *node) measureStart(b *testing.B, bin string, api *fakeAPI) {
	b.Helper()
	n.removeTable()
	config := filepath.Join(b.TempDir(), "kubeconfig")
	n.must(os.WriteFile(config, []byte(`apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "`+api.url+`"}}]
users: [{name: u, user: {}}]
contexts: [{name: c, context: {cluster: c, user: u}}]
current-context: c
`), 0o600))
	cmd := exec.Command(bin, "agent", "--kubeconfig", config, "--node", nodeName, "--http", healthAddr,
		"--socket", filepath.Join(b.TempDir(), "agent.sock"))
	cmd.Stderr = os.Stderr
	start := time.Now()
	n.must(cmd.Start())
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	for {
		if code, _, err := ask("/readyz"); err == nil && code == 200 {
			break
		}
		if time.Since(start) > 20*time.Second {
			b.Fatal("not ready after 20 s")
		}
		time.Sleep(5 * time.Millisecond)
	}
	b.ReportMetric(time.Since(start).Seconds(), "s/start")
	b.ReportMetric(cpu(b, cmd.Process.Pid).Seconds(), "cpu-s/start")
	b.ReportMetric(memory(b, cmd.Process.Pid, "VmHWM:"), "MB-peak")
	time.Sleep(3 * time.Second) // what was needed for reading only is given back
	before := cpu(b, cmd.Process.Pid)
	time.Sleep(10 * time.Second)
	b.ReportMetric(100*(cpu(b, cmd.Process.Pid)-before).Seconds()/10, "%idle-cpu")
	b.ReportMetric(memory(b, cmd.Process.Pid, "VmRSS:"), "MB-resident")
	b.ReportMetric(memory(b, cmd.Process.Pid, "RssAnon:"), "MB-anonymous")
}

// cpu is the processor time that a process has used, to the nanosecond: by its
// clock as clock_getcpuclockid(3) makes it.
func cpu(b *testing.B, pid int) time.Duration {
	b.Helper()
	const sched = 2 // CPUCLOCK_SCHED
	var t unix.Timespec
	if err := unix.ClockGettime(int32(^pid)<<3|sched, &t); err != nil {
		b.Fatal(err)
	}
	return time.Duration(t.Nano())
}
