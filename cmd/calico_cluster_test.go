package cmd

import (
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/netpol-project/netpol/internal/install/crd"
	"github.com/netpol-project/netpol/internal/kubetest"
)

// TestClusterCalico runs what users type on a server that names policies as
// Calico 3.31 does. "manifest FILE" writes what others have there, and "api
// NAME…" says which NetworkPolicies the API has then, in namespace vote.
func TestClusterCalico(t *testing.T) {
	p := kubetest.New(t, kubetest.Options{})
	for _, u := range crd.CRDs() {
		text, err := yaml.Marshal(u.Object)
		if err != nil {
			t.Fatal(err)
		}
		p.Apply(t, string(text))
	}
	policies := p.Dynamic(t).Resource(schema.GroupVersionResource{Group: "projectcalico.org", Version: "v3", Resource: "networkpolicies"}).Namespace("vote")
	testscript.RunT(serial{t}, testscript.Params{
		Dir: "testdata/calico",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits,
			"manifest": func(ts *testscript.TestScript, _ bool, args []string) {
				for _, file := range args {
					p.Apply(t, ts.ReadFile(file))
				}
			},
			"api": func(ts *testscript.TestScript, _ bool, args []string) {
				list, err := policies.List(t.Context(), metav1.ListOptions{})
				ts.Check(err)
				var got []string
				for i := range list.Items {
					tier, _, _ := unstructured.NestedString(list.Items[i].Object, "spec", "tier")
					got = append(got, tier+":"+list.Items[i].GetName())
				}
				if strings.Join(got, " ") != strings.Join(args, " ") {
					ts.Fatalf("the API has %v", got)
				}
			},
		},
		Setup: func(env *testscript.Env) error {
			env.Setenv("NETPOL_CONFIG", "")
			env.Setenv("XDG_CONFIG_HOME", env.WorkDir+"/config")
			env.Setenv("XDG_RUNTIME_DIR", env.WorkDir+"/run")
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("KUBECONFIG", p.Kubeconfig(t, p.Admin(), "vote"))
			return nil
		},
	})
}
