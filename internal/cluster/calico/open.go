package calico

import (
	"context"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/netpol-project/netpol/internal/cluster"
	"github.com/netpol-project/netpol/internal/cluster/kube"
	"github.com/netpol-project/netpol/pkg/policy"
)

// Open opens the resources of a cluster on which Calico enforces: by the names
// of users, and for reading alone where its API can't be written.
func Open(ctx context.Context, conn *kube.Conn, opts kube.Options, info *Info) (cluster.Store, error) {
	why, try := info.ReadOnly()
	if info.API == Stored || info.API == Down {
		opts.Form = storedForm{}
	}
	store, err := kube.OpenStore(ctx, conn, opts)
	if err != nil {
		return nil, err
	}
	named := Named(store, info.Version)
	if why == "" {
		return named, nil
	}
	if opts.Warn != nil {
		opts.Warn("warning: policies can only be read here: " + why)
	}
	server, _ := named.(cluster.Server)
	return &readOnly{Server: server, why: why, try: try}, nil
}

// readOnly refuses to write what Calico keeps.
type readOnly struct {
	cluster.Server
	why, try string
}

// Only implements cluster.Server.
func (s *readOnly) Only(kinds ...policy.Kind) cluster.Store {
	store := s.Server.Only(kinds...)
	if server, ok := store.(cluster.Server); ok {
		return &readOnly{Server: server, why: s.why, try: s.try}
	}
	return store
}

// Change implements cluster.Store.
func (s *readOnly) Change(ctx context.Context, changes []cluster.Change, dryRun bool) ([]cluster.Result, error) {
	if err := s.refuse(changes); err != nil {
		return nil, err
	}
	return s.Server.Change(ctx, changes, dryRun)
}

// ChangeWith implements cluster.Server.
func (s *readOnly) ChangeWith(ctx context.Context, changes []cluster.Change, opts cluster.ChangeOptions) ([]cluster.Result, error) {
	if err := s.refuse(changes); err != nil {
		return nil, err
	}
	return s.Server.ChangeWith(ctx, changes, opts)
}

func (s *readOnly) refuse(changes []cluster.Change) error {
	for _, c := range changes {
		key := c.Delete
		if c.Object != nil {
			key = cluster.KeyOf(c.Object)
		}
		if cluster.GVK(key.Kind).Group == publicGroup {
			return &cluster.Failure{What: key.String() + " can't be written", Where: []string{s.why}, Try: s.try}
		}
	}
	return nil
}

// storedForm reads what Calico keeps as crd.projectcalico.org/v1. Nothing is
// written in this form.
type storedForm struct{}

// Resource implements kube.Form.
func (storedForm) Resource(kind policy.Kind) (kube.Resource, bool) {
	res, ok := kube.ResourceOf(kind)
	if res.Group == publicGroup {
		res.Group, res.Version = storedGroup, "v1"
	}
	return res, ok
}

// Name implements kube.Form: the tier is in front of every name there.
func (storedForm) Name(key policy.Key, _ string) string {
	if hasTierName(key.Kind) && !strings.Contains(key.Name, ".") {
		return "default." + key.Name
	}
	return key.Name
}

// Stored implements kube.Form.
func (storedForm) Stored(u *unstructured.Unstructured) *unstructured.Unstructured { return u }

// Public implements kube.Form.
func (storedForm) Public(u *unstructured.Unstructured) *unstructured.Unstructured {
	if u.GroupVersionKind().Group != storedGroup {
		return u
	}
	u.SetName(policy.StoredName(policy.Kind(u.GetKind()), u.GetName(), u.GetAnnotations()))
	u.SetAPIVersion(publicGroup + "/v3")
	unstructured.RemoveNestedField(u.Object, "metadata", "annotations", "projectcalico.org/metadata")
	return u
}

// Read implements kube.Form: that it is the stored form is no fault here.
func (storedForm) Read(s *policy.Served) {
	s.Faults = slices.DeleteFunc(s.Faults, func(f policy.Fault) bool { return f.Code == policy.CodeOldVersion })
}
