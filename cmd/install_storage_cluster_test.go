package cmd

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/netpol-project/netpol/internal/install"
	"github.com/netpol-project/netpol/internal/kubetest"
)

const storageClasses = `apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: fast}
provisioner: example.net/fast
allowVolumeExpansion: true
---
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: slow}
provisioner: example.net/slow
`

// The flows server's claim is made as asked, and what can't become of it later is
// refused in words before anything is changed.
func TestClusterInstallStorage(t *testing.T) {
	s := newSite(t, kubetest.Options{})
	claims := gvr("", "v1", "persistentvolumeclaims")
	refused := func(args []string, says ...string) {
		t.Helper()
		code, out, errs := s.netpol(t, append([]string{"install"}, args...)...)
		if code != 2 || out != "" {
			t.Errorf("%v: exit code %d, %q", args, code, out)
		}
		contains(t, errs, says...)
	}
	claim := func() (class, size string) {
		t.Helper()
		u := s.get(t, claims, install.Namespace, install.ClaimName)
		if u == nil {
			return "", ""
		}
		class, _, _ = unstructured.NestedString(u.Object, "spec", "storageClassName")
		size, _, _ = unstructured.NestedString(u.Object, "spec", "resources", "requests", "storage")
		return class, size
	}

	// bind stands in for the controller that gives the claim its volume.
	bind := func() {
		t.Helper()
		u := s.get(t, claims, install.Namespace, install.ClaimName)
		if err := unstructured.SetNestedField(u.Object, "pv-1", "spec", "volumeName"); err != nil {
			t.Fatal(err)
		}
		u, err := s.client.Resource(claims).Namespace(install.Namespace).Update(t.Context(), u, metav1.UpdateOptions{})
		if err == nil {
			u.Object["status"] = map[string]any{"phase": "Bound", "accessModes": []any{"ReadWriteOnce"}, "capacity": map[string]any{"storage": "8Gi"}}
			_, err = s.client.Resource(claims).Namespace(install.Namespace).UpdateStatus(t.Context(), u, metav1.UpdateOptions{})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	refused([]string{"--storage", "8Gi"}, "no default storage class", "there are no storage classes")
	s.plane.Apply(t, storageClasses)
	refused([]string{"--storage", "8Gi"}, "no default storage class", "there are: fast, slow")
	refused([]string{"--storage", "8Gi", "--storage-class", "quick"}, `no storage class "quick"`, "try: --storage-class fast")
	if have := s.ours(t); len(have) > 0 {
		t.Fatalf("something was made: %v", have)
	}

	out, _ := s.must(t, "install", "--storage", "8Gi", "--storage-class", "slow")
	contains(t, out, "persistentvolumeclaim/netpol-flows created")
	refused([]string{"--storage", "8Gi", "--storage-class", "fast"}, `has storage class "slow"`, `can't be changed to "fast"`, "delete deploy/netpol-flows pvc/netpol-flows")
	refused([]string{"--storage", "4Gi"}, "has 8Gi", "can't become smaller (4Gi)")
	refused([]string{"--storage", "9Gi"}, "of 8Gi has no volume yet")
	bind()
	refused([]string{"--storage", "9Gi"}, "has 8Gi", `class "slow" can't make it larger (9Gi)`)
	slow := s.get(t, gvr("storage.k8s.io", "v1", "storageclasses"), "", "slow")
	slow.Object["allowVolumeExpansion"] = true
	if _, err := s.client.Resource(gvr("storage.k8s.io", "v1", "storageclasses")).Update(t.Context(), slow, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	s.must(t, "install", "--storage", "9Gi", "--storage-class", "slow")
	if class, size := claim(); class != "slow" || size != "9Gi" {
		t.Errorf("larger: class %q, size %q", class, size)
	}
	out, _ = s.must(t, "install", "--storage", "9Gi") // the class is as it was
	contains(t, out, "persistentvolumeclaim/netpol-flows unchanged")
	if class, size := claim(); class != "slow" || size != "9Gi" {
		t.Errorf("class %q, size %q", class, size)
	}

	out, errs := s.must(t, "install")
	contains(t, errs, "note: the claim netpol-system/netpol-flows", "stays")
	if class, _ := claim(); class != "slow" || strings.Contains(out, "persistentvolumeclaim/netpol-flows deleted") {
		t.Errorf("class %q\n%s", class, out)
	}
}
