package cmd

import (
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/viper"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/internal/install"
)

// Every argument of the pods that are installed is one that the command takes.
func TestInstalledArgumentsAreTaken(t *testing.T) {
	v, err := install.Defaults(install.Release)
	if err != nil {
		t.Fatal(err)
	}
	v.Agent.CNI.Enabled = true
	objects, err := install.Objects(v)
	if err != nil {
		t.Fatal(err)
	}
	cleanup, err := install.Cleanup(v, nil)
	if err != nil {
		t.Fatal(err)
	}
	f := cli.New(&cli.Streams{}, viper.New())
	commands := map[string]func() *cobra.Command{
		"agent":        func() *cobra.Command { return NewCmdAgent(f, nil) },
		"flows-server": func() *cobra.Command { return NewCmdFlowsServer(f, nil) },
		"cni install":  func() *cobra.Command { return NewCmdCNIInstall(f, nil) },
	}
	seen := 0
	for _, u := range append(objects, cleanup) {
		for _, list := range []string{"initContainers", "containers"} {
			containers, _, _ := unstructured.NestedSlice(u.Object, "spec", "template", "spec", list)
			for _, c := range containers {
				args, _, err := unstructured.NestedStringSlice(c.(map[string]any), "args")
				if len(args) > 1 && args[0] == "cni" {
					args = append([]string{strings.Join(args[:2], " ")}, args[2:]...)
				}
				if err != nil || len(args) == 0 || commands[args[0]] == nil {
					t.Fatalf("%s: %v: %v", u.GetName(), args, err)
				}
				seen++
				if err := commands[args[0]]().ParseFlags(args[1:]); err != nil {
					t.Errorf("%s: netpol %s: %v", u.GetName(), strings.Join(args, " "), err)
				}
			}
		}
	}
	if seen != 5 {
		t.Errorf("%d containers, want the agent's two, the flows server's and two of the cleanup", seen)
	}
}
