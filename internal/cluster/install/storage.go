package install

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/netpol-project/netpol/internal/cluster"
	manifest "github.com/netpol-project/netpol/internal/install"
)

// Storage looks whether the flows server's claim can become what is asked for, and
// refuses what the API server would. An empty class becomes that of the claim that
// is there. unused says that there is a claim and none is asked for: it stays.
func (c *Client) Storage(ctx context.Context, want *manifest.Storage) (unused bool, err error) {
	var claim corev1.PersistentVolumeClaim
	there, err := c.typed(ctx, claims, manifest.Namespace, manifest.ClaimName, &claim)
	switch {
	case err != nil:
		return false, c.fail("get persistentvolumeclaim "+manifest.ClaimName, err)
	case want.Size == "":
		return there, nil
	case !there:
		return false, c.classServed(ctx, want.Class)
	}
	where := []string{"PersistentVolumeClaim " + manifest.Namespace + "/" + manifest.ClaimName}
	// A claim that a pod uses goes when the pod does.
	afresh := c.kubectl("-n " + manifest.Namespace + " delete deploy/" + manifest.FlowsName + " pvc/" + manifest.ClaimName)
	if claim.DeletionTimestamp != nil {
		return false, &cluster.Failure{What: "the flows server's claim is being deleted, which takes until no pod uses it", Where: where, Try: afresh + ", then the same again"}
	}
	have := ""
	if claim.Spec.StorageClassName != nil {
		have = *claim.Spec.StorageClassName
	}
	if want.Class != "" && want.Class != have {
		return false, &cluster.Failure{
			What:  fmt.Sprintf("the flows server's claim has storage class %q, and the class of a claim can't be changed to %q", have, want.Class),
			Where: where, Try: fmt.Sprintf("--storage-class %s; or, if the flows in it may go, first %s", have, afresh),
		}
	}
	want.Class = have
	return false, c.resized(ctx, want, &claim)
}

// resized refuses a size that a claim can't get.
func (c *Client) resized(ctx context.Context, want *manifest.Storage, claim *corev1.PersistentVolumeClaim) error {
	now := claim.Spec.Resources.Requests[corev1.ResourceStorage]
	have := now.String()
	f := &cluster.Failure{
		Where: []string{"PersistentVolumeClaim " + manifest.Namespace + "/" + manifest.ClaimName},
		Try:   "--storage " + have,
	}
	switch {
	case want.Bytes() == now.Value():
		want.Size = have // as it is written there
		return nil
	case want.Bytes() < now.Value():
		f.What = fmt.Sprintf("the flows server's claim has %s, and a claim can't become smaller (%s)", have, want.Size)
		return f
	case claim.Status.Phase != corev1.ClaimBound:
		f.What = fmt.Sprintf("the flows server's claim of %s has no volume yet, and can't become larger before (%s)", have, want.Size)
		return f
	}
	class, err := c.get(ctx, storageClasses, "", want.Class)
	if err != nil {
		return err
	}
	if class != nil {
		if can, _, _ := unstructured.NestedBool(class.Object, "allowVolumeExpansion"); can {
			return nil
		}
	}
	f.What = fmt.Sprintf("the flows server's claim has %s, and its storage class %q can't make it larger (%s)", have, want.Class, want.Size)
	return f
}

// classServed refuses a claim that nothing would ever give a volume to.
func (c *Client) classServed(ctx context.Context, name string) error {
	served := map[string]bool{}
	hasDefault := false
	err := c.each(ctx, storageClasses, metav1.ListOptions{}, func(u *unstructured.Unstructured) {
		served[u.GetName()] = true
		hasDefault = hasDefault || u.GetAnnotations()["storageclass.kubernetes.io/is-default-class"] == "true"
	})
	if err != nil {
		return err
	}
	if served[name] || name == "" && hasDefault {
		return nil
	}
	classes := slices.Sorted(maps.Keys(served))
	// Volumes that somebody has made by hand bear a class that need not exist.
	err = c.each(ctx, volumes, metav1.ListOptions{}, func(u *unstructured.Unstructured) {
		class, _, _ := unstructured.NestedString(u.Object, "spec", "storageClassName")
		served[class] = true
	})
	if err != nil || served[name] {
		return err
	}
	f := &cluster.Failure{What: fmt.Sprintf("this cluster has no storage class %q, so the flows server would never get its volume", name)}
	if name == "" {
		f.What = "this cluster has no default storage class, so the flows server would never get its volume"
	}
	if len(classes) == 0 {
		f.Where, f.Try = []string{"there are no storage classes"}, "the same without --storage: agents keep flows on their nodes"
		return f
	}
	f.Where = []string{"there are: " + strings.Join(classes, ", ")}
	f.Try = "--storage-class " + classes[0]
	return f
}
