package kube

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/netpol-project/netpol/internal/cluster"
)

// request is what was asked of the server, for errors.
type request struct {
	verb      string
	resource  Resource
	namespace string
	name      string
}

// what is the request in words: get networkpolicies.projectcalico.org db in
// namespace vote.
func (r request) what() string {
	out := strings.TrimSpace(r.verb + " " + r.resource.String())
	if r.name != "" {
		out += " " + r.name
	}
	return out + r.where()
}

func (r request) where() string {
	switch {
	case r.namespace != "":
		return " in namespace " + r.namespace
	case r.resource.Namespaced && r.name == "":
		return " in all namespaces"
	}
	return ""
}

// canI is the command that tells whether the user may do it.
func (a *api) canI(r request) string {
	out := a.kubectl("auth can-i " + r.verb + " " + r.resource.String())
	if r.name != "" && r.verb != "create" {
		out += "/" + r.name
	}
	switch {
	case r.namespace != "":
		out += " -n " + r.namespace
	case r.resource.Namespaced:
		out += " -A"
	}
	return out
}

func (a *api) kubectl(command string) string { return a.conn.Kubectl(command) }

// Kubectl is a command of kubectl for this cluster.
func (c *Conn) Kubectl(command string) string {
	if c.Context == "" {
		return "kubectl " + command
	}
	return "kubectl --context " + c.Context + " " + command
}

// fail is an error of a request as users see it. The error Is still what it
// was for client-go, and cluster.ErrNotFound or ErrConflict.
func (a *api) fail(r request, err error) error {
	var status *apierrors.StatusError
	switch {
	case err == nil, errors.Is(err, context.Canceled):
		return err
	case apierrors.IsForbidden(err):
		return a.forbidden(r, err)
	case apierrors.IsUnauthorized(err):
		return &cluster.Failure{What: "the API server does not know who you are: the credentials" + a.conn.ofContext() + " are expired or wrong",
			Where: []string{"for: " + r.what()}, Try: a.kubectl("auth whoami"), Err: err}
	case apierrors.IsNotFound(err) && r.name != "":
		return &cluster.Failure{What: "no " + strings.TrimPrefix(r.what(), r.verb+" "), Try: a.kubectl("get " + r.resource.String() + r.flag()), Err: errors.Join(cluster.ErrNotFound, err)}
	case apierrors.IsNotFound(err):
		return &cluster.Failure{What: "the API server does not know " + r.resource.String(), Where: []string{"for: " + r.what()},
			Try: a.kubectl("api-resources --api-group=" + r.resource.Group), Err: errors.Join(cluster.ErrNotFound, err)}
	case apierrors.IsTooManyRequests(err):
		return &cluster.Failure{What: "the API server is busy and asks to come back later: could not " + r.what(), Where: []string{err.Error()}, Try: "the same again in a minute", Err: err}
	case errors.As(err, &status):
		return &cluster.Failure{What: "the API server refused to " + r.what(), Where: reasons(status), Try: a.kubectl("get " + r.resource.String() + r.flag()), Err: err}
	}
	return a.unreachable(r, err)
}

func (r request) flag() string {
	switch {
	case r.namespace != "":
		return " -n " + r.namespace
	case r.resource.Namespaced:
		return " -A"
	}
	return ""
}

// forbidden names the right that is missing.
func (a *api) forbidden(r request, err error) error {
	group := r.resource.Group
	if group == "" {
		group = "the core group"
	} else {
		group = "API group " + group
	}
	f := &cluster.Failure{Err: err, Try: a.canI(r),
		What: fmt.Sprintf("you may not %s %s of %s%s", r.verb, r.resource.GroupVersionResource.Resource, group, r.where())}
	if r.name != "" {
		f.What = fmt.Sprintf("you may not %s %s %s of %s%s", r.verb, r.resource.GroupVersionResource.Resource, r.name, group, r.where())
	}
	// Admission refuses with the same code, and only its text says why. The one
	// that asks for rights in tiers (package admission) says what to ask next.
	why, command, ok := strings.Cut(err.Error(), "; for the role to ask for: ")
	f.Where = []string{why}
	if ok {
		f.Try = command
		if r.namespace != "" {
			f.Try += " -n " + r.namespace
		}
	}
	return f
}

// reasons are what a server gives as reasons, one a line.
func reasons(err *apierrors.StatusError) []string {
	var out []string
	if d := err.ErrStatus.Details; d != nil && apierrors.IsInvalid(err) {
		for _, c := range d.Causes {
			out = append(out, strings.TrimPrefix(c.Field+": "+c.Message, ": "))
		}
	}
	if len(out) == 0 {
		out = []string{err.ErrStatus.Message}
	}
	return out
}

// unreachable is an error before there was an answer.
func (a *api) unreachable(r request, err error) error {
	text := err.Error()
	if u := (*url.Error)(nil); errors.As(err, &u) {
		text = u.Err.Error()
	}
	what := "the API server " + a.conn.Config.Host + a.conn.ofContext() + " can't be reached"
	if errors.Is(err, context.DeadlineExceeded) {
		what = fmt.Sprintf("the API server %s%s did not answer within %s", a.conn.Config.Host, a.conn.ofContext(), a.timeout)
	}
	return &cluster.Failure{What: what, Where: []string{text, "for: " + r.what()}, Try: a.kubectl("cluster-info"), Err: err}
}

// connectError is an error of a connection that can't even be tried.
func connectError(conn *Conn, err error) error {
	return &cluster.Failure{What: "the kubeconfig" + conn.ofContext() + " makes no connection", Where: []string{err.Error()}, Try: "kubectl config view --minify", Err: err}
}

// ofContext names the context in an error.
func (c *Conn) ofContext() string {
	if c.Context == "" {
		return ""
	}
	return " (context " + c.Context + ")"
}

// managed is a conflict about fields: by manager, the fields that it has.
type managed map[string][]string

// conflicts are the fields that other managers have, as an error of
// server-side apply tells; empty for any other error.
func conflicts(err error) managed {
	var status *apierrors.StatusError
	if !apierrors.IsConflict(err) || !errors.As(err, &status) || status.ErrStatus.Details == nil {
		return nil
	}
	out := managed{}
	for _, c := range status.ErrStatus.Details.Causes {
		if c.Type != metav1.CauseTypeFieldManagerConflict {
			continue
		}
		// conflict with "kubectl" using v1 at 2026-…
		manager := c.Message
		if _, rest, ok := strings.Cut(manager, `"`); ok {
			manager, _, _ = strings.Cut(rest, `"`)
		}
		out[manager] = append(out[manager], strings.TrimPrefix(c.Field, "."))
	}
	return out
}

// FieldConflict is what server-side apply says of fields that others manage, as
// users see it: what was not changed, and the command that takes the fields over.
// It is nil for any other error.
func FieldConflict(what, command string, err error) error {
	if m := conflicts(err); len(m) > 0 {
		return m.told(what, command, err)
	}
	return nil
}

// fail is the conflict as users see it.
func (m managed) fail(key string, err error) error {
	return m.told(key, "the same command with --force-conflicts", err)
}

func (m managed) told(what, command string, err error) error {
	f := &cluster.Failure{What: what + " was not changed: others manage fields that would change", Err: errors.Join(cluster.ErrConflict, err),
		Try: "change it where it is managed (a Git repository, most likely), or take the fields over: " + command}
	var managers []string
	for name := range m {
		managers = append(managers, name)
	}
	slices.Sort(managers)
	for _, name := range managers {
		slices.Sort(m[name])
		f.Where = append(f.Where, fmt.Sprintf("%s manages %s", name, strings.Join(slices.Compact(m[name]), ", ")))
	}
	return f
}
