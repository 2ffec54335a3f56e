package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

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
	a, err := newAPI(c, Options{})
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
			what := "the right to " + r.String()
			if err := a.post(ctx, what, "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", &review); err != nil {
				return err
			}
			if review.Status.EvaluationError != "" && !review.Status.Allowed {
				return fmt.Errorf("%s: %s", what, review.Status.EvaluationError)
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
	a, err := newAPI(c, Options{})
	if err != nil {
		return rights.User{}, err
	}
	review := selfReview{APIVersion: "authentication.k8s.io/v1", Kind: "SelfSubjectReview"}
	if err := a.post(ctx, "who the user is", "/apis/authentication.k8s.io/v1/selfsubjectreviews", &review); err != nil {
		return rights.User{}, err
	}
	return rights.User{Name: review.Status.UserInfo.Username}, nil
}

// post sends a question and reads the answer in its place.
func (a *api) post(ctx context.Context, what, path string, review any) error {
	body, err := json.Marshal(review)
	if err != nil {
		return err
	}
	answer, _, err := a.send(ctx, a.client.Post().AbsPath(path).Body(body), nil)
	if err == nil {
		return json.Unmarshal(answer, review)
	}
	if status := (apierrors.APIStatus)(nil); !errors.As(err, &status) {
		return a.unreachable(request{verb: "ask", resource: Resource{GroupVersionResource: schema.GroupVersionResource{Resource: what}}}, err)
	}
	return fmt.Errorf("%s: %w", what, err)
}
