package flow_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/netpol-project/netpol/internal/goldmanetest"
	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/flow/flowpb"
	"github.com/netpol-project/netpol/pkg/policy"
)

// listed are three flows as a real Goldmane listed them.
func listed(t *testing.T) []*flowpb.Flow {
	t.Helper()
	data, err := os.ReadFile("testdata/goldmane-flows.json")
	if err != nil {
		t.Fatal(err)
	}
	var raw []json.RawMessage
	if err := json.Unmarshal(data, &raw); err != nil {
		t.Fatal(err)
	}
	var out []*flowpb.Flow
	for _, r := range raw {
		var w flowpb.FlowResult
		if err := protojson.Unmarshal(r, &w); err != nil {
			t.Fatal(err)
		}
		out = append(out, w.GetFlow())
	}
	return out
}

// windowStart is when the listed flows begin.
const windowStart = 1795371270

func goldmane(t *testing.T, flows ...*flowpb.Flow) (*goldmanetest.Server, flow.Source) {
	t.Helper()
	s := goldmanetest.Start(t)
	s.Now = func() time.Time { return time.Unix(windowStart+600, 0) }
	for _, f := range flows {
		s.Add(f)
	}
	conn, err := flow.DialTLS(s.Address, clientTLS(t, s.Certs))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return s, flow.NewClient(conn)
}

func clientTLS(t *testing.T, c *goldmanetest.Certs) *tls.Config {
	t.Helper()
	pair, err := tls.X509KeyPair(c.ClientCert, c.ClientKey)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(c.CA)
	return &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}, ServerName: "goldmane.calico-system.svc"}
}

func TestGoldmaneTracesAreStructured(t *testing.T) {
	_, src := goldmane(t, listed(t)...)
	flows, _, err := src.List(t.Context(), flow.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	np1 := policy.Key{Kind: policy.KindNetworkPolicy, Namespace: "default", Name: "sec.np1"}
	k1 := policy.Key{Kind: policy.KindKubernetesNetworkPolicy, Namespace: "default", Name: "k1"}
	sgnp1 := policy.Key{Kind: policy.KindStagedGlobalNetworkPolicy, Name: "sec.sgnp1"}
	step := func(index int, tier string, key policy.Key, rule int, action policy.Action) flow.Step {
		return flow.Step{Hit: policy.Hit{Tier: tier, Policy: key, Rule: rule, Action: action}, Index: index}
	}
	pass := step(0, "sec", np1, 1, policy.Pass)
	deny := []flow.Step{step(0, "sec", sgnp1, 0, policy.Deny)}
	want := map[string][2][]flow.Step{
		"p1 8080": {{step(0, "sec", np1, 0, policy.Allow)}, deny},
		"p1 9090": {{pass, step(1, "default", k1, policy.EndOfTier, policy.Deny)}, deny},
		"p4 8080": {{pass, step(1, "default", k1, 0, policy.Allow)}, {pass, step(1, "default", k1, 0, policy.Allow)}},
	}
	got := map[string][2][]flow.Step{}
	for _, f := range flows {
		got[fmt.Sprint(f.Source.Workload.Name, " ", f.Port)] = [2][]flow.Step{f.EnforcedTrace, f.PendingTrace}
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestGoldmaneCountsAreNeverTooHigh(t *testing.T) {
	open := listed(t)[0] // what is open counts again in each window
	open.NumConnectionsStarted, open.NumConnectionsCompleted, open.NumConnectionsLive = 2, 0, 2
	again := listed(t)[0]
	again.StartTime += 15
	again.NumConnectionsStarted, again.NumConnectionsCompleted, again.NumConnectionsLive = 0, 0, 2
	ending := listed(t)[0]
	ending.StartTime += 30
	ending.NumConnectionsStarted, ending.NumConnectionsCompleted, ending.NumConnectionsLive = 1, 1, 3
	denied := listed(t)[1]
	_, src := goldmane(t, open, again, ending, denied)
	for _, c := range []struct {
		name        string
		since       int64
		port        uint16
		n, done, up int64
		observed    int64
	}{
		{"three began, one of them ended", 0, 8080, 3, 1, 2, 3},
		{"one began and ended, two were open before", windowStart + 30, 8080, 1, 1, 0, 1},
		{"what is refused is never open", 0, 9090, 3, 0, 0, 3},
	} {
		f := flow.Filter{Port: c.port, Protocol: policy.TCP}
		if c.since != 0 {
			f.Since = time.Unix(c.since, 0)
			f.Since = f.Since.Add(14 * time.Second) // its window counts whole
		}
		flows, _, err := src.List(t.Context(), f)
		if err != nil || len(flows) != 1 {
			t.Fatalf("%s: %v %v", c.name, flows, err)
		}
		if got := flows[0]; got.Connections != c.n || got.Completed != c.done || got.Live != c.up {
			t.Errorf("%s: got %d started, %d completed, %d live", c.name, got.Connections, got.Completed, got.Live)
		}
		if o := flow.Merge(flows); o[0].Connections != c.observed {
			t.Errorf("%s: %d connections, want %d", c.name, o[0].Connections, c.observed)
		}
	}
	only := listed(t)[0] // nothing began or ended: it is one at least
	only.NumConnectionsStarted, only.NumConnectionsCompleted, only.NumConnectionsLive = 0, 0, 7
	_, src = goldmane(t, only)
	flows, _, err := src.List(t.Context(), flow.Filter{})
	if err != nil || len(flows) != 1 || flow.Merge(flows)[0].Connections != 1 {
		t.Errorf("open all the time: %v %v", flows, err)
	}
}

func TestGoldmanePagesAreAllRead(t *testing.T) {
	var flows []*flowpb.Flow
	for port := range int64(25) {
		f := listed(t)[0]
		f.Key.DestPort = 1000 + port
		flows = append(flows, f)
	}
	s, src := goldmane(t, flows...)
	s.PageSize = 10
	got, _, err := src.List(t.Context(), flow.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	ports := map[uint16]bool{}
	for _, f := range got {
		ports[f.Port] = true
	}
	if len(got) != 25 || len(ports) != 25 || len(s.Asked()) != 3 {
		t.Errorf("%d flows to %d ports in %d pages, want 25, 25, 3", len(got), len(ports), len(s.Asked()))
	}
}

func TestGoldmaneFollow(t *testing.T) {
	s, src := goldmane(t, listed(t)[0])
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	errEnough := errors.New("enough")
	var ports []uint16
	err := src.Follow(ctx, flow.Filter{Since: time.Unix(windowStart, 0)}, func(f flow.Flow) error {
		ports = append(ports, f.Port)
		if len(ports) == 2 {
			return errEnough
		}
		next := listed(t)[1]
		next.StartTime += 60
		s.Add(next)
		return nil
	})
	if !errors.Is(err, errEnough) || !cmp.Equal(ports, []uint16{8080, 9090}) {
		t.Errorf("%v %v", ports, err)
	}
}

func TestGoldmaneWantsACertificate(t *testing.T) {
	s, _ := goldmane(t)
	for name, change := range map[string]func(*tls.Config){
		"no client certificate":            func(c *tls.Config) { c.Certificates = nil },
		"another authority":                func(c *tls.Config) { c.RootCAs = x509.NewCertPool() },
		"a name that is not in the server": func(c *tls.Config) { c.ServerName = "localhost" },
	} {
		config := clientTLS(t, s.Certs)
		change(config)
		conn, err := flow.DialTLS(s.Address, config)
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = flow.NewClient(conn).List(t.Context(), flow.Filter{})
		if status.Code(errors.Unwrap(err)) != codes.Unavailable {
			t.Errorf("%s: %v", name, err)
		}
		_ = conn.Close()
	}
}
