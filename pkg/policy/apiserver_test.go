package policy_test

import (
	"context"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/yaml"

	"github.com/netpol-project/netpol/internal/install/admission"
	"github.com/netpol-project/netpol/internal/install/crd"
	"github.com/netpol-project/netpol/internal/kubetest"
	"github.com/netpol-project/netpol/pkg/policy"
)

var (
	apiServer kubetest.Shared
	define    sync.Once
	warned    warnings
)

func TestMain(m *testing.M) { os.Exit(apiServer.Around(m).Run()) }

// warnings are those that the API server sent.
type warnings struct{ texts []string }

// HandleWarningHeaderWithContext keeps a warning.
func (w *warnings) HandleWarningHeaderWithContext(_ context.Context, _ int, _, text string) {
	w.texts = append(w.texts, text)
}

// served is an API server with the definitions and admission policies.
func served(t *testing.T) *dynamic.DynamicClient {
	plane := apiServer.Get(t)
	config := plane.Admin()
	config.WarningHandlerWithContext = &warned
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	define.Do(func() { defineAll(t, plane, client) })
	return client
}

func defineAll(t *testing.T, plane *kubetest.ControlPlane, client *dynamic.DynamicClient) {
	var manifests []string
	for _, u := range append(crd.CRDs(), admission.Objects()...) {
		b, err := yaml.Marshal(u.Object)
		if err != nil {
			t.Fatal(err)
		}
		manifests = append(manifests, string(b))
	}
	manifests = append(manifests, "apiVersion: v1\nkind: Namespace\nmetadata: {name: vote}\n")
	plane.Apply(t, manifests...)
	// Admission policies are in force a moment after they are written.
	for name, probe := range map[string]string{
		"netpol-values":            v3("NetworkPolicy", "ingress: [{action: Deny, source: {nets: [x]}}]"),
		"netpol-staged-kubernetes": staged(kubernetes("ingress: [{from: [{}]}]")),
	} {
		kubetest.Eventually(t, name+" is in force", func() bool {
			_, err := try(t, client, probe)
			return err != nil && strings.Contains(err.Error(), name)
		})
	}
}

// staged makes the staged form of a Kubernetes NetworkPolicy's document.
func staged(doc string) string {
	return strings.Replace(doc, "networking.k8s.io/v1\nkind: NetworkPolicy", "projectcalico.org/v3\nkind: StagedKubernetesNetworkPolicy", 1)
}

// try has the API server judge a document without storing it.
func try(t *testing.T, client *dynamic.DynamicClient, doc string) (*unstructured.Unstructured, error) {
	t.Helper()
	object, err := policy.ReadObject([]byte(doc))
	if err != nil {
		t.Fatalf("%v in:\n%s", err, doc)
	}
	u := &unstructured.Unstructured{Object: object}
	resource := schema.GroupVersionResource{Group: crd.Group, Version: crd.Version}
	for i, definition := range crd.CRDs() {
		if kind, _, _ := unstructured.NestedString(definition.Object, "spec", "names", "kind"); kind == u.GetKind() {
			resource.Resource = crd.Names()[i]
		}
	}
	options := metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}, FieldValidation: metav1.FieldValidationStrict}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if namespacedKinds[u.GetKind()] {
		u.SetNamespace("vote") // which is there
		return client.Resource(resource).Namespace(u.GetNamespace()).Create(ctx, u, options)
	}
	return client.Resource(resource).Create(ctx, u, options)
}

var namespacedKinds = map[string]bool{
	"NetworkPolicy": true, "StagedNetworkPolicy": true, "StagedKubernetesNetworkPolicy": true, "NetworkSet": true,
}

// coverage is what docs/CRDS.md says of each code: same, own or no.
func coverage(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile("../../docs/CRDS.md")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z-]+)` \\| (same|own|no) \\|").FindAllStringSubmatch(string(text), -1) {
		out[m[1]] = m[2]
	}
	return out
}

// The table in docs/CRDS.md has every code that there is, and no other.
func TestEveryCodeIsInTheTableOfCRDs(t *testing.T) {
	source, err := os.ReadFile("codes.go")
	if err != nil {
		t.Fatal(err)
	}
	listed := coverage(t)
	for _, m := range regexp.MustCompile(`Code\w+ += "([a-z-]+)"`).FindAllStringSubmatch(string(source), -1) {
		if listed[m[1]] == "" {
			t.Errorf("docs/CRDS.md does not say whether the API server refuses %s", m[1])
		}
		delete(listed, m[1])
	}
	for code := range listed {
		t.Errorf("docs/CRDS.md has %s, which is no code", code)
	}
}

// means is what the table promises for one fault.
func means(table map[string]string, f policy.Fault) string {
	metadata := strings.HasPrefix(f.Field, "metadata")
	switch {
	case f.Code == policy.CodeOutOfBounds && strings.Contains(f.Reason, "that a name may have") && !metadata:
		return "same"
	case f.Code == policy.CodeBadProtocol && f.Value == "": // a mapping or a list
		return "own"
	case f.Code == policy.CodeNotHere && metadata:
		return "no"
	case f.Code == policy.CodeBadSelector && strings.Contains(f.Reason, "1024"), metadata && table[f.Code] == "same":
		return "own"
	}
	return table[f.Code]
}
