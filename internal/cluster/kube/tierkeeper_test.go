package kube_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/yaml"

	"github.com/netpol-project/netpol/internal/cluster/kube"
	"github.com/netpol-project/netpol/internal/install/admission"
	"github.com/netpol-project/netpol/internal/install/crd"
	"github.com/netpol-project/netpol/internal/kubetest"
)

// keeperRights are what the keeper needs.
const keeperRights = `apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: keeper}
rules:
- {apiGroups: [projectcalico.org], resources: [tiers], verbs: [list, patch, watch]}
- apiGroups: [projectcalico.org]
  resources: [networkpolicies, globalnetworkpolicies, stagednetworkpolicies, stagedglobalnetworkpolicies]
  verbs: [list]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: keeper}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: keeper}
subjects: [{kind: ServiceAccount, name: netpol-flows, namespace: netpol-system}]
`

// installed is a control plane that has the definitions and admission policies.
func installed(t *testing.T) *kubetest.ControlPlane {
	t.Helper()
	plane := kubetest.New(t, kubetest.Options{})
	manifests := []string{"apiVersion: v1\nkind: Namespace\nmetadata: {name: vote}\n", "apiVersion: v1\nkind: Namespace\nmetadata: {name: netpol-system}\n"}
	for _, u := range append(crd.CRDs(), admission.Objects()...) {
		b, err := yaml.Marshal(u.Object)
		if err != nil {
			t.Fatal(err)
		}
		manifests = append(manifests, string(b))
	}
	plane.Apply(t, manifests...)
	return plane
}

// An outage is told once, and the next one again.
func TestTierKeeperTellsEachOutage(t *testing.T) {
	f := newFake(t)
	f.put(t, tierYAML("a"))
	told := make(chan string, 10)
	k, err := kube.NewTierKeeper(&kube.Conn{Config: f.config()}, func(text string) { told <- text })
	if err != nil {
		t.Fatal(err)
	}
	fail := []int{500, 500, 500, 500}
	f.set(func() { f.refuse = fail })
	go k.Run(t.Context())
	for range 2 {
		<-told
		if len(told) > 0 {
			t.Errorf("told again: %s", <-told)
		}
		f.set(func() { f.refuse = nil })
		for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
			watched := false
			f.set(func() { watched = len(f.conns) > 0 })
			if watched {
				break
			}
			if time.Now().After(deadline) {
				t.Fatal("no tiers are watched")
			}
		}
		f.set(func() { f.refuse = fail })
		f.breakWatches()
	}
}

// S13: a tier in use stays until no policy is in it, whoever deletes it, also
// through an outage of the API server.
func TestClusterTierInUseStays(t *testing.T) {
	plane := installed(t)
	plane.Apply(t, keeperRights)
	ctx := context.Background()
	keep, stop := context.WithCancel(ctx)
	config := plane.ServiceAccount(t, "netpol-system", "netpol-flows")
	var mu sync.Mutex
	var said []string
	keeper, err := kube.NewTierKeeper(&kube.Conn{Config: config}, func(s string) {
		mu.Lock()
		defer mu.Unlock()
		said = append(said, s)
	})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); keeper.Run(keep) }()
	defer func() { stop(); <-done }()

	resource := func(plural string) schema.GroupVersionResource {
		return schema.GroupVersionResource{Group: crd.Group, Version: crd.Version, Resource: plural}
	}
	client := plane.Dynamic(t)
	tiers := client.Resource(resource("tiers"))
	held := func(name string) func() bool {
		return func() bool {
			u, err := tiers.Get(ctx, name, metav1.GetOptions{})
			return err == nil && len(u.GetFinalizers()) == 1 && u.GetFinalizers()[0] == kube.TierFinalizer
		}
	}
	gone := func(name string) func() bool {
		return func() bool { _, err := tiers.Get(ctx, name, metav1.GetOptions{}); return apierrors.IsNotFound(err) }
	}
	const tier = "apiVersion: projectcalico.org/v3\nkind: Tier\nmetadata: {name: "
	plane.Apply(t, tier+"used}\n", tier+"idle}\n", tier+"default}\n",
		"apiVersion: projectcalico.org/v3\nkind: StagedNetworkPolicy\nmetadata: {name: db, namespace: vote}\nspec: {tier: used}\n")
	kubetest.Eventually(t, "tiers are held", held("used"))
	kubetest.Eventually(t, "tiers are held", held("idle"))
	for _, name := range []string{"used", "idle"} {
		kubetest.Eventually(t, name+" is deleted", func() bool { // once the API server has read what else could be in it
			return tiers.Delete(ctx, name, metav1.DeleteOptions{}) == nil
		})
	}
	kubetest.Eventually(t, "the tier that nothing is in goes", gone("idle"))
	kubetest.Eventually(t, "it is said why the other stays", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return strings.Contains(strings.Join(said, "\n"), "tier used is to be deleted, and stays while StagedNetworkPolicy vote/db is in it")
	})
	if err := plane.Restart(ctx); err != nil {
		t.Fatal(err)
	}
	if !held("used")() {
		t.Error("the tier is gone, and a policy is in it")
	}
	if err := client.Resource(resource("stagednetworkpolicies")).Namespace("vote").Delete(ctx, "db", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	kubetest.Eventually(t, "the tier goes with its last policy", gone("used"))
	if u, err := tiers.Get(ctx, "default", metav1.GetOptions{}); err != nil || len(u.GetFinalizers()) > 0 {
		t.Errorf("a built-in tier needs no finalizer: %v %v", u, err)
	}

	// Without a keeper an administrator lets all tiers go.
	plane.Apply(t, tier+"last}\n")
	kubetest.Eventually(t, "tiers are held", held("last"))
	stop()
	<-done
	admin, err := kube.NewTierKeeper(&kube.Conn{Config: plane.Admin()}, func(string) {})
	if err != nil {
		t.Fatal(err)
	}
	if err := admin.Release(ctx); err != nil {
		t.Fatal(err)
	}
	// The API server that was started anew has to read first what could be in it.
	kubetest.Eventually(t, "a tier that is let go is deleted", func() bool {
		return tiers.Delete(ctx, "last", metav1.DeleteOptions{}) == nil
	})
	if !gone("last")() {
		t.Error("a tier that is let go stays")
	}

	// The keeper may change finalizers, and no tier.
	same, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	plane.Apply(t, tier+"other}\n")
	kubetest.Eventually(t, "the keeper can't change a tier's order", func() bool {
		_, err := same.Resource(resource("tiers")).Patch(ctx, "other", types.MergePatchType, []byte(`{"spec":{"order":1}}`), metav1.PatchOptions{})
		return apierrors.IsForbidden(err) && strings.Contains(err.Error(), "finalizers of tiers only")
	})
}
