package install

import (
	"fmt"

	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation"
)

// ClaimName is the PersistentVolumeClaim that the flows server keeps flows in, if
// it is asked for.
const ClaimName = FlowsName

// Storage are the settings of that claim.
type Storage struct {
	// Size is how much it asks for, a quantity such as 8Gi; empty: there is no
	// claim.
	Size string `json:"size"`
	// Class is its storage class; empty: the cluster's default.
	Class string `json:"class"`
}

// Bytes are those of the size, 0 without one.
func (s *Storage) Bytes() int64 {
	q, err := resource.ParseQuantity(s.Size)
	if s.Size == "" || err != nil {
		return 0
	}
	return q.Value()
}

func (s *Storage) validate(data map[string]any) error {
	if s.Size == "" {
		if s.Class != "" {
			return fmt.Errorf("flows.storage.class %q: it is for a claim, which takes flows.storage.size", s.Class)
		}
		return nil
	}
	if q, err := resource.ParseQuantity(s.Size); err != nil || q.Sign() <= 0 {
		return fmt.Errorf("flows.storage.size %q: expected a size, such as 8Gi", s.Size)
	}
	if s.Class != "" && len(validation.IsDNS1123Subdomain(s.Class)) > 0 {
		return fmt.Errorf("flows.storage.class %q: expected the name of a storage class", s.Class)
	}
	if _, ok := data["emptyDir"]; !ok {
		return fmt.Errorf("flows.storage.size %q: flows.data names a volume too, and it can be only one of them", s.Size)
	}
	return nil
}
