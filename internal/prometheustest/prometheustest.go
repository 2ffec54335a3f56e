// Package prometheustest gives tests a real Prometheus server, Debian's.
package prometheustest

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/netpol-project/netpol/internal/kubetest"
)

// BinEnv names the directory with prometheus and promtool; without it tests skip.
const BinEnv = "NETPOL_PROMETHEUS_BIN"

// Bin is the directory with the programs; the test is skipped where nobody says.
func Bin(t testing.TB) string {
	t.Helper()
	bin := os.Getenv(BinEnv)
	if bin == "" {
		t.Skipf("%s is not set: make test-prometheus runs this against a real Prometheus server", BinEnv)
	}
	return bin
}

// Blocks starts a server that has the samples of a text, and gives where it
// answers: HOST:PORT/PATH.
func Blocks(t testing.TB, text *Text) string {
	t.Helper()
	dir := t.TempDir()
	in, data := filepath.Join(dir, "in.txt"), filepath.Join(dir, "data")
	if err := os.WriteFile(in, []byte(text.String()+"# EOF\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	// promtool reads its input again for every block: few large ones.
	out, err := exec.Command(filepath.Join(Bin(t), "promtool"), "tsdb", "create-blocks-from", "--max-block-duration=500h", "openmetrics", "--quiet", in, data).CombinedOutput()
	if err != nil {
		t.Fatalf("promtool: %v\n%s", err, out)
	}
	return start(t, dir, data, "global: {}\n")
}

// Scrape starts a server that scrapes an address every 200 ms.
func Scrape(t testing.TB, address string) string {
	t.Helper()
	dir := t.TempDir()
	return start(t, dir, filepath.Join(dir, "data"), fmt.Sprintf(`
global: {scrape_interval: 200ms, scrape_timeout: 200ms}
scrape_configs:
- job_name: netpol
  static_configs: [{targets: ['%s'], labels: {cluster: live}}]
`, address))
}

// prefix is the path that the server answers under, as behind a proxy.
const prefix = "/metrics-of/all"

// start starts a server that ends with the test, and gives where it answers.
// Another process may take the port before it does, so it is tried some times.
func start(t testing.TB, dir, data, config string) string {
	t.Helper()
	file := filepath.Join(dir, "prometheus.yml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	var failed error
	for range 3 {
		address := freeAddress(t)
		p, err := kubetest.StartProcess(dir, filepath.Join(Bin(t), "prometheus"),
			"--config.file="+file, "--storage.tsdb.path="+data, "--storage.tsdb.retention.time=100y",
			"--web.listen-address="+address, "--web.external-url=http://"+address+prefix)
		if err != nil {
			t.Fatal(err)
		}
		if failed = p.Await(t.Context(), func(ctx context.Context) error { return ready(ctx, address) }); failed == nil {
			t.Cleanup(p.Stop)
			return address + prefix
		}
		p.Stop()
	}
	t.Fatal(failed)
	return ""
}

func freeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// ready asks the server itself.
func ready(ctx context.Context, address string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+prefix+"/-/ready", nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("it answers %s", res.Status)
	}
	return nil
}

// Text are samples in OpenMetrics' format.
type Text struct{ strings.Builder }

// Sample adds a sample of a series: name and labels as they are written. Those of
// a series come in order.
func (x *Text) Sample(series string, v float64, at time.Time) {
	fmt.Fprintf(x, "%s %v %d.%03d\n", series, v, at.Unix(), at.Nanosecond()/1e6)
}
