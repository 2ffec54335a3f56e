package kubetest

import (
	"context"
	"slices"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
)

// Namespace makes a namespace with a name of its own, which is gone after the
// test with everything in it.
func (c *ControlPlane) Namespace(t testing.TB) string {
	t.Helper()
	object := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Namespace"}}
	object.SetGenerateName("test-")
	made, err := c.Dynamic(t).Resource(namespaces()).Create(context.Background(), object, metav1.CreateOptions{})
	if err != nil {
		t.Fatalf("namespace: %v", err)
	}
	c.DeleteAfter(t, made.GetName())
	return made.GetName()
}

// DeleteAfter has namespaces, which need not be there yet, deleted after the
// test with everything in them.
func (c *ControlPlane) DeleteAfter(t testing.TB, names ...string) {
	t.Helper()
	t.Cleanup(func() {
		for _, name := range names {
			c.deleteNamespace(t, name)
		}
	})
}

func namespaces() schema.GroupVersionResource {
	return schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}
}

// deleteNamespace does what the namespace controller would do, which may not
// be running.
func (c *ControlPlane) deleteNamespace(t testing.TB, name string) {
	t.Helper()
	ctx := context.Background()
	client := c.quiet(t)
	for _, resource := range c.resources(t, true) {
		err := client.Resource(resource).Namespace(name).DeleteCollection(ctx, now(), metav1.ListOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			t.Errorf("clean up %s in %s: %v", resource.Resource, name, err)
		}
	}
	err := client.Resource(namespaces()).Delete(ctx, name, now())
	if apierrors.IsNotFound(err) || c.opts.Controllers {
		return
	}
	if err != nil {
		t.Errorf("clean up namespace %s: %v", name, err)
		return
	}
	object, err := client.Resource(namespaces()).Get(ctx, name, metav1.GetOptions{})
	if err == nil {
		unstructured.RemoveNestedField(object.Object, "spec", "finalizers")
		_, err = client.Resource(namespaces()).Update(ctx, object, metav1.UpdateOptions{}, "finalize")
	}
	if err != nil && !apierrors.IsNotFound(err) {
		t.Errorf("clean up namespace %s: %v", name, err)
	}
}

// CleanAfter has every object of API groups deleted after the test, in all
// namespaces and outside; a group is as in "projectcalico.org". Only for tests
// that do not run in parallel with others that use the groups.
func (c *ControlPlane) CleanAfter(t testing.TB, groups ...string) {
	t.Helper()
	t.Cleanup(func() {
		for _, namespaced := range []bool{true, false} {
			for _, resource := range c.resources(t, namespaced) {
				if slices.Contains(groups, resource.Group) {
					c.deleteAll(t, resource)
				}
			}
		}
	})
}

// deleteAll deletes one by one: there is no request for all namespaces.
func (c *ControlPlane) deleteAll(t testing.TB, resource schema.GroupVersionResource) {
	t.Helper()
	ctx := context.Background()
	client := c.quiet(t).Resource(resource)
	list, err := client.List(ctx, metav1.ListOptions{})
	if err != nil {
		t.Errorf("clean up %s: %v", resource.Resource, err)
		return
	}
	for _, object := range list.Items {
		err := client.Namespace(object.GetNamespace()).Delete(ctx, object.GetName(), now())
		if err != nil && !apierrors.IsNotFound(err) {
			t.Errorf("clean up %s %s/%s: %v", resource.Resource, object.GetNamespace(), object.GetName(), err)
		}
	}
}

// resources are those whose objects can be deleted many at a time, which
// leaves out what is only asked, as reviews are.
func (c *ControlPlane) resources(t testing.TB, namespaced bool) []schema.GroupVersionResource {
	t.Helper()
	finder, err := discovery.NewDiscoveryClientForConfig(c.Admin())
	if err != nil {
		t.Fatal(err)
	}
	lists, err := finder.ServerPreferredResources()
	if err != nil && !discovery.IsGroupDiscoveryFailedError(err) { // an aggregated API that is down has nothing to clean
		t.Fatalf("resources of the cluster: %v", err)
	}
	var found []schema.GroupVersionResource
	for _, list := range lists {
		version, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			t.Fatal(err)
		}
		for _, resource := range list.APIResources {
			if resource.Namespaced == namespaced && slices.Contains(resource.Verbs, "deletecollection") && !strings.Contains(resource.Name, "/") {
				found = append(found, version.WithResource(resource.Name))
			}
		}
	}
	return found
}

// quiet is a client that does not print what the server says about deprecated
// resources: who cleans up touches them all.
func (c *ControlPlane) quiet(t testing.TB) *dynamic.DynamicClient {
	t.Helper()
	config := c.Admin()
	config.WarningHandler = rest.NoWarnings{}
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// now deletes without the grace that no kubelet would end.
func now() metav1.DeleteOptions {
	zero, background := int64(0), metav1.DeletePropagationBackground
	return metav1.DeleteOptions{GracePeriodSeconds: &zero, PropagationPolicy: &background}
}
