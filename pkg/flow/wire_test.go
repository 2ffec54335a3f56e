package flow

import (
	"encoding/json"
	"math"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/netpol-project/netpol/pkg/flow/flowpb"
	"github.com/netpol-project/netpol/pkg/policy"
)

func TestWireReadsGoldmane(t *testing.T) {
	data, err := os.ReadFile("testdata/goldmane-flows.json")
	if err != nil {
		t.Fatal(err)
	}
	var raw []json.RawMessage
	if err := json.Unmarshal(data, &raw); err != nil {
		t.Fatal(err)
	}
	var got []Flow
	for _, r := range raw {
		var w flowpb.FlowResult
		if err := protojson.Unmarshal(r, &w); err != nil {
			t.Fatal(err)
		}
		got = append(got, FromWire(w.GetFlow()))
	}
	p := func(name string) Peer {
		return Peer{Kind: PeerWorkload, Workload: policy.Workload{Namespace: "default", Name: name}}
	}
	labels := func(app, role string) map[string]string { return map[string]string{"app": app, "role": role} }
	np1 := policy.Key{Kind: policy.KindNetworkPolicy, Namespace: "default", Name: "sec.np1"}
	sgnp1 := policy.Key{Kind: policy.KindStagedGlobalNetworkPolicy, Name: "sec.sgnp1"}
	k1 := policy.Key{Kind: policy.KindKubernetesNetworkPolicy, Namespace: "default", Name: "k1"}
	base := Flow{
		FirstSeen: time.Unix(1795371270, 0).UTC(), LastSeen: time.Unix(1795371285, 0).UTC(),
		Connections: 3, Completed: 3, Live: 3,
		PacketsIn: 12, PacketsOut: 6, BytesIn: 648, BytesOut: 336,
		SourceLabels: labels("p1", "client"), DestinationLabels: labels("p2", "server"),
		Key: Key{
			Source: p("p1"), Destination: p("p2"), Protocol: policy.TCP, Port: 8080, Direction: policy.Ingress,
			Enforced: policy.Hit{Tier: "sec", Policy: np1, Action: policy.Allow},
			Pending:  policy.Hit{Tier: "sec", Policy: sgnp1, Action: policy.Deny},
		},
	}
	denied, other := base, base
	denied.Port, denied.Live = 9090, 6
	denied.Enforced = policy.Hit{Tier: "default", Policy: k1, Rule: policy.EndOfTier, Action: policy.Deny}
	denied.PacketsIn, denied.PacketsOut, denied.BytesIn, denied.BytesOut = 3, 0, 180, 0
	other.Source, other.SourceLabels = p("p4"), labels("p4", "other")
	other.Enforced = policy.Hit{Tier: "default", Policy: k1, Action: policy.Allow}
	other.Pending = other.Enforced
	if d := cmp.Diff([]Flow{base, denied, other}, got, cmp.Comparer(sameAddr)); d != "" {
		t.Error(d)
	}
}

func TestWireGoldmaneClientSkipsOurFields(t *testing.T) {
	k := tcp(network("192.0.2.7"), workload("vote", "vote"), 80)
	k.Direction = policy.Ingress
	w := ToWire(Flow{Key: k, FirstSeen: t0, LastSeen: t0.Add(1500 * time.Millisecond), Connections: 1}).GetKey()
	for _, c := range []struct{ field, got, want string }{
		{"source_name", w.GetSourceName(), "pub"},
		{"source_namespace", w.GetSourceNamespace(), "-"},
		{"source_type", w.GetSourceType().String(), "Network"},
		{"dest_name", w.GetDestName(), "vote"},
		{"dest_service_name", w.GetDestServiceName(), "-"},
		{"proto", w.GetProto(), "tcp"},
		{"reporter", w.GetReporter().String(), "Dst"},
		{"policy kind", w.GetPolicies().GetEnforcedPolicies()[0].GetKind().String(), "Profile"},
		{"policy name", w.GetPolicies().GetEnforcedPolicies()[0].GetName(), "kns.vote"},
	} {
		if c.got != c.want {
			t.Errorf("%s: got %q, want %q", c.field, c.got, c.want)
		}
	}
}

func TestWireRoundTrip(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		want := randomFlow(rt)
		data, err := proto.Marshal(ToWire(want))
		if err != nil {
			rt.Fatal(err)
		}
		var w flowpb.Flow
		if err := proto.Unmarshal(data, &w); err != nil {
			rt.Fatal(err)
		}
		if d := cmp.Diff(want, FromWire(&w), cmp.Comparer(sameAddr)); d != "" {
			rt.Fatal(d)
		}
	})
}

func randomFlow(t *rapid.T) Flow {
	name := rapid.SampledFrom([]string{"a", "b", "a-b"})
	peer := func() Peer {
		switch rapid.IntRange(0, 3).Draw(t, "peer") {
		case 0:
			return Peer{Kind: PeerWorkload, Workload: policy.Workload{
				Kind: policy.KindStatefulSet, Namespace: name.Draw(t, "ns"), Name: name.Draw(t, "name")}}
		case 1:
			return Peer{Kind: PeerHost, Workload: policy.Workload{Name: name.Draw(t, "node")}}
		case 2:
			return Peer{Kind: PeerNetworkSet, Addr: netip.MustParseAddr("192.0.2.9"), Workload: policy.Workload{
				Namespace: rapid.SampledFrom([]string{"", "a"}).Draw(t, "setns"), Name: name.Draw(t, "set")}}
		}
		return Peer{Kind: PeerNetwork, Addr: rapid.SampledFrom([]netip.Addr{
			netip.MustParseAddr("10.1.2.3"), netip.MustParseAddr("2001:db8::1")}).Draw(t, "addr")}
	}
	hit := func() policy.Hit {
		action := rapid.SampledFrom([]policy.Action{policy.Allow, policy.Deny}).Draw(t, "action")
		rule := rapid.IntRange(policy.NoPolicy, 1023).Draw(t, "rule")
		if rule == policy.NoPolicy {
			return policy.Hit{Rule: rule, Action: policy.Allow}
		}
		return policy.Hit{Tier: name.Draw(t, "tier"), Rule: rule, Action: action, Policy: policy.Key{
			Kind: policy.KindStagedNetworkPolicy, Namespace: name.Draw(t, "ns"), Name: name.Draw(t, "policy")}}
	}
	log := func() policy.Hit {
		h := hit()
		h.Tier, h.Rule, h.Action, h.Policy.Kind = "t", max(h.Rule, 0), policy.Log, policy.KindGlobalNetworkPolicy
		return h
	}
	var logs []policy.Hit
	for range rapid.IntRange(0, 2).Draw(t, "logs") {
		logs = append(logs, log())
	}
	count := func() int64 { return rapid.Int64Range(0, math.MaxInt64).Draw(t, "count") }
	at := func() time.Time { return time.Unix(0, rapid.Int64Range(1, 1<<62).Draw(t, "time")).UTC() }
	return Flow{
		Key: Key{
			Source: peer(), Destination: peer(),
			ServiceNamespace: name.Draw(t, "svcns"), ServiceName: name.Draw(t, "svc"), ServicePortName: name.Draw(t, "svcport"),
			Protocol:  policy.Protocol(rapid.Uint8Range(1, 255).Draw(t, "proto")),
			Port:      rapid.Uint16().Draw(t, "port"),
			Direction: rapid.SampledFrom([]policy.Direction{policy.Ingress, policy.Egress}).Draw(t, "dir"),
			Enforced:  hit(), Pending: hit(), Probe: rapid.Bool().Draw(t, "probe"), Logs: NewLogs(logs),
		},
		FirstSeen: at(), LastSeen: at(),
		Connections: count(), Completed: count(), Live: count(),
		PacketsIn: count(), PacketsOut: count(), BytesIn: count(), BytesOut: count(),
		SourceLabels: map[string]string{"app": "x", "e": "", "f": "g=h"},
	}
}
