package cli

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/flow/recording"
)

const calicoLine = `{"start_time":1772366400,"end_time":1772366700,"source_name":"-","source_name_aggr":"web-*","source_namespace":"shop","source_type":"wep","dest_name":"-","dest_name_aggr":"db-*","dest_namespace":"shop","dest_port":5432,"dest_type":"wep","proto":"tcp","action":"allow","reporter":"dst","policies":{"enforced_policies":["0|__PROFILE__|__PROFILE__.kns.shop|allow|0"]},"num_flows":1,"num_flows_started":1,"num_flows_completed":1}` + "\n"

func pack(t *testing.T, how string, text []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	switch how {
	case "zst":
		w, err := zstd.NewWriter(&out)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(text); err != nil || w.Close() != nil {
			t.Fatal("zstd", err)
		}
	case "gz":
		w := gzip.NewWriter(&out)
		if _, err := w.Write(text); err != nil || w.Close() != nil {
			t.Fatal("gzip", err)
		}
	}
	return out.Bytes()
}

// Whatever a packed file is of, and however little is left of it: it is read as
// far as it goes, says so, and nobody knows how much is missing.
func TestAPackedFileThatIsCutOffIsReadAsFarAsItGoes(t *testing.T) {
	vote, err := os.ReadFile("../../examples/vote/flows.jsonl.zst")
	if err != nil {
		t.Fatal(err)
	}
	dec, err := zstd.NewReader(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer dec.Close()
	text, err := dec.DecodeAll(vote, nil)
	if err != nil {
		t.Fatal(err)
	}
	var logs strings.Builder
	for i := range 2000 { // of which no packing makes one block
		logs.WriteString(strings.Replace(calicoLine, `:5432,`, fmt.Sprintf(":%d,", 1+i*7919%60000), 1))
	}
	for name, whole := range map[string][]byte{
		"a small recording, zstd": vote,
		"a small recording, gzip": pack(t, "gz", text),
		"Calico's logs, zstd":     pack(t, "zst", []byte(logs.String())),
		"Calico's logs, gzip":     pack(t, "gz", []byte(logs.String())),
	} {
		most := 0
		for at := 1; at < len(whole)-8; at += 1 + at/7 { // the last bytes are a checksum
			path := filepath.Join(t.TempDir(), "cut")
			if err := os.WriteFile(path, whole[:at], 0o600); err != nil {
				t.Fatal(err)
			}
			note := ""
			source, err := FlowsFrom{From: path, Note: func(s string) { note = s }}.Open(nil)
			if err != nil {
				t.Fatalf("%s, %d bytes: %v", name, at, err)
			}
			flows, coverage, err := source.List(context.Background(), flow.Filter{})
			if r, ok := source.(*recording.Source); ok && err == nil {
				note = r.Note()
			}
			if err != nil || !strings.Contains(note, "was cut off") || !coverage.LostUnknown {
				t.Fatalf("%s, %d bytes: %d flows, %v, %q, %+v", name, at, len(flows), err, note, coverage)
			}
			most = max(most, len(flows))
		}
		if strings.HasPrefix(name, "Calico") && most == 0 {
			t.Errorf("%s: nothing was read of any part", name)
		}
	}
}

// What is whole is not cut off, and what is no flows is an error.
func TestOnlyWhatIsCutOffIsCutOff(t *testing.T) {
	for name, c := range map[string]struct {
		text []byte
		err  bool
	}{
		"nothing at all":       {nil, false},
		"nothing, packed":      {pack(t, "zst", nil), false},
		"whole logs, packed":   {pack(t, "gz", []byte(calicoLine)), false},
		"no flows, packed":     {pack(t, "gz", []byte("nothing\n")), true},
		"one line that is cut": {[]byte(calicoLine[:100]), true},
	} {
		path := filepath.Join(t.TempDir(), "f")
		if err := os.WriteFile(path, c.text, 0o600); err != nil {
			t.Fatal(err)
		}
		note := ""
		source, err := FlowsFrom{From: path, Note: func(s string) { note = s }}.Open(nil)
		var coverage flow.Coverage
		if err == nil {
			_, coverage, err = source.List(context.Background(), flow.Filter{})
		}
		if (err != nil) != c.err || note != "" || coverage.LostUnknown {
			t.Errorf("%s: %v, %q, %+v", name, err, note, coverage)
		}
	}
}
