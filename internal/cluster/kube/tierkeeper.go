package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"

	"github.com/netpol-project/netpol/pkg/policy"
)

// TierFinalizer keeps a tier until no policy is in it (S13).
const TierFinalizer = "netpol.dev/tier-in-use"

// recheck is how often a tier that is to be deleted is looked at again, and how
// long to wait after an error.
const recheck = 2 * time.Second

// TierKeeper holds tiers that are in use (S13): every tier gets a finalizer,
// which goes when the tier is deleted and no policy is in it. One process of a
// cluster runs it; while none does, deleted tiers stay.
type TierKeeper struct {
	client dynamic.Interface
	log    func(string)
	told   map[types.UID]string // what was said of a tier last
}

// NewTierKeeper makes a keeper; log gets a line where there is something to
// tell an administrator.
func NewTierKeeper(conn *Conn, log func(string)) (*TierKeeper, error) {
	client, err := dynamic.NewForConfig(conn.Config)
	if err != nil {
		return nil, err
	}
	return &TierKeeper{client: client, log: log, told: map[types.UID]string{}}, nil
}

// Run keeps tiers until ctx ends. Outages of the API server are waited out.
func (k *TierKeeper) Run(ctx context.Context) {
	for last := ""; ctx.Err() == nil; {
		trouble := ""
		if err := k.follow(ctx); err != nil && ctx.Err() == nil {
			trouble = err.Error()
		}
		if trouble != "" && trouble != last {
			k.log("tiers can't be kept: " + trouble)
		}
		last = trouble // what comes back after a while is news
		select {
		case <-ctx.Done():
		case <-time.After(recheck):
		}
	}
}

// Release takes the finalizer off every tier: what has to be done when nothing
// keeps tiers any more, or they could not be deleted.
func (k *TierKeeper) Release(ctx context.Context) error {
	list, err := k.client.Resource(calico("tiers")).List(ctx, metav1.ListOptions{})
	if apierrors.IsNotFound(err) {
		return nil // no tiers, nor their kind
	}
	if err != nil {
		return err
	}
	for i := range list.Items {
		if err := k.release(ctx, &list.Items[i]); err != nil {
			return err
		}
	}
	return nil
}

// release tries again where somebody else writes to the tier.
func (k *TierKeeper) release(ctx context.Context, tier *unstructured.Unstructured) error {
	for {
		others := slices.DeleteFunc(slices.Clone(tier.GetFinalizers()), func(f string) bool { return f == TierFinalizer })
		if len(others) == len(tier.GetFinalizers()) {
			return nil
		}
		if err := k.write(ctx, tier, others); err != nil {
			return err
		}
		var err error
		if tier, err = k.client.Resource(calico("tiers")).Get(ctx, tier.GetName(), metav1.GetOptions{}); err != nil {
			if apierrors.IsNotFound(err) {
				return nil
			}
			return err
		}
	}
}

func calico(plural string) schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: "projectcalico.org", Version: "v3", Resource: plural}
}

// follow looks at all tiers, and then at those that change, until the watch
// ends.
func (k *TierKeeper) follow(ctx context.Context) error {
	list, err := k.client.Resource(calico("tiers")).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	going := map[string]*unstructured.Unstructured{} // tiers that wait for their policies
	look := func(tier *unstructured.Unstructured) error {
		delete(going, tier.GetName())
		if tier.GetDeletionTimestamp() != nil {
			going[tier.GetName()] = tier
		}
		return k.settle(ctx, tier)
	}
	for i := range list.Items {
		if err := look(&list.Items[i]); err != nil {
			return err
		}
	}
	w, err := k.client.Resource(calico("tiers")).Watch(ctx, metav1.ListOptions{ResourceVersion: list.GetResourceVersion()})
	if err != nil {
		return err
	}
	defer w.Stop()
	again := time.NewTicker(recheck)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-again.C:
			for _, tier := range going {
				if err := k.settle(ctx, tier); err != nil {
					return err
				}
			}
		case e, open := <-w.ResultChan():
			tier, ok := e.Object.(*unstructured.Unstructured)
			switch {
			case !open || !ok || e.Type == watch.Error:
				return nil // look at all of them again
			case e.Type == watch.Deleted:
				delete(going, tier.GetName())
				delete(k.told, tier.GetUID())
			default:
				if err := look(tier); err != nil {
					return err
				}
			}
		}
	}
}

// settle puts the finalizer on a tier, or takes it off one that may go.
func (k *TierKeeper) settle(ctx context.Context, tier *unstructured.Unstructured) error {
	finalizers := tier.GetFinalizers()
	held := slices.Contains(finalizers, TierFinalizer)
	switch going := tier.GetDeletionTimestamp() != nil; {
	case policy.BuiltinTier(tier.GetName()) != nil && !held, going != held:
		return nil
	case !going:
		return k.write(ctx, tier, append(slices.Clone(finalizers), TierFinalizer))
	}
	user, err := k.user(ctx, tier.GetName())
	if err != nil {
		return err
	}
	if user != "" {
		if k.told[tier.GetUID()] != user {
			k.told[tier.GetUID()] = user
			k.log(fmt.Sprintf("tier %s is to be deleted, and stays while %s is in it", tier.GetName(), user))
		}
		return nil
	}
	return k.write(ctx, tier, slices.DeleteFunc(slices.Clone(finalizers), func(f string) bool { return f == TierFinalizer }))
}

// user is a policy that is in the tier, empty if there is none.
func (k *TierKeeper) user(ctx context.Context, tier string) (string, error) {
	for _, plural := range []string{"networkpolicies", "globalnetworkpolicies", "stagednetworkpolicies", "stagedglobalnetworkpolicies"} {
		list, err := k.client.Resource(calico(plural)).List(ctx, metav1.ListOptions{FieldSelector: "spec.tier=" + tier, Limit: 1})
		if err != nil {
			return "", err
		}
		for _, u := range list.Items {
			return policy.Key{Kind: policy.Kind(u.GetKind()), Namespace: u.GetNamespace(), Name: u.GetName()}.String(), nil
		}
	}
	return "", nil
}

// write sets the finalizers of a tier that is still as it was read. If it is
// not, the watch tells.
func (k *TierKeeper) write(ctx context.Context, tier *unstructured.Unstructured, finalizers []string) error {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"uid": tier.GetUID(), "resourceVersion": tier.GetResourceVersion(), "finalizers": finalizers,
	}})
	if err != nil {
		return err
	}
	_, err = k.client.Resource(calico("tiers")).Patch(ctx, tier.GetName(), types.MergePatchType, patch, metav1.PatchOptions{FieldManager: "netpol-tier-keeper"})
	if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
		return nil
	}
	return err
}
