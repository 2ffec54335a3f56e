package kube

import (
	"context"
	"encoding/json"
	"fmt"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"

	"github.com/netpol-project/netpol/pkg/rights"
)

// reviewsAtOnce bounds how many questions are on their way.
const reviewsAtOnce = 8

// accessReview is a SelfSubjectAccessReview.
type accessReview struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Spec       struct {
		ResourceAttributes attributes `json:"resourceAttributes"`
	} `json:"spec"`
	Status struct {
		Allowed         bool   `json:"allowed"`
		EvaluationError string `json:"evaluationError,omitempty"`
	} `json:"status"`
}

type attributes struct {
	Verb      string `json:"verb"`
	Group     string `json:"group,omitempty"`
	Resource  string `json:"resource"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name,omitempty"`
}

// Allowed asks the API server which of the rights the user has, in the order
// of the questions.
func (c *Conn) Allowed(ctx context.Context, list []rights.Right) ([]bool, error) {
	client, err := c.reviews()
	if err != nil {
		return nil, err
	}
	out := make([]bool, len(list))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(reviewsAtOnce)
	for i, r := range list {
		g.Go(func() error {
			var review accessReview
			review.APIVersion, review.Kind = "authorization.k8s.io/v1", "SelfSubjectAccessReview"
			review.Spec.ResourceAttributes = attributes(r)
			if err := post(ctx, client, "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", &review); err != nil {
				return fmt.Errorf("ask for the right to %s: %w", r, err)
			}
			if review.Status.EvaluationError != "" && !review.Status.Allowed {
				return fmt.Errorf("ask for the right to %s: %s", r, review.Status.EvaluationError)
			}
			out[i] = review.Status.Allowed
			return nil
		})
	}
	return out, g.Wait()
}

// selfReview is a SelfSubjectReview.
type selfReview struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Status     struct {
		UserInfo struct {
			Username string `json:"username"`
		} `json:"userInfo"`
	} `json:"status"`
}

// User asks the API server who the user is to it.
func (c *Conn) User(ctx context.Context) (rights.User, error) {
	client, err := c.reviews()
	if err != nil {
		return rights.User{}, err
	}
	review := selfReview{APIVersion: "authentication.k8s.io/v1", Kind: "SelfSubjectReview"}
	if err := post(ctx, client, "/apis/authentication.k8s.io/v1/selfsubjectreviews", &review); err != nil {
		return rights.User{}, fmt.Errorf("ask who the user is: %w", err)
	}
	return rights.User{Name: review.Status.UserInfo.Username}, nil
}

// reviews is a client for questions.
func (c *Conn) reviews() (*rest.RESTClient, error) {
	config := rest.CopyConfig(c.Config)
	config.GroupVersion = &schema.GroupVersion{}
	config.ContentType, config.AcceptContentTypes = runtime.ContentTypeJSON, runtime.ContentTypeJSON
	scheme := runtime.NewScheme()
	metav1.AddToGroupVersion(scheme, schema.GroupVersion{Version: "v1"}) // for what a server says when it refuses
	config.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	return rest.UnversionedRESTClientFor(config)
}

// post sends a question and reads the answer in its place.
func post(ctx context.Context, client *rest.RESTClient, path string, review any) error {
	body, err := json.Marshal(review)
	if err != nil {
		return err
	}
	answer, err := client.Post().AbsPath(path).Body(body).Do(ctx).Raw()
	if err != nil {
		return err
	}
	return json.Unmarshal(answer, review)
}
