package kubetest

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/restmapper"
)

// FieldManager is who Apply writes as.
const FieldManager = "kubetest"

// Apply writes manifests, several documents each, as the administrator by
// server-side apply. It waits for CustomResourceDefinitions to be served, so
// that their objects may follow in the same call.
func (c *ControlPlane) Apply(t testing.TB, manifests ...string) {
	t.Helper()
	client := c.Dynamic(t)
	for _, object := range decode(t, manifests) {
		// In one object's mapping there is nothing to cache: the next one may
		// be of a kind that this one defines.
		resource, err := c.resource(client, object)
		if err != nil {
			t.Fatalf("apply %s %s: %v", object.GetKind(), object.GetName(), err)
		}
		if _, err := resource.Apply(context.Background(), object.GetName(), object, metav1.ApplyOptions{FieldManager: FieldManager, Force: true}); err != nil {
			t.Fatalf("apply %s %s: %v", object.GetKind(), object.GetName(), err)
		}
		if object.GetKind() == "CustomResourceDefinition" {
			awaitServed(t, resource, object.GetName())
		}
	}
}

func decode(t testing.TB, manifests []string) []*unstructured.Unstructured {
	t.Helper()
	var objects []*unstructured.Unstructured
	for _, manifest := range manifests {
		decoder := yaml.NewYAMLOrJSONDecoder(strings.NewReader(manifest), 4096)
		for {
			object := &unstructured.Unstructured{}
			err := decoder.Decode(&object.Object)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("manifest: %v\n%s", err, manifest)
			}
			if len(object.Object) > 0 { // a document of comments
				objects = append(objects, object)
			}
		}
	}
	return objects
}

// resource is where an object is written.
func (c *ControlPlane) resource(client dynamic.Interface, object *unstructured.Unstructured) (dynamic.ResourceInterface, error) {
	finder, err := discovery.NewDiscoveryClientForConfig(c.Admin())
	if err != nil {
		return nil, err
	}
	groups, err := restmapper.GetAPIGroupResources(finder)
	if err != nil {
		return nil, err
	}
	kind := object.GroupVersionKind()
	mapping, err := restmapper.NewDiscoveryRESTMapper(groups).RESTMapping(kind.GroupKind(), kind.Version)
	if err != nil {
		return nil, err
	}
	if mapping.Scope.Name() == meta.RESTScopeNameRoot {
		return client.Resource(mapping.Resource), nil
	}
	namespace := object.GetNamespace()
	if namespace == "" {
		namespace = metav1.NamespaceDefault
	}
	return client.Resource(mapping.Resource).Namespace(namespace), nil
}

// awaitServed waits until a CustomResourceDefinition's objects can be written.
func awaitServed(t testing.TB, resource dynamic.ResourceInterface, name string) {
	t.Helper()
	Eventually(t, "CustomResourceDefinition "+name+" is served", func() bool {
		object, err := resource.Get(context.Background(), name, metav1.GetOptions{})
		if err != nil {
			return false
		}
		return condition(object, "Established") == "True"
	})
}

// condition is the status of a condition of an object; "" if it has none.
func condition(object *unstructured.Unstructured, name string) string {
	conditions, _, _ := unstructured.NestedSlice(object.Object, "status", "conditions")
	for _, each := range conditions {
		fields, ok := each.(map[string]any)
		if ok && fields["type"] == name {
			status, _ := fields["status"].(string)
			return status
		}
	}
	return ""
}

// Eventually asks until the answer is yes and fails the test after a minute.
func Eventually(t testing.TB, what string, ask func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ask(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within a minute: %s", what)
		}
	}
}
