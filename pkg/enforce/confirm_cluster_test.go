//go:build linux

package enforce_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	"github.com/netpol-project/netpol/internal/cluster"
	"github.com/netpol-project/netpol/internal/cluster/kube"
	"github.com/netpol-project/netpol/internal/install"
	"github.com/netpol-project/netpol/internal/kubetest"
	"github.com/netpol-project/netpol/internal/netnstest"
	"github.com/netpol-project/netpol/pkg/enforce"
	"github.com/netpol-project/netpol/pkg/enforce/agentpb"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/stage"
)

var calicoPolicies = schema.GroupVersionResource{Group: "projectcalico.org", Version: "v3", Resource: "networkpolicies"}

// installed is what netpol install brings, as far as an agent's rights and those
// of who writes policies depend on it.
func (n *clusterNode) installed() {
	n.t.Helper()
	values, err := install.Defaults(install.Release)
	n.must(err)
	list, err := install.Objects(values)
	n.must(err)
	var manifests []string
	for _, u := range list {
		switch u.GetKind() {
		case "Namespace", "ConfigMap", "Role", "RoleBinding", "CustomResourceDefinition", "ClusterRole", "ClusterRoleBinding", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding":
			text, err := yaml.Marshal(u.Object)
			n.must(err)
			manifests = append(manifests, string(text))
		}
	}
	n.plane.Apply(n.t, manifests...)
}

// asAgent is the API as the agents' ServiceAccount may use it.
func (n *clusterNode) asAgent() *rest.Config {
	config := n.plane.Admin()
	config.Impersonate.UserName = "system:serviceaccount:netpol-system:netpol-agent"
	config.Impersonate.Groups = []string{"system:serviceaccounts", "system:serviceaccounts:netpol-system", "system:authenticated"}
	return config
}

// runAs runs an agent with its own rights.
func (n *clusterNode) runAs(config *rest.Config, c *clock) (stop func()) {
	n.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	log := slog.New(slog.NewTextHandler(n.t.Output(), nil))
	store, err := kube.OpenStore(ctx, &kube.Conn{Config: config}, kube.Options{Log: log})
	n.must(err)
	ended := make(chan error, 1)
	go func() {
		ended <- runAgent(ctx, n.dir, log, func(o *enforce.Options) {
			byKind(o)
			o.Source, o.HTTP = store, healthAddr
			enforce.SetClocks(o, c.since, nil)
		})
	}()
	n.t.Cleanup(func() {
		cancel()
		<-ended
	})
	return cancel
}

func (n *clusterNode) object(text string) *unstructured.Unstructured {
	n.t.Helper()
	u := &unstructured.Unstructured{}
	data, err := yaml.YAMLToJSON([]byte(text))
	n.must(err)
	n.must(u.UnmarshalJSON(data))
	return u
}

// enforceOnTrial is netpol enforce --confirm-within.
func (n *clusterNode) enforceOnTrial(store *kube.Store, staged string, within time.Duration) cluster.Result {
	n.t.Helper()
	ctx := context.Background()
	u := n.object(staged)
	twin, _ := stage.Twin(cluster.KeyOf(u))
	live, err := store.Get(ctx, twin)
	if err != nil && !errors.Is(err, cluster.ErrNotFound) {
		n.t.Fatal(err)
	}
	edits, err := stage.Enforce(u, live)
	n.must(err)
	edits, err = stage.OnTrial(edits, live, stage.TrialRequest{Within: within, Now: time.Now()})
	n.must(err)
	r, err := store.Change(ctx, []cluster.Change{{Object: edits[0].Object}}, false)
	n.must(err)
	return r[0]
}

const (
	stagedClosed = `{apiVersion: projectcalico.org/v3, kind: StagedNetworkPolicy, metadata: {name: server, namespace: shop}, spec: {stagedAction: Set, selector: app == 'server', types: [Ingress]}}`
	openBefore   = `{apiVersion: projectcalico.org/v3, kind: NetworkPolicy, metadata: {name: server, namespace: shop, labels: {team: shop}}, spec: {order: 10, selector: app == 'server', types: [Ingress], ingress: [{action: Allow, protocol: TCP, destination: {ports: [8080]}}]}}`
	kubernetesUp = `{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: k8s, namespace: shop}, spec: {podSelector: {matchLabels: {app: server}}, policyTypes: [Ingress], ingress: [{ports: [{port: 9999, protocol: TCP}]}]}}`
	stagedOther  = `{apiVersion: projectcalico.org/v3, kind: StagedKubernetesNetworkPolicy, metadata: {name: k8s, namespace: shop}, spec: {stagedAction: Set, podSelector: {matchLabels: {app: server}}, policyTypes: [Ingress]}}`
)

// The API server is away when the time is over: the node goes back all the same,
// and writes it back with an agent's rights as soon as it can.
func TestClusterTrialEndsWhileTheAPIIsDown(t *testing.T) {
	netnstest.Run(t, func(t *testing.T) {
		n := newClusterNode(t)
		n.installed()
		c := newClock(time.Hour)
		a := n.connect(n.runAs(n.asAgent(), c))
		health(t, http.StatusOK, http.StatusOK)
		client, server := n.wireAs("calic", "client"), n.wireAs("calis", "server")
		n.create("client")
		n.create("server")
		n.report(client, "Running")
		n.await(a, written(n.report(server, "Running")))
		users, err := kube.OpenStore(t.Context(), &kube.Conn{Config: n.plane.Admin()}, kube.Options{})
		n.must(err)
		for _, text := range []string{openBefore, kubernetesUp} {
			_, err := users.Change(t.Context(), []cluster.Change{{Object: n.object(text)}}, false)
			n.must(err)
		}
		kubetest.Eventually(t, "agents are held", func() bool {
			c := n.client.Resource(calicoPolicies).Namespace(namespace)
			u, err := c.Get(context.Background(), "server", metav1.GetOptions{})
			n.must(err)
			u.SetAnnotations(map[string]string{policy.NotePrevious: "{}"})
			_, err = c.Update(context.Background(), u, metav1.UpdateOptions{DryRun: []string{"All"}})
			return apierrors.IsInvalid(err) || apierrors.IsForbidden(err)
		})
		const within = 5 * time.Minute
		n.enforceOnTrial(users, stagedOther, within)
		r := n.enforceOnTrial(users, stagedClosed, within)
		n.await(a, &agentpb.Written{Kind: "NetworkPolicy", Namespace: namespace, Name: "server", Version: r.Version})
		for family := range 2 {
			if got := a.try(client, server, family, serverPort); got != denied {
				t.Errorf("on trial: %s, want %s", got, denied)
			}
		}
		n.plane.KillAPIServer()
		c.pass(within)
		a.wake()
		await(t, "the server to be open again, with nobody to ask", func() bool { return a.try(client, server, 1, serverPort) == closed })
		await(t, "the status to say that it is not written back", func() bool {
			return strings.Contains(strings.Join(a.status().Problems, "\n"), "nobody confirmed NetworkPolicy shop/server in time")
		})
		n.must(n.plane.StartAPIServer(t.Context()))
		await(t, "both to be written back", func() bool {
			v3, err := n.client.Resource(calicoPolicies).Namespace(namespace).Get(context.Background(), "server", metav1.GetOptions{})
			k8s, err2 := n.client.Resource(policiesAPI).Namespace(namespace).Get(context.Background(), "k8s", metav1.GetOptions{})
			return err == nil && err2 == nil && stage.Reverted(v3) == 1 && stage.Reverted(k8s) == 1
		})
		v3, err := n.client.Resource(calicoPolicies).Namespace(namespace).Get(t.Context(), "server", metav1.GetOptions{})
		n.must(err)
		if order, _, _ := unstructured.NestedInt64(v3.Object, "spec", "order"); order != 10 || v3.GetLabels()["team"] != "shop" {
			t.Errorf("written back: %v", v3.Object)
		}
		if by, ok := stage.RevertOf(v3); !ok || by.By != "agent on "+nodeName || by.Reason != stage.RevertDeadline || by.Revision != 1 {
			t.Errorf("who wrote it back: %+v", by)
		}
		await(t, "the status to be well", func() bool { return len(a.status().Problems) == 0 })
		for family := range 2 {
			if got := a.try(client, server, family, serverPort); got != closed {
				t.Errorf("written back: %s, want %s", got, closed)
			}
		}

		// One that was not there before goes again.
		n.must(n.client.Resource(calicoPolicies).Namespace(namespace).Delete(t.Context(), "server", metav1.DeleteOptions{}))
		r = n.enforceOnTrial(users, stagedClosed, within)
		n.await(a, &agentpb.Written{Kind: "NetworkPolicy", Namespace: namespace, Name: "server", Version: r.Version})
		c.pass(within)
		a.wake()
		await(t, "it to be deleted", func() bool {
			_, err := n.client.Resource(calicoPolicies).Namespace(namespace).Get(context.Background(), "server", metav1.GetOptions{})
			return apierrors.IsNotFound(err)
		})
		await(t, "it to be noted who deleted it", func() bool {
			list, err := cluster.Reverts(context.Background(), users)
			return err == nil && len(list) == 1 && list[0].Name == "server" && list[0].Revert.By == "agent on "+nodeName
		})
		a.agreed()
	})
}

// wake has an agent look at its clock, as it does when a timer of its own ends.
func (a *agent) wake() {
	_, _ = a.AwaitPod(context.Background(), &agentpb.AwaitPodRequest{
		Container: "none", Namespace: namespace, Name: "none", Addresses: []string{"10.65.0.250"}, TimeoutMilliseconds: 1,
	})
	_, _ = a.ForgetPod(context.Background(), &agentpb.ForgetPodRequest{Container: "none"})
}
