// Package admission makes the ValidatingAdmissionPolicies that stand beside the
// definitions of package crd, so that no webhook server has to run: what the
// API server's budget for schemas leaves no room for, who may change policies of
// which tier, and which tiers can't be deleted.
//
// It is pure: it talks to no cluster.
package admission

import (
	"encoding/json"
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/netpol-project/netpol/internal/install/crd"
)

// apiVersion of policies and bindings; served since Kubernetes 1.30.
const apiVersion = "admissionregistration.k8s.io/v1"

// policy is a ValidatingAdmissionPolicy with its binding.
type policy struct {
	name       string
	resources  []string
	kubernetes []string // resources of networking.k8s.io that are judged as well
	operations []string
	conditions []condition
	variables  []variable
	rules      []validation
	param      string // the kind of which every object is a parameter; empty: none
	action     string // of the binding: Deny or Warn
}

type variable struct {
	Name       string `json:"name"`
	Expression string `json:"expression"`
}

type condition struct {
	Name       string `json:"name"`
	Expression string `json:"expression"`
}

type validation struct {
	Expression        string `json:"expression"`
	Message           string `json:"message,omitempty"`
	MessageExpression string `json:"messageExpression,omitempty"`
	Reason            string `json:"reason,omitempty"`
}

// Reasons that the API knows.
const (
	invalid   = "Invalid"
	forbidden = "Forbidden"
)

// Objects are all policies, each followed by its binding, in a stable order.
func Objects() []*unstructured.Unstructured {
	var out []*unstructured.Unstructured
	for _, p := range []policy{
		values(), stagedKubernetes(), rights(), tiers(), tierKeeper(), trials(),
		tierInUse("GlobalNetworkPolicy"), tierInUse("StagedGlobalNetworkPolicy"), warnings(),
	} {
		out = append(out, p.object(), p.binding())
	}
	return out
}

// Guards are the policies that hold netpol's own agents to what they are meant to
// write: they must be there before an agent has the right to write anything.
func Guards() []*unstructured.Unstructured {
	p := agentWrites()
	return []*unstructured.Unstructured{p.object(), p.binding()}
}

// object is the policy. Without an answer (an error in an expression, a spent
// budget) the request is refused: never fail open.
func (p policy) object() *unstructured.Unstructured {
	rule := func(group string, resources []string) map[string]any {
		return map[string]any{"apiGroups": []string{group}, "apiVersions": []string{"*"}, "operations": p.operations, "resources": resources}
	}
	matches := []any{rule(crd.Group, p.resources)}
	if len(p.kubernetes) > 0 {
		matches = append(matches, rule("networking.k8s.io", p.kubernetes))
	}
	spec := map[string]any{
		"failurePolicy":    "Fail",
		"matchConstraints": map[string]any{"resourceRules": matches},
		"validations":      p.rules,
	}
	if len(p.variables) > 0 {
		spec["variables"] = p.variables
	}
	if p.param != "" {
		spec["paramKind"] = map[string]any{"apiVersion": crd.Group + "/" + crd.Version, "kind": p.param}
	}
	if len(p.conditions) > 0 {
		spec["matchConditions"] = p.conditions
	}
	return toObject("ValidatingAdmissionPolicy", p.name, spec)
}

func (p policy) binding() *unstructured.Unstructured {
	spec := map[string]any{"policyName": p.name, "validationActions": []string{p.action}}
	if p.param != "" {
		spec["paramRef"] = map[string]any{"selector": map[string]any{}, "parameterNotFoundAction": "Allow"}
	}
	return toObject("ValidatingAdmissionPolicyBinding", p.name, spec)
}

func toObject(kind, name string, spec map[string]any) *unstructured.Unstructured {
	return fromJSON(map[string]any{
		"apiVersion": apiVersion,
		"kind":       kind,
		"metadata": map[string]any{
			"name":   name,
			"labels": map[string]any{"app.kubernetes.io/name": "netpol", "app.kubernetes.io/component": "api"},
		},
		"spec": spec,
	})
}

// fromJSON goes by way of JSON, so that the object holds what a decoder would
// have put there.
func fromJSON(object map[string]any) *unstructured.Unstructured {
	b, err := json.Marshal(object)
	u := &unstructured.Unstructured{}
	if err == nil {
		err = u.UnmarshalJSON(b)
	}
	if err != nil {
		panic(fmt.Sprintf("an admission policy is no object: %v", err)) // of constants only, so tests see it
	}
	return u
}

// changed lets requests pass that leave the spec as it is: what is stored
// already must not keep its finalizers from being removed.
var changed = condition{
	Name:       "spec-changes",
	Expression: "oldObject == null || object.?spec.orValue({}) != oldObject.?spec.orValue({})",
}
