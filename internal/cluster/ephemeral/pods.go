package ephemeral

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"github.com/netpol-project/netpol/internal/cluster/kube"
)

var (
	podsResource       = schema.GroupVersionResource{Version: "v1", Resource: "pods"}
	daemonSetsResource = schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "daemonsets"}
)

// startPatience is how long a container may take to start, its image's pull
// included.
const startPatience = time.Minute

// Site is a cluster to try connections in.
type Site struct {
	conn  *kube.Conn
	api   dynamic.Interface
	image string
}

// Open prepares probing with an image of netpol.
func Open(conn *kube.Conn, image string) (*Site, error) {
	api, err := dynamic.NewForConfig(conn.Config)
	if err != nil {
		return nil, err
	}
	return &Site{conn: conn, api: api, image: image}, nil
}

// AgentImage is the image that the cluster's agents run, so that it is on every
// node already; empty if there are none, or the user may not look.
func AgentImage(ctx context.Context, conn *kube.Conn) string {
	api, err := dynamic.NewForConfig(conn.Config)
	if err != nil {
		return ""
	}
	set, err := api.Resource(daemonSetsResource).Namespace("netpol-system").Get(ctx, "netpol-agent", metav1.GetOptions{})
	if err != nil {
		return ""
	}
	list, _, _ := unstructured.NestedSlice(set.Object, "spec", "template", "spec", "containers")
	for _, c := range list {
		if c, ok := c.(map[string]any); ok {
			if image, _, _ := unstructured.NestedString(c, "image"); image != "" {
				return image
			}
		}
	}
	return ""
}

// Missing are those pods (namespace/name) that have no container for probing
// yet, in their order.
func (s *Site) Missing(ctx context.Context, pods []string) ([]string, error) {
	var out []string
	for _, id := range pods {
		pod, err := s.get(ctx, id)
		if err != nil {
			return nil, err
		}
		if f, _ := find(pod, s.image); f.state != running && f.state != waiting {
			out = append(out, id)
		}
	}
	return out, nil
}

func (s *Site) get(ctx context.Context, id string) (*unstructured.Unstructured, error) {
	namespace, name, _ := strings.Cut(id, "/")
	pod, err := s.api.Resource(podsResource).Namespace(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, explained(err, "get", "pods", id)
	}
	return pod, nil
}

// ensure returns the name of a pod's running container for probing, which it
// adds if there is none.
func (s *Site) ensure(ctx context.Context, id string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	added := false
	why := ""
	for {
		pod, err := s.get(ctx, id)
		if err != nil {
			return "", late(ctx, err, id, why)
		}
		f, next := find(pod, s.image)
		switch {
		case f.state == running:
			return f.name, nil
		case f.state == ended && added:
			return "", fmt.Errorf("pod %s: container %s ended as soon as it was started: is %s an image of netpol?", id, f.name, s.image)
		case f.state == waiting:
			why = f.why
		default:
			if err := s.add(ctx, id, next); err != nil {
				return "", err
			}
			added = true
		}
		select {
		case <-ctx.Done():
			return "", late(ctx, ctx.Err(), id, why)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// late is an error, or why a container has not started where that is what took
// the time.
func late(ctx context.Context, err error, id, why string) error {
	if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return err
	}
	if why == "" {
		why = "the kubelet does not say why"
	}
	return fmt.Errorf("pod %s: its container for probing has not started after %s: %s", id, startPatience, why)
}

func (s *Site) add(ctx context.Context, id, name string) error {
	namespace, pod, _ := strings.Cut(id, "/")
	patch, err := json.Marshal(map[string]any{"spec": map[string]any{"ephemeralContainers": []any{container(name, s.image)}}})
	if err != nil {
		return err
	}
	_, err = s.api.Resource(podsResource).Namespace(namespace).Patch(ctx, pod, types.StrategicMergePatchType, patch,
		metav1.PatchOptions{FieldManager: "netpol"}, "ephemeralcontainers")
	return explained(err, "patch", "pods/ephemeralcontainers", id)
}

// DeniedError is a right that the user lacks.
type DeniedError struct {
	Verb, Resource, Namespace string
	Err                       error
}

// Error names the right.
func (e *DeniedError) Error() string {
	return fmt.Sprintf("you may not %s %s in namespace %s", e.Verb, e.Resource, e.Namespace)
}

// Unwrap is the API server's error.
func (e *DeniedError) Unwrap() error { return e.Err }

func explained(err error, verb, resource, id string) error {
	namespace, _, _ := strings.Cut(id, "/")
	switch {
	case err == nil:
		return nil
	case apierrors.IsForbidden(err) && !strings.Contains(err.Error(), "violates PodSecurity"):
		return &DeniedError{Verb: verb, Resource: resource, Namespace: namespace, Err: err}
	case apierrors.IsNotFound(err):
		return fmt.Errorf("pod %s is gone: %w", id, err)
	}
	return fmt.Errorf("pod %s: %w", id, err)
}
