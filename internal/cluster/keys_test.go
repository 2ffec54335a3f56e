package cluster

import (
	"testing"

	"github.com/netpol-project/netpol/pkg/policy"
)

// The key of an object is the one that its resource was decoded with, or it
// could not be found again.
func TestKeysAreThoseOfDecode(t *testing.T) {
	apis := []string{"v1", "apps/v1", "batch/v1", "projectcalico.org/v3", "projectcalico.org/v1", "crd.projectcalico.org/v1",
		"networking.k8s.io/v1", "policy.networking.k8s.io/v1alpha2", "policy.networking.k8s.io/v1alpha1", "discovery.k8s.io/v1", "example.org/v1"}
	names := map[string]bool{"Ingress": true, "ConfigMap": true, "IPPool": true, "FelixConfiguration": true}
	for _, i := range kinds {
		names[i.kind] = true
	}
	for _, api := range apis {
		for kind := range names {
			for _, meta := range []string{"{name: a}", "{name: default.a, namespace: n}", "{name: default.a, annotations: {projectcalico.org/metadata: '{\"name\": \"b\"}'}}"} {
				doc := "apiVersion: " + api + "\nkind: " + kind + "\nmetadata: " + meta + "\n"
				res, _ := policy.Decode("f", []byte(doc))
				objects := Objects([]byte(doc))
				if len(res) != 1 || len(objects) != 1 {
					t.Fatalf("%s: %d, %d", doc, len(res), len(objects))
				}
				if got := KeyOf(objects[0]); got != res[0].Key {
					t.Errorf("%s %s %s: %v, decoded as %v", api, kind, meta, got, res[0].Key)
				}
			}
		}
	}
}
