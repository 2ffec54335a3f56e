package install

import (
	"context"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/klog/v2"

	manifest "github.com/netpol-project/netpol/internal/install"
)

// Leaves is why a node's CNI plugin must go with the agent's pod that ends now:
// no pod comes after it that keeps the plugin in the same directories. It is
// empty if one does. args are the arguments that say which directories.
//
// A right that is gone means that netpol is being removed, since its rights go
// with it. Any other failure is an error: nobody knows.
func (c *Client) Leaves(ctx context.Context, node string, args ...string) (why string, err error) {
	var namespace corev1.Namespace
	if there, err := c.typed(ctx, namespaces, "", manifest.Namespace, &namespace); err != nil || !there || namespace.DeletionTimestamp != nil {
		return "namespace " + manifest.Namespace + " goes", unlessRefused(err)
	}
	var ds appsv1.DaemonSet
	if there, err := c.typed(ctx, daemonSets, manifest.Namespace, manifest.AgentName, &ds); err != nil || !there || ds.DeletionTimestamp != nil {
		return "DaemonSet " + manifest.AgentName + " goes", unlessRefused(err)
	}
	var n corev1.Node
	if there, err := c.typed(ctx, nodes, "", node, &n); err != nil || !there {
		return "Node " + node + " goes", unlessRefused(err)
	}
	return leaves(&ds, &n, args), nil
}

// unlessRefused is an error that is not about rights.
func unlessRefused(err error) error {
	if apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err) {
		return nil
	}
	return err
}

// typed reads an object, and says whether it is there.
func (c *Client) typed(ctx context.Context, r schema.GroupVersionResource, namespace, name string, into any) (bool, error) {
	u, err := c.in(r, namespace).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, into)
}

// leaves is Leaves of what is there.
func leaves(ds *appsv1.DaemonSet, n *corev1.Node, args []string) string {
	pod := ds.Spec.Template.Spec
	i := slices.IndexFunc(pod.Containers, func(c corev1.Container) bool { return c.Name == manifest.CNIContainer })
	if i < 0 {
		return "agents are without the plugin now"
	}
	for _, a := range args {
		if !slices.Contains(pod.Containers[i].Args, a) {
			return "agents use other directories now"
		}
	}
	if !labels.SelectorFromSet(pod.NodeSelector).Matches(labels.Set(n.Labels)) {
		return "agents are not for this node any more"
	}
	for i := range n.Spec.Taints {
		taint := &n.Spec.Taints[i]
		tolerated := slices.ContainsFunc(pod.Tolerations, func(t corev1.Toleration) bool {
			return t.ToleratesTaint(klog.Background(), taint, false)
		})
		if taint.Effect == corev1.TaintEffectNoExecute && !tolerated {
			return "agents do not tolerate this node's taint " + taint.Key
		}
	}
	return ""
}
