package figures

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// number is an environment variable's value.
func number(tb testing.TB, name string, otherwise int) int {
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		tb.Fatalf("%s=%s: expected a number", name, text)
	}
	return n
}

// build builds netpol.
func build(tb testing.TB, dir string) string {
	bin := filepath.Join(dir, "netpol")
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", bin, "github.com/netpol-project/netpol")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		tb.Fatalf("%v\n%s", err, out)
	}
	return bin
}

// policies writes the policies to judge by.
func policies(tb testing.TB, dir string) string {
	dir = filepath.Join(dir, "policies")
	text := manifests
	for i := range namespaces {
		text += namespacePolicy("team-" + string([]byte{byte('0' + i/10), byte('0' + i%10)}))
	}
	if err := errors.Join(os.MkdirAll(dir, 0o700), os.WriteFile(filepath.Join(dir, "policies.yaml"), []byte(text), 0o600)); err != nil {
		tb.Fatal(err)
	}
	return dir
}

// BenchmarkFile is the command line over a file of flows, whole processes:
// report, recommend and fix. NETPOL_BENCH_RECORDS and NETPOL_BENCH_FLOWS are how
// many records of how many different flows the file has; NETPOL_BENCH_DIR keeps
// the files there, and uses those that are.
func BenchmarkFile(b *testing.B) {
	records, flows := number(b, "NETPOL_BENCH_RECORDS", 200_000), number(b, "NETPOL_BENCH_FLOWS", 100_000)
	tmp := b.TempDir()
	dir := os.Getenv("NETPOL_BENCH_DIR")
	if dir == "" {
		dir = tmp
	}
	bin, by := build(b, tmp), policies(b, tmp)
	for _, name := range []string{"recording.jsonl", "recording.jsonl.zst", "calico.log", "hubble.jsonl"} {
		path := filepath.Join(dir, name)
		for _, args := range []string{"report", "recommend -A", "fix"} {
			command, _, _ := strings.Cut(args, " ")
			b.Run(name+"/"+command, func(b *testing.B) {
				info, err := os.Stat(path)
				if err != nil {
					if err := newWorld(flows).write(path, records); err != nil {
						b.Fatal(err)
					}
					if info, err = os.Stat(path); err != nil {
						b.Fatal(err)
					}
					b.ResetTimer()
				}
				run(b, exec.Command(bin, append(strings.Fields(args), "-o", "json", "--flows", path, "-f", by)...), records)
				b.ReportMetric(float64(info.Size())/float64(records), "B/record")
			})
		}
	}
}

// run runs a command, and reports what it took.
func run(b *testing.B, command *exec.Cmd, records int) {
	var user, peak float64
	for b.Loop() {
		cmd := *command
		var fault bytes.Buffer
		cmd.Stderr = &fault
		err := cmd.Run()
		if code := cmd.ProcessState.ExitCode(); err != nil && code != 1 {
			b.Fatalf("%v\n%s", err, fault.String())
		}
		usage := cmd.ProcessState.SysUsage().(*syscall.Rusage)
		user += cmd.ProcessState.UserTime().Seconds() + cmd.ProcessState.SystemTime().Seconds()
		peak = max(peak, float64(usage.Maxrss)/1024)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(records), "ns/record")
	b.ReportMetric(user/float64(b.N), "cpu-s/op")
	b.ReportMetric(peak, "peak-MiB")
}
