package cmd

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/spf13/viper"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/internal/cluster/kube"
	"github.com/netpol-project/netpol/internal/install/admission"
	"github.com/netpol-project/netpol/internal/install/crd"
	"github.com/netpol-project/netpol/internal/kubetest"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/rights"
)

// asUser runs a command of netpol auth on a cluster, as a user of it.
func asUser(config *rest.Config, args ...string) (stdout string, err error) {
	var out, errs bytes.Buffer
	f := cli.New(&cli.Streams{Out: &out, Err: &errs}, viper.New())
	f.Cluster = func() (*kube.Conn, error) { return &kube.Conn{Config: config, Namespace: "default"}, nil }
	cmd := NewCmdAuth(f)
	f.Config.Set("namespace", []string{"vote"})
	cmd.SetArgs(args)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	err = cmd.ExecuteContext(context.Background())
	return out.String(), err
}

// The answer is no, what is printed is applied by an administrator, and then
// the answer is yes and the API server takes what was asked about.
func TestClusterAuthCanI(t *testing.T) {
	plane := kubetest.New(t, kubetest.Options{})
	var manifests []string
	for _, u := range append(crd.CRDs(), admission.Objects()...) {
		b, err := yaml.Marshal(u.Object)
		if err != nil {
			t.Fatal(err)
		}
		manifests = append(manifests, string(b))
	}
	plane.Apply(t, append(manifests, "apiVersion: v1\nkind: Namespace\nmetadata: {name: vote}\n",
		"apiVersion: projectcalico.org/v3\nkind: Tier\nmetadata: {name: platform}\n")...)
	mia := plane.User(t, "mia")

	out, err := asUser(mia, "can-i", "stage", "networkpolicies", "--tier", "platform")
	if !errors.Is(err, cli.ErrNo) || cli.Code(err) != cli.ExitNo {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, part := range []string{"# no: mia has no right to", `#   create tier.stagednetworkpolicies "platform.*" in namespace vote`, "kind: ClusterRoleBinding", "kind: RoleBinding"} {
		if !strings.Contains(out, part) {
			t.Errorf("%q is not in\n%s", part, out)
		}
	}
	plane.Apply(t, out)
	kubetest.Eventually(t, "the role is in force", func() bool {
		out, err = asUser(mia, "can-i", "stage", "networkpolicies", "--tier", "platform")
		return err == nil
	})
	if out != "yes\n" {
		t.Errorf("%q", out)
	}
	staged := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "projectcalico.org/v3", "kind": "StagedNetworkPolicy",
		"metadata": map[string]any{"name": "db", "namespace": "vote"}, "spec": map[string]any{"tier": "platform"},
	}}
	client, err := dynamic.NewForConfig(mia)
	if err != nil {
		t.Fatal(err)
	}
	policies := client.Resource(schema.GroupVersionResource{Group: crd.Group, Version: crd.Version, Resource: "stagednetworkpolicies"}).Namespace("vote")
	for _, order := range []int64{1, 2} { // made, then changed
		staged.Object["spec"].(map[string]any)["order"] = order
		if _, err := policies.Apply(context.Background(), "db", staged, metav1.ApplyOptions{FieldManager: "netpol"}); err != nil {
			t.Errorf("what can-i says yes to is refused: %v", err)
		}
	}
	// What was granted is enough, and is no more than was asked for.
	for args, want := range map[string]bool{
		"stage np --tier platform": true, "create snp --tier platform": true, "update snp/db --tier platform": true,
		"stage np": false, "stage np --tier security": false, "enforce np --tier platform": false, "delete snp --tier platform": false, "stage gnp --tier platform": false,
	} {
		out, err := asUser(mia, append([]string{"can-i"}, append(strings.Fields(args), "-o", "json")...)...)
		var report struct {
			Kind, User string
			Allowed    bool
			Rights     []struct {
				Verb, Resource string
				Allowed        bool
			}
			Grant []map[string]any
		}
		if jsonErr := json.Unmarshal([]byte(out), &report); jsonErr != nil {
			t.Fatalf("%s: %v %v\n%s", args, err, jsonErr, out)
		}
		if report.Kind != "AccessReview" || report.User != "mia" || report.Allowed != want || (err == nil) != want || len(report.Rights) == 0 || (len(report.Grant) == 0) != want {
			t.Errorf("%s: %v\n%s", args, err, out)
		}
	}
	// What an action goes on without makes no "no": it is told, and granted.
	plane.Apply(t, "apiVersion: v1\nkind: Namespace\nmetadata: {name: netpol-system}\n", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: netpol-history, namespace: netpol-system}\n")
	needed := rights.Action{Verb: "rollback", Kind: policy.KindNetworkPolicy, Namespace: "vote", Tier: "platform"}
	needs, _ := needed.Needs()
	for _, u := range rights.Grant(needed, rights.User{Name: "mia"}, rights.Rights(needs)) {
		text, _ := yaml.Marshal(u)
		plane.Apply(t, string(text))
	}
	const history = `{"verb":"get","group":"","resource":"configmaps","namespace":"netpol-system","name":"netpol-history"`
	kubetest.Eventually(t, "the role is in force", func() bool {
		out, err = asUser(mia, "can-i", "rollback", "networkpolicies", "--tier", "platform", "-o", "json")
		return err == nil
	})
	if text := strings.Join(strings.Fields(out), ""); !strings.Contains(text, history+`,"allowed":false,"optional":true,"without":"netpolhistory`) || !strings.Contains(text, `"grant":`) {
		t.Errorf("%s", out)
	}
	out, err = asUser(mia, "can-i", "enforce", "networkpolicies", "--tier", "platform")
	if !errors.Is(err, cli.ErrNo) || !strings.Contains(out, "netpol-history") {
		t.Errorf("%v\n%s", err, out)
	}
	plane.Apply(t, out)
	kubetest.Eventually(t, "the role is in force", func() bool {
		out, err = asUser(mia, "can-i", "enforce", "networkpolicies", "--tier", "platform", "-o", "json")
		return err == nil && !strings.Contains(out, "\"grant\"")
	})
	maps := client.Resource(schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}).Namespace("netpol-system")
	archive := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "netpol-history"}, "data": map[string]any{"a": "b"}}}
	if _, err := maps.Apply(context.Background(), "netpol-history", archive, metav1.ApplyOptions{FieldManager: "netpol"}); err != nil {
		t.Errorf("what can-i says yes to is refused: %v", err)
	}
	// An administrator may do everything.
	if out, err := asUser(plane.Admin(), "can-i", "enforce", "globalnetworkpolicies", "--tier", "security"); out != "yes\n" || err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	// Who is nobody to the server can't ask.
	nobody := rest.CopyConfig(mia)
	nobody.CertData, nobody.KeyData, nobody.BearerToken = nil, nil, "wrong"
	if out, err := asUser(nobody, "can-i", "get", "tiers"); cli.Code(err) != cli.ExitFailed || out != "" {
		t.Errorf("%v\n%s", err, out)
	}
}
