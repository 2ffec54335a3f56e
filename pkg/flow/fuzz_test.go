package flow

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/netpol-project/netpol/pkg/flow/flowpb"
	"github.com/netpol-project/netpol/pkg/policy"
)

// seeds are flows of every kind.
func seeds() []Flow {
	set := Peer{Kind: PeerNetworkSet, Workload: policy.Workload{Namespace: "shop", Name: "office"}, Addr: network("192.0.2.7").Addr}
	ping := tcp(workload("vote", "vote"), set, policy.EchoRequest(policy.ICMP))
	ping.Protocol = policy.ICMP
	ping.Logs = NewLogs([]policy.Hit{{Tier: "t", Policy: policy.Key{Kind: policy.KindNetworkPolicy, Namespace: "n", Name: "p"}, Rule: 2, Action: policy.Log}})
	denied := tcp(network("2001:db8::1"), workload("vote", "db"), 5432)
	denied.Direction = policy.Ingress
	denied.Enforced = policy.Hit{Tier: "default", Policy: policy.Key{Kind: policy.KindStagedGlobalNetworkPolicy, Name: "d"}, Rule: policy.EndOfTier, Action: policy.Deny}
	labels := map[string]string{"app": "x", "e": ""}
	var out []Flow
	for _, k := range []Key{ping, denied, tcp(Peer{Kind: PeerHost, Workload: policy.Workload{Name: "n1"}}, workload("a", "b"), 80)} {
		out = append(out, Flow{Key: k, FirstSeen: t0, LastSeen: t0, Connections: 3, Live: 1, BytesIn: 9, SourceLabels: labels})
	}
	return out
}

// again reads what was written of a flow that was read: whatever the other side
// says, netpol's own words must say the same ever after.
func again(t *testing.T, w *flowpb.Flow) {
	t.Helper()
	once := FromWire(w)
	data, err := proto.Marshal(ToWire(once))
	if err != nil {
		return // text that is not UTF-8 can't be written
	}
	var second flowpb.Flow
	if err := proto.Unmarshal(data, &second); err != nil {
		t.Fatalf("its own words can't be read: %v", err)
	}
	twice := FromWire(&second)
	third := FromWire(ToWire(twice))
	if d := cmp.Diff(twice, third, cmp.Comparer(sameAddr)); d != "" {
		t.Errorf("it changes each time it is passed on:\n%s", d)
	}
	if Compare(twice.Key, third.Key) != 0 {
		t.Error("the same key is not equal to itself")
	}
	_ = (Filter{Workload: "x", Namespaces: []string{"y"}, Port: 1}).Match(once.Key)
	_ = once.Source.String() + once.ServiceString()
	Merge([]Flow{once, twice})
}

func FuzzFlowWire(f *testing.F) {
	for _, s := range seeds() {
		data, err := proto.Marshal(ToWire(s))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var w flowpb.Flow
		if proto.Unmarshal(data, &w) == nil {
			again(t, &w)
		}
	})
}

func FuzzFlowJSON(f *testing.F) {
	for _, s := range seeds() {
		data, err := protojson.Marshal(ToWire(s))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var w flowpb.Flow
		if protojson.Unmarshal(data, &w) == nil {
			again(t, &w)
		}
	})
}

func FuzzLogs(f *testing.F) {
	f.Add(string(seeds()[0].Logs))
	f.Add("a\x00b\x00c\x00d\x001\x01x")
	f.Fuzz(func(t *testing.T, s string) {
		hits := Logs(s).Hits()
		if d := cmp.Diff(hits, NewLogs(hits).Hits()); d != "" {
			t.Errorf("it changes:\n%s", d)
		}
	})
}

func FuzzSelections(f *testing.F) {
	data, err := proto.Marshal(&flowpb.FlowListRequest{PageSize: 2, Filter: &flowpb.Filter{DestPorts: []*flowpb.PortMatch{{Port: 80}}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	var flows []*flowpb.FlowResult
	for i, s := range seeds() {
		flows = append(flows, &flowpb.FlowResult{Id: int64(i), Flow: ToWire(s)})
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var r flowpb.FlowListRequest
		if proto.Unmarshal(data, &r) != nil {
			return
		}
		var fit []*flowpb.FlowResult
		for _, x := range flows {
			if matchWire(r.GetFilter(), x.GetFlow().GetKey()) {
				fit = append(fit, x)
			}
		}
		sortWire(fit, r.GetSortBy())
		if checkPage(r.GetPage(), r.GetPageSize()) == nil {
			if page := pageOf(fit, r.GetPage(), r.GetPageSize()); len(page) > len(fit) {
				t.Errorf("%d of %d", len(page), len(fit))
			}
			listMetadata(len(fit), r.GetPageSize())
		}
	})
}
