package kube

import (
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/netpol-project/netpol/pkg/policy"
)

// Form is how a cluster keeps the resources that commands know as
// projectcalico.org/v3: under which API, name and metadata. It is the one place
// that knows of other forms; everything else sees public keys and objects.
type Form interface {
	// Resource is where a kind is kept; false: nowhere.
	Resource(kind policy.Kind) (Resource, bool)
	// Name is the name that a resource is kept under. tier is the policy's as
	// far as it is known.
	Name(key policy.Key, tier string) string
	// Stored is a public object as it is to be written, and Public the way
	// back. Both may change what they are given.
	Stored(*unstructured.Unstructured) *unstructured.Unstructured
	Public(*unstructured.Unstructured) *unstructured.Unstructured
	// Read settles a resource that was decoded from its stored form.
	Read(*policy.Served)
}

// native keeps them as they are.
type native struct{}

func (native) Resource(kind policy.Kind) (Resource, bool)                     { return ResourceOf(kind) }
func (native) Name(key policy.Key, _ string) string                           { return key.Name }
func (native) Stored(u *unstructured.Unstructured) *unstructured.Unstructured { return u }
func (native) Public(u *unstructured.Unstructured) *unstructured.Unstructured { return u }
func (native) Read(*policy.Served)                                            {}
