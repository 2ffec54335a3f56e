package cmd

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"sigs.k8s.io/yaml"

	"github.com/netpol-project/netpol/internal/install/crd"
	"github.com/netpol-project/netpol/internal/kubetest"
)

// plane is the API server of this package's tests.
var plane kubetest.Shared

// TestClusterScript runs what users type on a real API server. A script's
// kubeconfig is where kubectl looks for it. What other users write comes by
// "manifest FILE", and "user NAME NAMESPACE" writes NAME.kubeconfig of a user
// who may do what RBAC says. Scripts share the cluster, so each has namespaces
// and tiers of its own, and they run one after the other.
func TestClusterScript(t *testing.T) {
	p := plane.Get(t)
	for _, u := range crd.CRDs() {
		text, err := yaml.Marshal(u.Object)
		if err != nil {
			t.Fatal(err)
		}
		p.Apply(t, string(text))
	}
	files, err := filepath.Glob("testdata/cluster/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		testscript.RunT(serial{t}, testscript.Params{
			Files: []string{file}, UpdateScripts: os.Getenv("UPDATE_SCRIPTS") != "",
			Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits, "awaits": awaits,
				"manifest": func(ts *testscript.TestScript, _ bool, args []string) {
					for _, file := range args {
						p.Apply(t, ts.ReadFile(file))
					}
				},
				"user": func(ts *testscript.TestScript, _ bool, args []string) {
					copyFile(ts, p.Kubeconfig(t, p.User(t, args[0]), args[1]), ts.MkAbs(args[0]+".kubeconfig"))
				},
			},
			Setup: func(env *testscript.Env) error {
				env.Setenv("NETPOL_CONFIG", "")
				env.Setenv("XDG_CONFIG_HOME", env.WorkDir+"/config")
				env.Setenv("XDG_RUNTIME_DIR", env.WorkDir+"/run")
				env.Setenv("HOME", env.WorkDir)
				env.Setenv("KUBECONFIG", p.Kubeconfig(t, p.Admin(), ""))
				// The administrator at home in a namespace of the scripts.
				home, err := os.ReadFile(p.Kubeconfig(t, p.Admin(), "blog"))
				if err != nil {
					return err
				}
				return os.WriteFile(env.WorkDir+"/home.kubeconfig", home, 0o600)
			},
		})
	}
}

// awaits runs a command until what it prints matches: awaits REGEXP command …
func awaits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: awaits REGEXP command …")
	}
	want := regexp.MustCompile(args[0])
	for end := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		if ts.Exec(args[1], args[2:]...) == nil && want.MatchString(ts.ReadFile("stdout")) {
			return
		}
		if time.Now().After(end) {
			ts.Fatalf("waited in vain for %s", args[0])
		}
	}
}

// serial is a test whose scripts do not run at the same time.
type serial struct{ *testing.T }

func (s serial) Run(name string, f func(testscript.T)) {
	s.T.Run(name, func(t *testing.T) { f(serial{t}) })
}

func (serial) Parallel() {}

func (serial) Verbose() bool { return testing.Verbose() }

func copyFile(ts *testscript.TestScript, from, to string) {
	data, err := os.ReadFile(from)
	ts.Check(err)
	ts.Check(os.WriteFile(to, data, 0o600))
}
