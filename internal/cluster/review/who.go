package review

import (
	"context"
	"slices"

	"github.com/netpol-project/netpol/internal/flowserver"
)

// tokenReview is what is used of one of authentication.k8s.io/v1.
type tokenReview struct {
	object
	Spec struct {
		Token     string   `json:"token"`
		Audiences []string `json:"audiences,omitempty"`
	} `json:"spec"`
	Status struct {
		Authenticated bool     `json:"authenticated"`
		Audiences     []string `json:"audiences"`
		User          user     `json:"user"`
	} `json:"status,omitzero"`
}

type user struct {
	Username string              `json:"username"`
	UID      string              `json:"uid"`
	Groups   []string            `json:"groups"`
	Extra    map[string][]string `json:"extra"`
}

// Token implements flowserver.Reviewer.
func (c *Client) Token(ctx context.Context, token, audience string) (flowserver.User, bool, error) {
	r := &tokenReview{object: object{APIVersion: "authentication.k8s.io/v1", Kind: "TokenReview"}}
	r.Spec.Token = token
	if audience != "" {
		r.Spec.Audiences = []string{audience}
	}
	if err := c.call(ctx, "POST", "/apis/authentication.k8s.io/v1/tokenreviews", r, r); err != nil {
		return flowserver.User{}, false, err
	}
	if !r.Status.Authenticated {
		return flowserver.User{}, false, nil
	}
	// An authenticator that knows of no audiences says nothing of them, and its
	// tokens are for the API server.
	if audience != "" && !slices.Contains(r.Status.Audiences, audience) {
		return flowserver.User{}, false, nil
	}
	u := r.Status.User
	return flowserver.User{Name: u.Username, UID: u.UID, Groups: u.Groups, Extra: u.Extra}, true, nil
}

// accessReview is what is used of a SubjectAccessReview of
// authorization.k8s.io/v1.
type accessReview struct {
	object
	Spec   accessSpec `json:"spec"`
	Status struct {
		Allowed bool `json:"allowed"`
		Denied  bool `json:"denied"`
	} `json:"status,omitzero"`
}

type accessSpec struct {
	User       string              `json:"user"`
	UID        string              `json:"uid,omitempty"`
	Groups     []string            `json:"groups,omitempty"`
	Extra      map[string][]string `json:"extra,omitempty"`
	Attributes struct {
		Namespace   string `json:"namespace,omitempty"`
		Verb        string `json:"verb"`
		Group       string `json:"group"`
		Resource    string `json:"resource"`
		Subresource string `json:"subresource,omitempty"`
		Name        string `json:"name,omitempty"`
	} `json:"resourceAttributes"`
}

// Access implements flowserver.Reviewer.
func (c *Client) Access(ctx context.Context, u flowserver.User, a flowserver.Access) (bool, error) {
	r := &accessReview{object: object{APIVersion: "authorization.k8s.io/v1", Kind: "SubjectAccessReview"}}
	r.Spec = accessSpec{User: u.Name, UID: u.UID, Groups: u.Groups, Extra: u.Extra}
	at := &r.Spec.Attributes
	at.Namespace, at.Verb, at.Group, at.Resource = a.Namespace, a.Verb, a.Group, a.Resource
	at.Subresource, at.Name = a.Subresource, a.Name
	// The answer repeats the user, whose maps others read at the same time.
	var answer accessReview
	if err := c.call(ctx, "POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", r, &answer); err != nil {
		return false, err
	}
	return answer.Status.Allowed && !answer.Status.Denied, nil
}
