//go:build linux

package enforce_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"github.com/netpol-project/netpol/internal/cluster/kube"
	"github.com/netpol-project/netpol/internal/kubetest"
	"github.com/netpol-project/netpol/internal/netnstest"
	"github.com/netpol-project/netpol/pkg/enforce"
	"github.com/netpol-project/netpol/pkg/enforce/agentpb"
)

// clusterNode is a node of a real API server.
type clusterNode struct {
	*node
	plane  *kubetest.ControlPlane
	client *dynamic.DynamicClient
}

var (
	podsAPI     = schema.GroupVersionResource{Version: "v1", Resource: "pods"}
	policiesAPI = schema.GroupVersionResource{Group: "networking.k8s.io", Version: "v1", Resource: "networkpolicies"}
)

func newClusterNode(t testing.TB) *clusterNode {
	t.Helper()
	n := &clusterNode{node: newNode(t), plane: kubetest.New(t, kubetest.Options{})}
	n.client = n.plane.Dynamic(t)
	n.plane.Apply(t, "apiVersion: v1\nkind: Namespace\nmetadata: {name: "+namespace+"}\n",
		"apiVersion: v1\nkind: Node\nmetadata: {name: "+nodeName+"}\nspec: {podCIDRs: [10.65.0.0/24, \"fd65::/64\"], podCIDR: 10.65.0.0/24}\n")
	return n
}

// create makes the object of a pod that has no address yet.
func (n *clusterNode) create(name string) {
	n.t.Helper()
	n.plane.Apply(n.t, fmt.Sprintf("apiVersion: v1\nkind: Pod\nmetadata: {name: %s, namespace: %s, labels: {app: %s}}\n"+
		"spec: {nodeName: %s, containers: [{name: c, image: none}]}\n", name, namespace, name, nodeName))
}

// report says of a pod what a kubelet says of one that runs, or ended.
func (n *clusterNode) report(p *pod, phase string) *unstructured.Unstructured {
	n.t.Helper()
	patch := fmt.Sprintf(`{"status": {"phase": %q, "podIP": %q, "podIPs": [{"ip": %q}, {"ip": %q}]}}`, phase, p.addrs[0], p.addrs[0], p.addrs[1])
	got, err := n.client.Resource(podsAPI).Namespace(namespace).Patch(context.Background(), p.name, types.MergePatchType, []byte(patch), metav1.PatchOptions{}, "status")
	n.must(err)
	return got
}

// netpol writes a NetworkPolicy of Kubernetes.
func (n *clusterNode) netpol(name, spec string) *unstructured.Unstructured {
	n.t.Helper()
	n.plane.Apply(n.t, fmt.Sprintf("apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: %s, namespace: %s}\nspec: %s\n", name, namespace, spec))
	got, err := n.client.Resource(policiesAPI).Namespace(namespace).Get(context.Background(), name, metav1.GetOptions{})
	n.must(err)
	return got
}

// written names what was written.
func written(o *unstructured.Unstructured) *agentpb.Written {
	kind := o.GetKind()
	if kind == "NetworkPolicy" {
		kind = "KubernetesNetworkPolicy"
	}
	return &agentpb.Written{Kind: kind, Namespace: o.GetNamespace(), Name: o.GetName(), Version: o.GetResourceVersion()}
}

// run starts the agent without waiting for anything.
func (n *clusterNode) run() (stop func()) {
	n.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	log := slog.New(slog.NewTextHandler(n.t.Output(), nil))
	store, err := kube.OpenStore(ctx, &kube.Conn{Config: n.plane.Admin()}, kube.Options{Log: log})
	n.must(err)
	ended := make(chan error, 1)
	go func() {
		ended <- runAgent(ctx, n.dir, log, func(o *enforce.Options) {
			byKind(o)
			o.Source, o.HTTP = store, healthAddr
		})
	}()
	stopped := false
	stop = func() {
		cancel()
		if !stopped {
			stopped = true
			if err := <-ended; err != nil {
				n.t.Errorf("the agent ended with %v", err)
			}
		}
	}
	n.t.Cleanup(stop)
	return stop
}

const only8080 = `{podSelector: {matchLabels: {app: server}}, policyTypes: [Ingress], ingress: [{from: [{podSelector: {matchLabels: {app: client}}}], ports: [{port: 8080}]}]}`

// An agent of a real API server: from a pod's creation to its end, through an
// outage and a restart.
func TestClusterAgent(t *testing.T) {
	netnstest.Run(t, func(t *testing.T) {
		n := newClusterNode(t)
		stop := n.run()
		a := n.connect(stop)
		health(t, http.StatusOK, http.StatusOK)

		client, server := n.wireAs("calic", "client"), n.wireAs("calis", "server")
		l := n.listen(server, serverPort)
		n.create("client")
		n.create("server")
		n.refusedAs("drop-unknown", "to a pod whose address nobody knows", client, client.addrs[0], server.addrs[0])
		n.report(client, "Running")
		n.await(a, written(n.report(server, "Running")))
		for family := range 2 {
			if got := a.try(client, server, family, forbiddenPort); got != closed {
				t.Errorf("without policy: %s, want %s", got, closed)
			}
		}
		n.await(a, written(n.netpol("server", only8080)))
		for family := range 2 {
			if got := a.try(client, server, family, forbiddenPort); got != denied {
				t.Errorf("under policy: %s, want %s", got, denied)
			}
		}
		live := n.tcp(client, netip.AddrPortFrom(server.addrs[1], serverPort), l)
		live.alive(t, "before the outage")

		n.outage(a, live, client, server)
		stop()
		stop = n.run()
		health(t, http.StatusOK, http.StatusServiceUnavailable)
		live.alive(t, "with a new agent, and no API server")
		n.must(n.plane.StartAPIServer(t.Context()))
		health(t, http.StatusOK, http.StatusOK)
		a = n.connect(stop)
		live.alive(t, "after the outage")

		// A pod that ends owns nothing any more.
		n.await(a, written(n.report(server, "Succeeded")))
		n.refusedAs("drop-unknown", "to a pod that has ended", client, client.addrs[0], server.addrs[0])
		if s := a.status(); s.CutConnections != 0 {
			t.Errorf("%d connections cut: a pod that ends is no change of policy", s.CutConnections)
		}
		a.agreed()
	})
}

// outage takes the API server away.
func (n *clusterNode) outage(a *agent, live *link, client, server *pod) {
	n.t.Helper()
	n.plane.KillAPIServer()
	await(n.t, "the agent to say that the API server is away", func() bool {
		return strings.Contains(strings.Join(a.status().Problems, "\n"), "what is in force may be old")
	})
	health(n.t, http.StatusOK, http.StatusOK)
	live.alive(n.t, "during the outage")
	for family := range 2 {
		if got := a.try(client, server, family, forbiddenPort); got != denied {
			n.t.Errorf("during the outage: %s, want %s", got, denied)
		}
	}
}

// TestClusterWindow measures how long a new pod waits for its policy without
// the CNI plugin: from the API server's knowledge of its address to the rules.
func TestClusterWindow(t *testing.T) {
	netnstest.Run(t, func(t *testing.T) {
		n := newClusterNode(t)
		a := n.connect(n.run())
		n.await(a, written(n.netpol("server", only8080)))
		var longest, sum time.Duration
		const pods = 20
		for i := range pods {
			p := n.wireAs(fmt.Sprintf("cali%d", i), fmt.Sprintf("pod-%d", i))
			n.create(p.name)
			start := time.Now()
			n.await(a, written(n.report(p, "Running")))
			took := time.Since(start)
			longest, sum = max(longest, took), sum+took
		}
		t.Logf("a pod's address is in force after %s on average, %s at most, the write included", sum/pods, longest)
		if sum/pods > 2*time.Second {
			t.Errorf("a pod waited %s for its policy on average", sum/pods)
		}
	})
}
