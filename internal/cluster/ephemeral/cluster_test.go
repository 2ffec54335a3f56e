package ephemeral

import (
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"github.com/netpol-project/netpol/internal/cluster/kube"
	"github.com/netpol-project/netpol/internal/kubetest"
)

var plane kubetest.Shared

func TestMain(m *testing.M) { os.Exit(plane.Around(m).Run()) }

const image = "ghcr.io/netpol-project/netpol:test"

func site(t *testing.T, config *rest.Config) *Site {
	t.Helper()
	s, err := Open(&kube.Conn{Config: config}, image)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// restrictedPod makes a pod in a namespace that admits no others.
func restrictedPod(t *testing.T, c *kubetest.ControlPlane) (id string) {
	ns := c.Namespace(t)
	c.Apply(t, `
apiVersion: v1
kind: Namespace
metadata: {name: `+ns+`, labels: {pod-security.kubernetes.io/enforce: restricted}}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: default, namespace: `+ns+`}
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: `+ns+`}
spec:
  automountServiceAccountToken: false
  securityContext: {runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}
  containers:
  - name: main
    image: example
    securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
`)
	return ns + "/web"
}

// report says, as a kubelet would, how a pod's container fares.
func report(t *testing.T, s *Site, id, name, state string) {
	t.Helper()
	namespace, pod, _ := strings.Cut(id, "/")
	var at map[string]any
	if err := json.Unmarshal([]byte(state), &at); err != nil {
		t.Fatal(err)
	}
	patch, err := json.Marshal(map[string]any{"status": map[string]any{"ephemeralContainerStatuses": []any{
		map[string]any{"name": name, "state": at, "image": image, "imageID": "", "ready": false, "restartCount": 0},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.api.Resource(podsResource).Namespace(namespace).Patch(t.Context(), pod, types.MergePatchType, patch, metav1.PatchOptions{}, "status"); err != nil {
		t.Fatal(err)
	}
}

// One container a pod is enough, and PodSecurity restricted admits it.
func TestClusterOneContainerAPod(t *testing.T) {
	c := plane.Get(t)
	s, id := site(t, c.Admin()), restrictedPod(t, c)
	if missing, err := s.Missing(t.Context(), []string{id}); err != nil || !slices.Equal(missing, []string{id}) {
		t.Fatalf("%v, %v", missing, err)
	}
	if err := s.add(t.Context(), id, containerName); err != nil {
		t.Fatal(err)
	}
	if missing, err := s.Missing(t.Context(), []string{id}); err != nil || len(missing) > 0 {
		t.Errorf("one that starts is there: %v, %v", missing, err)
	}
	report(t, s, id, containerName, `{"running": {}}`)
	for range 2 {
		if name, err := s.ensure(t.Context(), id); err != nil || name != containerName {
			t.Errorf("%q, %v", name, err)
		}
	}
	pod, err := s.get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if _, next := find(pod, image); next != containerName+"-2" {
		t.Errorf("the next is %s", next)
	}
	// It can't be started again: the next one gets a number.
	report(t, s, id, containerName, `{"terminated": {"exitCode": 1}}`)
	if missing, err := s.Missing(t.Context(), []string{id}); err != nil || len(missing) != 1 {
		t.Errorf("one that ended is none: %v, %v", missing, err)
	}
	// Another image's may speak another language.
	other, err := Open(s.conn, image+"-2")
	if err != nil {
		t.Fatal(err)
	}
	if missing, err := other.Missing(t.Context(), []string{id}); err != nil || len(missing) != 1 {
		t.Errorf("another image's is none: %v, %v", missing, err)
	}
}

// A missing right is named exactly.
func TestClusterNamesTheMissingRight(t *testing.T) {
	c := plane.Get(t)
	id := restrictedPod(t, c)
	namespace, _, _ := strings.Cut(id, "/")
	s := site(t, c.User(t, "eva"))
	var denied *DeniedError
	_, err := s.Missing(t.Context(), []string{id})
	if !errors.As(err, &denied) || err.Error() != "you may not get pods in namespace "+namespace {
		t.Errorf("got %v", err)
	}
	c.Apply(t, `
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader, namespace: `+namespace+`}
rules: [{apiGroups: [""], resources: [pods], verbs: [get]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: reader, namespace: `+namespace+`}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}
subjects: [{kind: User, name: eva, apiGroup: rbac.authorization.k8s.io}]
`)
	kubetest.Eventually(t, "the role is in force", func() bool {
		_, err := s.Missing(t.Context(), []string{id})
		return err == nil
	})
	if _, err = s.ensure(t.Context(), id); !errors.As(err, &denied) || err.Error() != "you may not patch pods/ephemeralcontainers in namespace "+namespace {
		t.Errorf("got %v", err)
	}
	if AgentImage(t.Context(), s.conn) != "" {
		t.Error("an image where nobody may look")
	}
}

func TestClusterPodThatIsGone(t *testing.T) {
	c := plane.Get(t)
	_, err := site(t, c.Admin()).ensure(t.Context(), "default/gone")
	if err == nil || !strings.Contains(err.Error(), "pod default/gone is gone") {
		t.Errorf("got %v", err)
	}
}
