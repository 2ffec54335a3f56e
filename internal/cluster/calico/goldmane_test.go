package calico_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/netpol-project/netpol/internal/cluster/calico"
	"github.com/netpol-project/netpol/internal/cluster/kube"
	"github.com/netpol-project/netpol/internal/goldmanetest"
	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/flow/flowpb"
)

func cluster(t *testing.T) (*goldmanetest.Cluster, *kube.Conn, *kube.Raw) {
	t.Helper()
	s := goldmanetest.Start(t)
	s.Add(&flowpb.Flow{
		Key:       &flowpb.FlowKey{SourceName: "a", SourceNamespace: "ns", SourceType: flowpb.EndpointType_WorkloadEndpoint, DestType: flowpb.EndpointType_Network, Proto: "tcp", Reporter: flowpb.Reporter_Src},
		StartTime: time.Now().Unix() - 60, NumConnectionsStarted: 1,
	})
	c := goldmanetest.NewCluster(t, s, "v3.31.2")
	conn := &kube.Conn{Config: c.Config(), Namespace: "default"}
	raw, err := kube.NewRaw(conn, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	return c, conn, raw
}

func TestDetectAndReachGoldmane(t *testing.T) {
	c, conn, raw := cluster(t)
	info, err := calico.Detect(t.Context(), conn, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if !info.Enforces() || info.API != calico.Aggregated || info.Version.String() != "v3.31.2" || info.Goldmane == nil || len(info.Denied) > 0 {
		t.Fatalf("%+v", info)
	}
	client, err := calico.DialGoldmane(t.Context(), conn, raw, *info.Goldmane)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Close() }()
	flows, _, err := flow.NewClient(client).List(t.Context(), flow.Filter{})
	if err != nil || len(flows) != 1 || flows[0].Source.Workload.Name != "a" {
		t.Errorf("%v %v", flows, err)
	}
	if c.Forwards() != 1 {
		t.Errorf("%d forwarded ports, want 1", c.Forwards())
	}
}

func TestGoldmaneNamesTheRightThatIsMissing(t *testing.T) {
	const system = "/api/v1/namespaces/calico-system/"
	for path, c := range map[string]struct {
		deny  bool // else it is not there
		right string
		says  string
	}{
		system + "secrets/whisker-backend-key-pair":      {true, "get secrets/whisker-backend-key-pair -n calico-system", "reading a client certificate for Goldmane"},
		system + "configmaps/goldmane-ca-bundle":         {true, "get configmaps/goldmane-ca-bundle -n calico-system", "reading the certificates that Goldmane is known by"},
		system + "pods":                                  {true, "list pods -n calico-system", "finding Goldmane's pod"},
		system + "pods/goldmane-1/portforward":           {true, "create pods/portforward -n calico-system", "forwarding a port to Goldmane"},
		system + "secrets/whisker-backend-key-pair gone": {false, "", "not found"},
	} {
		cl, conn, raw := cluster(t)
		path = strings.TrimSuffix(path, " gone")
		if cl.Denied[path] = c.deny; !c.deny {
			delete(cl.Documents, path)
		}
		_, err := calico.DialGoldmane(t.Context(), conn, raw, calico.Service{Namespace: calico.System, Name: "goldmane", Port: 7443})
		var r *calico.ReachError
		if !errors.As(err, &r) || r.Right != c.right || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", path, err)
		}
	}
	cl, conn, raw := cluster(t)
	cl.Documents[system+"pods"] = map[string]any{"items": []any{}}
	if _, err := calico.DialGoldmane(t.Context(), conn, raw, calico.Service{Namespace: calico.System, Port: 7443}); err == nil || !strings.Contains(err.Error(), "none of 0 is ready") {
		t.Error(err)
	}
	// The certificate of Goldmane itself does as well.
	cl, conn, raw = cluster(t)
	cl.Documents[system+"secrets/goldmane-key-pair"] = cl.Documents[system+"secrets/whisker-backend-key-pair"]
	cl.Denied[system+"secrets/whisker-backend-key-pair"] = true
	client, err := calico.DialGoldmane(t.Context(), conn, raw, calico.Service{Namespace: calico.System, Port: 7443})
	if err != nil {
		t.Fatal(err)
	}
	_ = client.Close()
}

func TestDetectNamesWhatMayNotBeRead(t *testing.T) {
	c, conn, _ := cluster(t)
	for path := range c.Documents {
		c.Denied[path] = !strings.HasPrefix(path, "/apis/projectcalico.org/v3") && path != "/apis" || strings.HasSuffix(path, "/default")
	}
	info, err := calico.Detect(t.Context(), conn, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if !info.Enforces() || info.API != calico.Aggregated || info.Version.Known() || info.Goldmane != nil {
		t.Errorf("%+v", info)
	}
	for _, right := range []string{
		"get apiservices.apiregistration.k8s.io/v3.projectcalico.org", "get clusterinformations.projectcalico.org/default",
		"get daemonsets.apps/calico-node -n calico-system", "get services/goldmane -n calico-system",
	} {
		if !strings.Contains(strings.Join(info.Denied, "\n"), right) {
			t.Errorf("%s is missing in %v", right, info.Denied)
		}
	}
	if _, err := calico.Detect(t.Context(), &kube.Conn{Config: (&goldmanetest.Cluster{URL: "http://127.0.0.1:1"}).Config()}, time.Second); err == nil || !strings.Contains(err.Error(), "can't be reached") {
		t.Error(err)
	}
}
