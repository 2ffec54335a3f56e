package recording

import (
	"bytes"
	"context"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
)

var testTime = time.Date(2026, 3, 1, 12, 0, 0, 123, time.UTC)

const testManifests = `apiVersion: v1
kind: Namespace
metadata: {name: vote, labels: {team: a}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: vote}
spec: {selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: web}}, spec: {serviceAccountName: robot, containers: [{name: c, image: secret, ports: [{name: http, containerPort: 80}]}]}}}
---
apiVersion: v1
kind: Pod
metadata: {name: db-0, namespace: vote, labels: {app: db}, annotations: {a: secret}, ownerReferences: [{apiVersion: apps/v1, kind: StatefulSet, name: db, controller: true}]}
spec: {nodeName: n1, containers: [{name: c, image: secret, env: [{name: P, value: secret}], ports: [{containerPort: 53, protocol: UDP}]}]}
status: {podIPs: [{ip: 10.0.0.7}, {ip: "fd00::7"}]}
---
apiVersion: v1
kind: Service
metadata: {name: db, namespace: vote}
spec: {clusterIPs: [10.96.0.1], selector: {app: db}, ports: [{name: pg, port: 5432, targetPort: pg, nodePort: 30000}, {port: 1, targetPort: 2}]}
---
apiVersion: v1
kind: Service
metadata: {name: out, namespace: vote}
spec: {clusterIPs: [10.96.0.2], ports: [{name: x, port: 443}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: out-1, namespace: vote, labels: {kubernetes.io/service-name: out}}
addressType: IPv4
endpoints: [{addresses: [192.0.2.9]}]
ports: [{name: x, port: 8443, protocol: TCP}]
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: robot, namespace: vote, labels: {role: r}}
---
apiVersion: v1
kind: Node
metadata: {name: n1, labels: {zone: z}, creationTimestamp: "2026-02-01T00:00:00Z"}
spec: {podCIDRs: [10.0.0.0/24]}
status: {addresses: [{type: InternalIP, address: 172.16.0.1}]}
---
apiVersion: projectcalico.org/v3
kind: GlobalNetworkSet
metadata: {name: office, labels: {who: us}}
spec: {nets: [192.0.2.0/28]}
---
apiVersion: projectcalico.org/v3
kind: NetworkSet
metadata: {name: lab, namespace: vote, labels: {who: them}}
spec: {nets: ["2001:db8::/64"]}
---
apiVersion: projectcalico.org/v3
kind: HostEndpoint
metadata: {name: n1-eth0, labels: {host: "yes"}}
spec: {node: n1, interfaceName: eth0, expectedIPs: [172.16.0.1]}
`

func testSnapshot(t *testing.T) *policy.Snapshot {
	t.Helper()
	resources, faults := policy.Decode("m.yaml", []byte(testManifests))
	if err := faults.Errors().Err(); err != nil {
		t.Fatal(err)
	}
	snap, faults := policy.NewSnapshot(1, resources, nil)
	if err := faults.Errors().Err(); err != nil {
		t.Fatal(err)
	}
	return snap
}

// testFlows have every field of a flow.
func testFlows() []flow.Flow {
	key := policy.Key{Kind: policy.KindNetworkPolicy, Namespace: "vote", Name: "db"}
	allow := policy.Hit{Tier: "default", Policy: key, Rule: 2, Action: policy.Allow}
	deny := policy.Hit{Tier: "default", Policy: key, Rule: policy.EndOfTier, Action: policy.Deny}
	web := flow.Peer{Kind: flow.PeerWorkload, Workload: policy.Workload{Kind: policy.KindDeployment, Namespace: "vote", Name: "web"}}
	db := flow.Peer{Kind: flow.PeerWorkload, Workload: policy.Workload{Kind: policy.KindStatefulSet, Namespace: "vote", Name: "db"}}
	office := flow.Peer{Kind: flow.PeerNetworkSet, Workload: policy.Workload{Name: "office"}, Addr: netip.MustParseAddr("192.0.2.3")}
	f := flow.Flow{
		Key: flow.Key{
			Source: web, Destination: db, ServiceNamespace: "vote", ServiceName: "db", ServicePortName: "pg",
			Protocol: policy.TCP, Port: 5432, Direction: policy.Egress, Enforced: allow, Pending: deny,
			Logs: flow.NewLogs([]policy.Hit{{Tier: "t", Policy: key, Rule: 1, Action: policy.Log}}),
		},
		FirstSeen: testTime, LastSeen: testTime.Add(time.Minute), Connections: 9, Completed: 7, Live: 2,
		PacketsIn: 1, PacketsOut: 2, BytesIn: 3, BytesOut: 4,
		SourceLabels: map[string]string{"app": "web<&>"}, DestinationLabels: map[string]string{"app": "db"},
		EnforcedTrace: []flow.Step{{Hit: policy.Hit{Tier: "a", Policy: key, Action: policy.Pass}, Index: 0}, {Hit: allow, Index: 1}},
		PendingTrace:  []flow.Step{{Hit: deny, Index: 3}},
	}
	g := flow.Flow{
		Key:       flow.Key{Source: office, Destination: db, Protocol: policy.ICMP, Port: policy.ICMPPort(8, 0), Probe: true, Enforced: deny, Pending: deny},
		FirstSeen: testTime, LastSeen: testTime, Connections: 1,
	}
	h := flow.Flow{
		Key:       flow.Key{Source: flow.Peer{Kind: flow.PeerHost, Workload: policy.Workload{Name: "n1"}}, Destination: db, Protocol: 47, Enforced: policy.Hit{Rule: policy.NoPolicy, Action: policy.Allow}, Pending: policy.Hit{Rule: policy.NoPolicy, Action: policy.Allow}},
		FirstSeen: testTime, LastSeen: testTime, Connections: 5, Live: 5,
	}
	return []flow.Flow{f, h, g}
}

func testCoverage() flow.Coverage {
	return flow.Coverage{
		From: testTime, To: testTime.Add(time.Hour), Lost: 3, LostUnknown: true, Evicted: 4, Restricted: true,
		Nodes: []flow.NodeCoverage{{Node: "n1", From: testTime, To: testTime.Add(time.Hour), Lost: 1, LostUnknown: true,
			Gaps: []flow.Gap{{From: testTime.Add(time.Minute), To: testTime.Add(2 * time.Minute)}}}},
		Policies: []flow.PolicySince{{Key: policy.Key{Kind: policy.KindStagedNetworkPolicy, Namespace: "vote", Name: "db"}, Since: testTime}},
	}
}

// write records everything into a file, whole if end is set.
func write(t *testing.T, path string, end bool) {
	t.Helper()
	w, err := Create(path, Header{Created: testTime, Program: "test"}.Covered(testCoverage()))
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Objects(Objects(testSnapshot(t))); err != nil {
		t.Fatal(err)
	}
	for _, f := range testFlows() {
		if err := w.Flow(&f); err != nil {
			t.Fatal(err)
		}
	}
	if !end {
		w.Abandon()
		return
	}
	if err := w.Close(testCoverage()); err != nil {
		t.Fatal(err)
	}
}

func opener(path string) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) {
		data, err := os.ReadFile(path)
		if err != nil || !strings.Contains(path, ".zst") {
			return io.NopCloser(bytes.NewReader(data)), err
		}
		dec, err := zstd.NewReader(bytes.NewReader(data))
		if err != nil {
			return nil, err
		}
		return dec.IOReadCloser(), nil
	}
}

func list(t *testing.T, path string, filter flow.Filter) (*Source, []flow.Flow, flow.Coverage) {
	t.Helper()
	s, err := Open("rec", opener(path))
	if err != nil {
		t.Fatal(err)
	}
	flows, coverage, err := s.List(t.Context(), filter)
	if err != nil {
		t.Fatal(err)
	}
	return s, flows, coverage
}

func TestWhatIsRecordedComesBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "r.jsonl.zst")
	write(t, path, true)
	s, flows, coverage := list(t, path, flow.Filter{IncludeProbes: true})
	if want := testFlows(); !reflect.DeepEqual(flows, want) {
		t.Errorf("flows\n got %+v\nwant %+v", flows, want)
	}
	if want := testCoverage(); !reflect.DeepEqual(coverage, want) {
		t.Errorf("coverage\n got %+v\nwant %+v", coverage, want)
	}
	if note := s.Note(); note != "" {
		t.Error(note)
	}
	if matches, _ := filepath.Glob(path + ".*"); len(matches) > 0 {
		t.Errorf("left behind: %v", matches)
	}
}

// bare is a snapshot as text, without where things are written down.
func bare(t *testing.T, snap *policy.Snapshot) string {
	t.Helper()
	var out bytes.Buffer
	w, err := NewWriter(&out, Header{Created: testTime})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Objects(Objects(snap)); err != nil {
		t.Fatal(err)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestTheWorldComesBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "r.jsonl")
	write(t, path, true)
	s, _, _ := list(t, path, flow.Filter{})
	want, got := testSnapshot(t), s.World()
	for i, ep := range want.Endpoints {
		w, g := *ep, *got.Endpoints[i]
		w.Origin, g.Origin = policy.Origin{}, policy.Origin{}
		if !reflect.DeepEqual(g, w) {
			t.Errorf("endpoint\n got %+v\nwant %+v", g, w)
		}
	}
	for i, n := range want.Nodes {
		w, g := *n, *got.Nodes[i]
		w.Origin, g.Origin = policy.Origin{}, policy.Origin{}
		if !reflect.DeepEqual(g, w) || g.Created == 0 {
			t.Errorf("node\n got %+v\nwant %+v", g, w)
		}
	}
	for i, svc := range want.Services {
		w, g := *svc, *got.Services[i]
		w.Origin, g.Origin = policy.Origin{}, policy.Origin{}
		if !reflect.DeepEqual(g, w) {
			t.Errorf("service\n got %+v\nwant %+v", g, w)
		}
	}
	if bare(t, got) != bare(t, want) {
		t.Errorf("got\n%s\nwant\n%s", bare(t, got), bare(t, want))
	}
	data, err := os.ReadFile(path)
	if err != nil || bytes.Contains(data, []byte("secret")) {
		t.Errorf("what nobody needs is recorded: %v\n%s", err, data)
	}
}

func TestTwoRecordsOfAFlowAddUpAndTheLastSaysWhatIsOpen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "r.jsonl")
	w, err := Create(path, Header{})
	if err != nil {
		t.Fatal(err)
	}
	f := testFlows()[0]
	again := f
	again.FirstSeen, again.LastSeen, again.Live, again.Connections = testTime.Add(time.Hour), testTime.Add(2*time.Hour), 1, 4
	again.SourceLabels = map[string]string{"app": "web<&>", "hash": "x"}
	for _, f := range []flow.Flow{f, again, f, again} {
		if err := w.Flow(&f); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(flow.Coverage{From: testTime, To: testTime.Add(2 * time.Hour)}); err != nil {
		t.Fatal(err)
	}
	_, flows, _ := list(t, path, flow.Filter{})
	if len(flows) != 1 {
		t.Fatalf("%d flows", len(flows))
	}
	got := flows[0]
	if got.Connections != 26 || got.Live != 1 || got.BytesIn != 12 || !got.FirstSeen.Equal(testTime) || !got.LastSeen.Equal(again.LastSeen) || len(got.SourceLabels) != 1 {
		t.Errorf("got %+v", got)
	}
	_, flows, coverage := list(t, path, flow.Filter{Since: testTime.Add(30 * time.Minute)})
	if len(flows) != 1 || flows[0].Connections != 8 || !coverage.From.Equal(testTime.Add(30*time.Minute)) {
		t.Errorf("since: %+v, %+v", flows, coverage)
	}
}

// A recording that is cut off anywhere is read up to there, and says so.
func TestACutRecordingIsReadUpToThere(t *testing.T) {
	whole := filepath.Join(t.TempDir(), "r.jsonl")
	write(t, whole, true)
	data, err := os.ReadFile(whole)
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.SplitAfter(data, []byte("\n"))
	cut := filepath.Join(t.TempDir(), "cut.jsonl")
	for at := len(lines[0]) % 37; at < len(data)-1; at += 37 { // within the header too
		if err := os.WriteFile(cut, data[:at], 0o600); err != nil {
			t.Fatal(err)
		}
		s, flows, coverage := list(t, cut, flow.Filter{IncludeProbes: true})
		want := bytes.Count(data[:at], []byte("{\"flow\""))
		if bytes.LastIndexByte(data[:at], '\n') < bytes.LastIndex(data[:at], []byte("{\"flow\"")) {
			want--
		}
		if len(flows) != want || !strings.Contains(s.Note(), "cut off") || !coverage.LostUnknown {
			t.Errorf("cut at %d: %d flows, want %d; %q", at, len(flows), want, s.Note())
		}
	}
}

// What an editor or a shell leaves out at the end is no part of a recording.
func TestARecordingWithoutItsLastNewlineIsWhole(t *testing.T) {
	path := filepath.Join(t.TempDir(), "r.jsonl")
	write(t, path, true)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	s, flows, coverage := list(t, path, flow.Filter{IncludeProbes: true})
	for _, end := range []string{"", " "} {
		if err := os.WriteFile(path, append(bytes.TrimSuffix(data, []byte("\n")), end...), 0o600); err != nil {
			t.Fatal(err)
		}
		got, again, same := list(t, path, flow.Filter{IncludeProbes: true})
		if got.Note() != s.Note() || len(again) != len(flows) || !same.To.Equal(coverage.To) || same.LostUnknown != coverage.LostUnknown {
			t.Errorf("ended by %q: %d flows, %q, %+v", end, len(again), got.Note(), same)
		}
	}
}

func TestAPartialFileIsReadable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "r.jsonl.zst")
	write(t, path, false)
	if _, err := os.Stat(path); err == nil {
		t.Error("a recording that was given up has the name of a whole one")
	}
	s, flows, coverage := list(t, path+".partial", flow.Filter{IncludeProbes: true})
	if len(flows) != 3 || s.Note() != "the recording rec was cut off after 3 records: what comes after 2026-03-01T12:01:00Z is missing" {
		t.Errorf("%d flows, %q", len(flows), s.Note())
	}
	if !coverage.To.Equal(testTime.Add(time.Minute)) {
		t.Errorf("covered to %s", coverage.To)
	}
}

// A recording that does not say since when it has flows is no evidence of all the
// time before.
func TestCoverageThatNobodyTells(t *testing.T) {
	var out bytes.Buffer
	w, err := NewWriter(&out, Header{})
	if err != nil {
		t.Fatal(err)
	}
	f := testFlows()[0]
	_ = w.Flow(&f)
	_ = w.Flush()
	lines := strings.SplitAfter(out.String(), "\n")
	for name, text := range map[string]string{
		"in no line":          `{"apiVersion":"netpol.dev/v1","kind":"FlowRecording"}` + "\n" + lines[1] + `{"end":{"records":1}}` + "\n",
		"in the last, halves": `{"apiVersion":"netpol.dev/v1","kind":"FlowRecording"}` + "\n" + lines[1] + `{"end":{"records":1,"coverage":{"lost":1}}}` + "\n",
		"in the first, cut":   `{"apiVersion":"netpol.dev/v1","kind":"FlowRecording"}` + "\n" + lines[1],
	} {
		s, err := Open("rec", func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(text)), nil })
		if err != nil {
			t.Fatal(err)
		}
		_, c, err := s.List(t.Context(), flow.Filter{})
		if err != nil || !c.From.Equal(f.FirstSeen) || !c.To.Equal(f.LastSeen) {
			t.Errorf("%s: from %v to %v, %v", name, c.From, c.To, err)
		}
	}
}

func TestErrorsNameTheLine(t *testing.T) {
	const header = `{"apiVersion":"netpol.dev/v1","kind":"FlowRecording"}` + "\n"
	good := func() string {
		var out bytes.Buffer
		w, err := NewWriter(&out, Header{})
		if err != nil {
			t.Fatal(err)
		}
		f := testFlows()[0]
		_ = w.Flow(&f)
		_ = w.Flush()
		return strings.Split(out.String(), "\n")[1] + "\n"
	}()
	for says, text := range map[string]string{
		`rec:1: a recording of "netpol.dev/v9"`: `{"apiVersion":"netpol.dev/v9","kind":"FlowRecording"}` + "\n",
		"rec:3: invalid character":              header + good + "x\n" + good,
		"rec:2: expected an object, a flow":     header + "{}\n",
		"rec:2: object: a recording has no Net": header + `{"object":{"apiVersion":"projectcalico.org/v3","kind":"NetworkPolicy","metadata":{"name":"a","namespace":"b"},"spec":{}}}` + "\n",
		"rec:2: a count is negative":            header + strings.Replace(good, `"connections":9`, `"connections":-9`, 1),
		"rec:2: a count is more than":           header + strings.Replace(good, `"connections":9`, `"connections":9223372036854775807`, 1),
		"rec:2: seen from 2026-":                header + strings.Replace(good, `"lastSeen":"2026`, `"lastSeen":"9999`, 1),
		"rec:2: seen from 1900-":                header + strings.Replace(good, `"firstSeen":"2026`, `"firstSeen":"1900`, 1),
		"rec:2: firstSeen or lastSeen":          header + strings.Replace(good, `"firstSeen"`, `"x"`, 1),
		`rec:2: protocol "no"`:                  header + strings.Replace(good, `"TCP"`, `"no"`, 1),
		`rec:2: enforced: action "no"`:          header + strings.Replace(good, `"action":"Allow"`, `"action":"no"`, 1),
		`rec:2: source: kind "no"`:              header + strings.Replace(good, `"kind":"Workload"`, `"kind":"no"`, 1),
		"rec:3: there is something after":       header + `{"end":{"records":0}}` + "\n" + good,
	} {
		s, err := Open("rec", func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(text)), nil })
		if err == nil {
			_, _, err = s.List(context.Background(), flow.Filter{})
		}
		if err == nil || !strings.HasPrefix(err.Error(), says) {
			t.Errorf("want %s\n got %v", says, err)
		}
	}
}
