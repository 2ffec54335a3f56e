package cli

import (
	"bytes"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/viper"
)

func TestCommand(t *testing.T) {
	for _, tc := range []struct {
		program string
		typed   []string
		text    string
		want    string
	}{
		{"", nil, "netpol get pods", "netpol get pods"},
		{PluginName, nil, "netpol get pods", "kubectl netpol get pods"},
		{PluginName, nil, "kubectl netpol get pods", "kubectl netpol get pods"},
		{PluginName, nil, "netpol lab status, or netpol lab down to end it", "kubectl netpol lab status, or kubectl netpol lab down to end it"},
		{PluginName, nil, "mkdir -p /x/netpol d", "mkdir -p /x/netpol d"},
		{PluginName, nil, "curl https://x/netpol.yaml | netpol … -f -", "curl https://x/netpol.yaml | kubectl netpol … -f -"},
		{"", []string{"--lab", "second"}, "netpol lab status", "netpol --lab second lab status"},
		{"", []string{"--lab", "second"}, "netpol lab down --lab second", "netpol lab down --lab second"},
		{"", []string{"--lab", "second"}, "netpol probe --help", "netpol probe --help"},
		{"", []string{"--lab", "second"}, "netpol lab up -f DIR", "netpol lab up -f DIR"},
		{PluginName, []string{"--dir", "m"}, "netpol get policies", "kubectl netpol --dir m get policies"},
		{"", []string{"--dir", "m"}, "ls m", "ls m"},
		{"", []string{"--dir", "m"}, "", ""},
		{"", []string{"--dir", "a b"}, "netpol get pods", "netpol --dir 'a b' get pods"},
		{"", []string{"--dir", "m", "--flows", "f.zst"}, "netpol report db, then netpol recommend -A; netpol get pods",
			"netpol --dir m report --flows f.zst db, then netpol --dir m recommend --flows f.zst -A; netpol --dir m get pods"},
		{PluginName, []string{"--dir", "a b", "--flows", "it's"}, "netpol fix", `kubectl netpol --dir 'a b' fix --flows 'it'\''s'`},
		{"", []string{"--flows", "f.zst"}, "netpol report --flows g.zst", "netpol report --flows g.zst"},
		{"", []string{"--flows", "prometheus+https://h", "--flows-token-file", "t"}, "netpol fix", "netpol fix --flows prometheus+https://h --flows-token-file t"},
	} {
		f := New(&Streams{}, viper.New())
		f.Program = tc.program
		cmd := &cobra.Command{}
		cmd.Flags().String("dir", "", "")
		cmd.Flags().String("lab", "default", "")
		cmd.Flags().String("flows", "", "")
		cmd.Flags().String("flows-token-file", "", "")
		if err := cmd.ParseFlags(tc.typed); err != nil {
			t.Fatal(err)
		}
		f.Remember(cmd)
		if got := f.Command(tc.text); got != tc.want {
			t.Errorf("%q as %q with %v: got %q, want %q", tc.text, tc.program, tc.typed, got, tc.want)
		}
	}
}

func TestRetypeKnowsCommandsFromSentences(t *testing.T) {
	const text = "netpol takes it.\n  netpol get pods\nlet netpol --dir x get it; netpol probe"
	want := "netpol takes it.\n  kubectl netpol get pods\nlet kubectl netpol --dir x get it; kubectl netpol probe"
	if got := Retype(text, PluginName, []string{"get", "probe"}); got != want {
		t.Errorf("got %q", got)
	}
}

func TestFactoryReport(t *testing.T) {
	var out bytes.Buffer
	f := New(&Streams{Err: &out}, viper.New())
	f.Program = PluginName
	f.Report(Usage("netpol get pods", "TYPE is missing"))
	f.Report(ErrNo)
	if want := "error: TYPE is missing\n  try: kubectl netpol get pods\n"; out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
}
