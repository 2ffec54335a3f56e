//go:build linux

package enforce_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/netpol-project/netpol/internal/netnstest"
	"github.com/netpol-project/netpol/pkg/enforce"
	"github.com/netpol-project/netpol/pkg/enforce/agentpb"
)

// A pod whose address a CNI plugin tells starts with its policies in force,
// before the API server knows of the address.
func TestAwaitPod(t *testing.T) {
	netnstest.Run(t, func(t *testing.T) {
		n := newNode(t)
		client, server, _ := n.policedPods()
		n.listenOnce(server, allowedPort)
		n.policy("young", `{selector: app == 'young', types: [Ingress, Egress], egress: [{action: Allow, protocol: TCP, destination: {ports: [8081]}}]}`)
		api := n.apiSource()
		api.tell()
		a := n.start(from(api))
		young := n.wireAs("calinew", "young")
		n.listen(young, serverPort)
		request := &agentpb.AwaitPodRequest{Namespace: namespace, Name: "young", Container: "c1", Addresses: []string{young.addrs[0].String(), young.addrs[1].String()}}
		await := func(patience time.Duration) error {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			_, err := a.AwaitPod(ctx, request)
			return err
		}
		if err := await(100 * time.Millisecond); err == nil {
			t.Error("a pod that the API server does not know: no error")
		}
		// Now it does, but not its address.
		n.write("pod-young", fmt.Sprintf("apiVersion: v1\nkind: Pod\nmetadata: {name: young, namespace: %s, labels: {app: young}}\nspec: {nodeName: %s}\nstatus: {phase: Pending}\n", namespace, nodeName))
		told := make(chan error, 1)
		go func() { told <- await(patience) }()
		api.tell()
		if err := <-told; err != nil {
			t.Fatal(err)
		}
		check := func(when string) {
			t.Helper()
			for family := range 2 {
				if got := a.try(young, server, family, allowedPort); got != connected {
					t.Errorf("%s: what it may, family %d: %s, want %s", when, family, got, connected)
				}
				if got := a.try(young, server, family, forbiddenPort); got != denied {
					t.Errorf("%s: what it may not, family %d: %s, want %s", when, family, got, denied)
				}
				if got := a.try(client, young, family, serverPort); got != denied {
					t.Errorf("%s: to it, family %d: %s, want %s", when, family, got, denied)
				}
			}
		}
		check("told by the plugin")
		n.manifest(young, nodeName, "")
		n.await(a, &agentpb.Written{Kind: "Pod", Namespace: namespace, Name: "young", Version: api.tell()})
		check("told by the API server, too")

		// A start that failed takes its address back.
		second := n.wireAs("calisecond", "second")
		n.write("pod-second", fmt.Sprintf("apiVersion: v1\nkind: Pod\nmetadata: {name: second, namespace: %s, labels: {app: young}}\nspec: {nodeName: %s}\nstatus: {phase: Pending}\n", namespace, nodeName))
		api.tell()
		request = &agentpb.AwaitPodRequest{Namespace: namespace, Name: "second", Container: "c2", Addresses: []string{second.addrs[0].String()}}
		n.must(await(patience))
		if got := a.try(second, server, 0, allowedPort); got != connected {
			t.Errorf("before it is taken back: %s, want %s", got, connected)
		}
		_, err := a.ForgetPod(t.Context(), &agentpb.ForgetPodRequest{Container: "c2"})
		n.must(err)
		a.sync()
		n.refusedAs("drop-unknown", "after it was taken back", second, second.addrs[0], server.addrs[0])

		request = &agentpb.AwaitPodRequest{Namespace: namespace, Name: "second", Container: "c3", Addresses: []string{"10.65.0.77"}}
		if err := await(200 * time.Millisecond); err == nil {
			t.Errorf("an address that no route leads to: %v", err)
		}
		for _, bad := range []*agentpb.AwaitPodRequest{{}, {Namespace: "a", Name: "b", Container: "c", Addresses: []string{"x"}}} {
			if _, err := a.AwaitPod(t.Context(), bad); err == nil || !strings.Contains(err.Error(), "InvalidArgument") {
				t.Errorf("%v: %v", bad, err)
			}
		}
		a.agreed()
	})
}

// A pod whose sandbox is made anew starts: the kubelet goes on reporting the
// addresses of the old one until the new one is ready, which is after the CNI.
func TestAwaitPodOfANewSandbox(t *testing.T) {
	netnstest.Run(t, func(t *testing.T) {
		n := newNode(t)
		_, server, _ := n.policedPods()
		n.listenOnce(server, allowedPort)
		n.policy("young", `{selector: app == 'young', types: [Egress], egress: [{action: Allow, protocol: TCP, destination: {ports: [8081]}}]}`)
		young := n.wireAs("calinew", "young")
		n.write("pod-young", fmt.Sprintf("apiVersion: v1\nkind: Pod\nmetadata: {name: young, namespace: %s, labels: {app: young}}\nspec: {nodeName: %s}\n"+
			"status: {phase: Running, podIP: 10.65.0.99, podIPs: [{ip: 10.65.0.99}]}\n", namespace, nodeName))
		api := n.apiSource()
		api.tell()
		var ahead atomic.Int64
		a := n.start(func(o *enforce.Options) {
			from(api)(o)
			o.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
		})
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		_, err := a.AwaitPod(ctx, &agentpb.AwaitPodRequest{Namespace: namespace, Name: "young", Container: "c2",
			Addresses: []string{young.addrs[0].String(), young.addrs[1].String()}})
		n.must(err)
		check := func(when string) {
			t.Helper()
			for family := range 2 {
				if got := a.try(young, server, family, allowedPort); got != connected {
					t.Errorf("%s: what it may, family %d: %s, want %s", when, family, got, connected)
				}
			}
		}
		for family := range 2 {
			if got := a.try(young, server, family, forbiddenPort); got != denied {
				t.Errorf("what it may not, family %d: %s, want %s", family, got, denied)
			}
		}
		check("while the API server has the old address")
		// The API server may be away for long; what runs goes on (S31).
		ahead.Store(int64(time.Hour))
		n.policy("other", `{selector: app == 'other', types: [Ingress]}`)
		n.await(a, &agentpb.Written{Kind: "NetworkPolicy", Namespace: namespace, Name: "other", Version: api.tell()})
		check("an hour later")
		n.manifest(young, nodeName, "")
		n.await(a, &agentpb.Written{Kind: "Pod", Namespace: namespace, Name: "young", Version: api.tell()})
		check("when it has the new one")
		a.agreed()
	})
}

// After a Sync a change is still waited for by its version: the cluster is not
// taken for a directory, and not listed anew for every change.
func TestAwaitAfterSync(t *testing.T) {
	netnstest.Run(t, func(t *testing.T) {
		n := newNode(t)
		n.policedPods()
		api := n.apiSource()
		version := api.tell()
		a := n.start(from(api))
		a.sync()
		before := api.reloaded()
		n.await(a, &agentpb.Written{Kind: "Pod", Namespace: namespace, Name: "any", Version: version})
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		_, err := a.Await(ctx, &agentpb.AwaitRequest{Changes: []*agentpb.Written{{Kind: "Pod", Namespace: namespace, Name: "any", Version: "99999"}}})
		if status.Code(err) != codes.DeadlineExceeded {
			t.Errorf("a change that has not come: %v", err)
		}
		if more := api.reloaded() - before; more > 0 {
			t.Errorf("all was listed anew %d times", more)
		}
	})
}
