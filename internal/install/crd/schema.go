package crd

import (
	"reflect"
	"strings"

	"github.com/projectcalico/api/pkg/lib/numorstring"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// Schema is a structural schema, as far as it is used here.
type Schema struct {
	Description          string             `json:"description,omitempty"`
	Type                 string             `json:"type,omitempty"`
	Format               string             `json:"format,omitempty"`
	Properties           map[string]*Schema `json:"properties,omitempty"`
	AdditionalProperties *Schema            `json:"additionalProperties,omitempty"`
	Items                *Schema            `json:"items,omitempty"`
	MaxItems             int64              `json:"maxItems,omitempty"`
	MaxLength            int64              `json:"maxLength,omitempty"`
	AnyOf                []*Schema          `json:"anyOf,omitempty"`
	IntOrString          bool               `json:"x-kubernetes-int-or-string,omitempty"`
	MapType              string             `json:"x-kubernetes-map-type,omitempty"`
	Rules                []Rule             `json:"x-kubernetes-validations,omitempty"`
}

// Rule is a rule in CEL that a value must satisfy.
type Rule struct {
	Rule              string `json:"rule"`
	Message           string `json:"message,omitempty"`
	MessageExpression string `json:"messageExpression,omitempty"`
	Reason            string `json:"reason,omitempty"`
	FieldPath         string `json:"fieldPath,omitempty"`
}

// schemaOf is the schema of a resource: that of its spec comes from the type,
// and metadata is the API server's own.
func schemaOf[T any]() *Schema {
	root := schemaOfType(reflect.TypeFor[T]())
	root.Properties["apiVersion"] = &Schema{Type: "string"}
	root.Properties["kind"] = &Schema{Type: "string"}
	root.Properties["metadata"] = &Schema{Type: "object"}
	return root
}

func schemaOfType(t reflect.Type) *Schema {
	if t.Kind() == reflect.Pointer {
		return schemaOfType(t.Elem())
	}
	switch t {
	case reflect.TypeFor[numorstring.Port](), reflect.TypeFor[numorstring.Protocol](), reflect.TypeFor[intstr.IntOrString]():
		return &Schema{IntOrString: true, AnyOf: []*Schema{{Type: "integer"}, {Type: "string"}}}
	case reflect.TypeFor[metav1.ObjectMeta]():
		return &Schema{Type: "object"}
	}
	switch t.Kind() {
	case reflect.String:
		return &Schema{Type: "string"}
	case reflect.Bool:
		return &Schema{Type: "boolean"}
	case reflect.Float32, reflect.Float64:
		return &Schema{Type: "number"}
	case reflect.Slice:
		return &Schema{Type: "array", Items: schemaOfType(t.Elem())}
	case reflect.Map:
		return &Schema{Type: "object", AdditionalProperties: schemaOfType(t.Elem())}
	case reflect.Struct:
		s := &Schema{Type: "object", Properties: map[string]*Schema{}}
		s.addFields(t)
		if t == reflect.TypeFor[metav1.LabelSelector]() {
			s.MapType = "atomic" // as in Kubernetes' own kinds: it has one owner as a whole
		}
		return s
	}
	return &Schema{Type: "integer"}
}

func (s *Schema) addFields(t reflect.Type) {
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case name == "-":
		case name == "" && f.Anonymous:
			s.addFields(f.Type)
		case name != "":
			s.Properties[name] = schemaOfType(f.Type)
			s.Properties[name].Description = descriptions[name]
		}
	}
}

// at is a part of s by the path of keys, through the items of lists; nil if
// there is none.
func (s *Schema) at(keys ...string) *Schema {
	for _, k := range keys {
		for s.Items != nil {
			s = s.Items
		}
		if s = s.Properties[k]; s == nil {
			return nil
		}
	}
	return s
}

// must adds rules.
func (s *Schema) must(rules ...Rule) { s.Rules = append(s.Rules, rules...) }
