// Package crd makes the CustomResourceDefinitions of projectcalico.org/v3 for
// the kinds that netpol judges: structural schemas by reflection from the
// types of Calico's API, as pkg/policy has them, and rules in CEL that say what
// netpol validate says, in the same words.
//
// It is pure: it talks to no cluster. What a schema's cost budget leaves no room
// for (every net, every port) is checked by package admission.
package crd

import (
	"encoding/json"
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Group and Version are those of the API.
const (
	Group   = "projectcalico.org"
	Version = "v3"
)

// definition is a CustomResourceDefinition as far as it is used here.
type definition struct {
	APIVersion string         `json:"apiVersion"`
	Kind       string         `json:"kind"`
	Metadata   map[string]any `json:"metadata"`
	Spec       spec           `json:"spec"`
}

type spec struct {
	Group    string    `json:"group"`
	Names    names     `json:"names"`
	Scope    string    `json:"scope"`
	Versions []version `json:"versions"`
}

type names struct {
	Plural     string   `json:"plural"`
	Singular   string   `json:"singular"`
	Kind       string   `json:"kind"`
	ListKind   string   `json:"listKind"`
	ShortNames []string `json:"shortNames,omitempty"`
}

type version struct {
	Name             string              `json:"name"`
	Served           bool                `json:"served"`
	Storage          bool                `json:"storage"`
	Schema           map[string]*Schema  `json:"schema"`
	Columns          []column            `json:"additionalPrinterColumns,omitempty"`
	SelectableFields []map[string]string `json:"selectableFields,omitempty"`
	Subresources     map[string]any      `json:"subresources,omitempty"`
}

type column struct {
	Name     string `json:"name"`
	Type     string `json:"type"`
	JSONPath string `json:"jsonPath"`
}

// CRDs are the definitions of all kinds, in a stable order.
func CRDs() []*unstructured.Unstructured {
	var out []*unstructured.Unstructured
	for _, k := range kinds() {
		out = append(out, k.object())
	}
	return out
}

// Names are the plural names of all kinds, in the order of CRDs.
func Names() []string {
	var out []string
	for _, k := range kinds() {
		out = append(out, k.plural)
	}
	return out
}

func (k kind) object() *unstructured.Unstructured {
	v := version{
		Name: Version, Served: true, Storage: true,
		Schema:  map[string]*Schema{"openAPIV3Schema": k.schema()},
		Columns: k.columns,
	}
	if k.tiered {
		v.SelectableFields = []map[string]string{{"jsonPath": ".spec.tier"}}
	}
	if k.status {
		v.Subresources = map[string]any{"status": map[string]any{}}
	}
	scope := "Cluster"
	if k.namespaced {
		scope = "Namespaced"
	}
	return toObject(definition{
		APIVersion: "apiextensions.k8s.io/v1",
		Kind:       "CustomResourceDefinition",
		Metadata: map[string]any{
			"name":   k.plural + "." + Group,
			"labels": map[string]any{"app.kubernetes.io/name": "netpol", "app.kubernetes.io/component": "api"},
		},
		Spec: spec{
			Group: Group,
			Names: names{
				Plural: k.plural, Singular: k.singular, Kind: k.name, ListKind: k.name + "List", ShortNames: k.short,
			},
			Scope:    scope,
			Versions: []version{v},
		},
	})
}

// toObject goes by way of JSON, so that the object holds what a decoder would
// have put there.
func toObject(v any) *unstructured.Unstructured {
	b, err := json.Marshal(v)
	u := &unstructured.Unstructured{}
	if err == nil {
		err = u.UnmarshalJSON(b)
	}
	if err != nil {
		panic(fmt.Sprintf("a definition is no object: %v", err)) // of constants only, so tests see it
	}
	return u
}
