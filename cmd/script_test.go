package cmd

import (
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/netpol-project/netpol/internal/netnstest"
)

func TestMain(m *testing.M) {
	testscript.Main(strange{plane.Around(m)}, map[string]func(){
		"netpol":         func() { os.Exit(Main()) },
		"kubectl-netpol": func() { os.Exit(Main()) },
		kubectlCompleter: func() { os.Exit(Main()) },
	})
}

// strange runs tests where nobody has configured netpol or kubectl, whoever's
// shell they are run from.
type strange struct{ testscript.TestingM }

func (s strange) Run() int {
	for _, v := range os.Environ() {
		name, _, _ := strings.Cut(v, "=")
		// What tests need themselves is no configuration.
		if name == "KUBECONFIG" || strings.HasPrefix(name, "NETPOL_") && !strings.HasSuffix(name, "_BIN") && !netnstest.Inside() {
			_ = os.Unsetenv(name)
		}
	}
	return s.TestingM.Run()
}

// TestScript runs what users type, as they type it: every script is a
// directory of files and a list of commands with what they must answer.
// "exits N netpol …" says which exit code is right; golden files are rewritten
// with UPDATE_SCRIPTS=1.
func TestScript(t *testing.T) {
	// Where the tests run under nohup, what they start would ignore SIGHUP; a signal
	// that is caught here is not ignored there.
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	t.Cleanup(func() { signal.Stop(hup) })
	testscript.Run(t, testscript.Params{
		Dir:           "testdata/script",
		UpdateScripts: os.Getenv("UPDATE_SCRIPTS") != "",
		Cmds:          map[string]func(*testscript.TestScript, bool, []string){"exits": exits, "prometheus": prometheus},
		Setup: func(env *testscript.Env) error {
			examples, err := filepath.Abs("../examples")
			if err != nil {
				return err
			}
			env.Setenv("EXAMPLES", examples)
			env.Setenv("NETPOL_CONFIG", "")
			env.Setenv("XDG_CONFIG_HOME", env.WorkDir+"/config")
			env.Setenv("XDG_RUNTIME_DIR", env.WorkDir+"/run")
			env.Setenv("HOME", env.WorkDir)
			return nil
		},
	})
}

// exits runs a command and checks its exit code: exits 2 netpol get x.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE command …")
	}
	err := ts.Exec(args[1], args[2:]...)
	got := "0"
	if code, ok := err.(interface{ ExitCode() int }); ok {
		got = strconv.Itoa(code.ExitCode())
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if got != args[0] {
		ts.Fatalf("exit code %s, want %s", got, args[0])
	}
}
