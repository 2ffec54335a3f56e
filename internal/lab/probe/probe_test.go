package probe

import (
	"encoding/json"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/netpol-project/netpol/internal/lab"
	"github.com/netpol-project/netpol/internal/lab/plan"
	"github.com/netpol-project/netpol/internal/lab/prober"
)

// pod is a pod of a Deployment with TCP ports.
func pod(namespace, workload, name, addr string, ports ...uint16) lab.PodStatus {
	p := lab.PodStatus{
		Namespace: namespace, Name: name, Workload: plan.Workload{Kind: "Deployment", Name: workload},
		Addrs: []netip.Addr{netip.MustParseAddr(addr), netip.MustParseAddr("fd00::" + addr[strings.LastIndexByte(addr, '.')+1:])},
	}
	for _, n := range ports {
		p.Ports = append(p.Ports, plan.Port{Protocol: plan.TCP, Port: n})
	}
	return p
}

func world() []lab.PodStatus {
	dns := pod("kube-system", "coredns", "coredns-1", "10.0.0.2", 53)
	dns.Ports = append(dns.Ports, plan.Port{Protocol: plan.UDP, Port: 53})
	return []lab.PodStatus{
		dns,
		pod("shop", "web", "web-1", "10.0.0.3", 80, 443),
		pod("shop", "web", "web-2", "10.0.0.4", 80, 443),
		pod("vote", "db", "db-1", "10.0.0.5", 5432),
		pod("vote", "worker", "worker-1", "10.0.0.6"),
	}
}

var ipv4 = []bool{false}

// pairsOf are the pairs of a selection, as text, sorted.
func pairsOf(t *testing.T, s Selection) []string {
	t.Helper()
	r, err := Plan(world(), s)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, it := range r.Collect(nil).Items {
		out = append(out, it.Source.String()+" "+it.Destination.String()+" "+it.Protocol+" "+strings.TrimPrefix(it.Family, "IPv")+" "+jsonText(it.Port))
	}
	slices.Sort(out)
	return out
}

func jsonText(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(data)
}

func TestSelection(t *testing.T) {
	for name, tc := range map[string]struct {
		s    Selection
		want []string
	}{
		"applications": {Selection{}, []string{
			"shop/web shop/web TCP 4 443", "shop/web shop/web TCP 4 80", "shop/web vote/db TCP 4 5432",
			"vote/db shop/web TCP 4 443", "vote/db shop/web TCP 4 80",
			"vote/worker shop/web TCP 4 443", "vote/worker shop/web TCP 4 80", "vote/worker vote/db TCP 4 5432",
		}},
		"one end in the namespace": {Selection{Namespaces: []string{"vote"}}, []string{
			"kube-system/coredns vote/db TCP 4 5432", "shop/web vote/db TCP 4 5432",
			"vote/db kube-system/coredns TCP 4 53", "vote/db kube-system/coredns UDP 4 53",
			"vote/db shop/web TCP 4 443", "vote/db shop/web TCP 4 80",
			"vote/worker kube-system/coredns TCP 4 53", "vote/worker kube-system/coredns UDP 4 53",
			"vote/worker shop/web TCP 4 443", "vote/worker shop/web TCP 4 80", "vote/worker vote/db TCP 4 5432",
		}},
		"from and to": {Selection{From: "worker", To: "vote/db"}, []string{"vote/worker vote/db TCP 4 5432"}},
		"to the system, named": {Selection{From: "db", To: "coredns", Ports: []Port{{plan.UDP, 53}}}, []string{
			"vote/db kube-system/coredns UDP 4 53",
		}},
		"an undeclared port": {Selection{From: "worker", To: "db", Ports: []Port{{"", 22}}}, []string{"vote/worker vote/db TCP 4 22"}},
		"a declared port":    {Selection{Ports: []Port{{"", 5432}}}, []string{"shop/web vote/db TCP 4 5432", "vote/worker vote/db TCP 4 5432"}},
		"pings": {Selection{From: "worker", To: "db", Protocols: []string{prober.ICMP}, Families: []bool{false, true}}, []string{
			"vote/worker vote/db ICMP 4 0", "vote/worker vote/db ICMPv6 6 0",
		}},
		"of one protocol": {Selection{From: "db", To: "coredns", Protocols: []string{prober.UDP}}, []string{"vote/db kube-system/coredns UDP 4 53"}},
		"a port of a protocol, and pings": {Selection{From: "db", To: "worker", Ports: []Port{{"", 9}}, Protocols: []string{prober.ICMP, prober.UDP}}, []string{
			"vote/db vote/worker ICMP 4 0", "vote/db vote/worker UDP 4 9",
		}},
		"both families": {Selection{From: "worker", To: "db", Families: []bool{false, true}}, []string{
			"vote/worker vote/db TCP 4 5432", "vote/worker vote/db TCP 6 5432",
		}},
	} {
		if tc.s.Families == nil {
			tc.s.Families = ipv4
		}
		if diff := cmp.Diff(tc.want, pairsOf(t, tc.s)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	if got := pairsOf(t, Selection{System: true, Families: ipv4}); !slices.Contains(got, "kube-system/coredns vote/db TCP 4 5432") {
		t.Errorf("-A leaves the system out: %v", got)
	}
}

func TestByServiceKnocksAtItsAddressAndReportsThePodsPort(t *testing.T) {
	services := []plan.Service{{
		Namespace: "shop", Name: "front", Addrs: []netip.Addr{netip.MustParseAddr("10.96.0.1")},
		Ports: []plan.ServicePort{{Protocol: plan.TCP, Port: 8080, Endpoints: []netip.AddrPort{
			netip.MustParseAddrPort("10.0.0.3:80"), netip.MustParseAddrPort("10.0.0.4:80"),
		}}},
	}}
	r, err := Plan(world(), Selection{From: "worker", Families: ipv4, Services: services})
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range r.Lab(time.Second).Tasks["vote/worker-1"] {
		if task.Destination.String() != "10.96.0.1:8080" {
			t.Errorf("it knocks at %s", task.Destination)
		}
	}
	items := r.Collect(nil).Items
	if len(items) != 1 || items[0].Service != "shop/front" || items[0].Port != 80 || items[0].Destination.Workload != "web" {
		t.Errorf("%+v", items)
	}
}

func TestUnknownNamesAreRefused(t *testing.T) {
	for _, s := range []Selection{{Namespaces: []string{"nope"}}, {From: "nope"}, {To: "vote/web"}} {
		var unknown *UnknownError
		if _, err := Plan(world(), s); !errors.As(err, &unknown) || len(unknown.Known) == 0 {
			t.Errorf("%+v: error %v", s, err)
		}
	}
}

func TestParsePort(t *testing.T) {
	for in, want := range map[string]Port{"80": {"", 80}, "tcp:80": {plan.TCP, 80}, "UDP:53": {plan.UDP, 53}} {
		if got, err := ParsePort(in); err != nil || got != want {
			t.Errorf("%q: %v, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "0", "65536", "x", "sctp:1", "tcp:", "80:tcp", "icmp:8"} {
		if got, err := ParsePort(in); err == nil {
			t.Errorf("%q: %v, want an error", in, got)
		}
	}
}

func TestParseProtocol(t *testing.T) {
	for in, want := range map[string]string{"tcp": prober.TCP, "UDP": prober.UDP, "icmp": prober.ICMP, "ICMPv6": prober.ICMP, "17": prober.UDP} {
		if got, err := ParseProtocol(in); err != nil || got != want {
			t.Errorf("%q: %q, %v, want %q", in, got, err, want)
		}
	}
	for _, in := range []string{"sctp", "udplite", "47", "0", "", "tpc"} {
		if got, err := ParseProtocol(in); err == nil {
			t.Errorf("%q: %q, want an error", in, got)
		}
	}
}

func TestPodsOfOnePairAreOneItem(t *testing.T) {
	r, err := Plan(world(), Selection{From: "worker", To: "web", Ports: []Port{{"", 80}, {"", 443}}, Families: ipv4})
	if err != nil {
		t.Fatal(err)
	}
	denial := &prober.Denial{Tier: "default"}
	var outcomes []prober.Outcome
	for _, task := range r.Lab(time.Second).Tasks["vote/worker-1"] {
		o := prober.Outcome{ID: task.ID, Result: prober.Connected}
		if task.Destination.Port() == 443 && task.Destination.Addr().String() == "10.0.0.4" {
			o.Result, o.Denial = prober.Blocked, denial
		}
		outcomes = append(outcomes, o)
	}
	slices.SortFunc(outcomes, func(a, b prober.Outcome) int { return a.ID - b.ID })
	got := r.Collect(outcomes)
	if want := (Summary{Pairs: 2, Connected: 1, Error: 1}); got.Summary != want {
		t.Errorf("summary %+v, want %+v", got.Summary, want)
	}
	if it := got.Items[1]; it.Port != 443 || it.Error != "the pods differ: connected and blocked" || it.DeniedBy != nil {
		t.Errorf("%+v", it)
	}
}

func report(results ...prober.Result) Report {
	var r Report
	for i, result := range results {
		r.Items = append(r.Items, Item{
			Source: Peer{"vote", "worker", "Deployment"}, Destination: Peer{"vote", "db", "Deployment"},
			Family: "IPv4", Protocol: "TCP", Port: uint16(i + 1), Result: result,
		})
	}
	return r
}

func TestExpectAllOrNothing(t *testing.T) {
	r := report(prober.Connected, prober.Closed, prober.Blocked, prober.Error)
	if got := ExpectAll("allow").Compare(r, false); len(got) != 2 {
		t.Errorf("allow: %v", got)
	}
	if got := ExpectAll("deny").Compare(r, false); len(got) != 3 {
		t.Errorf("deny: %v", got)
	}
}

func TestExpectFile(t *testing.T) {
	item := func(port, result string) string {
		return `{"source":{"namespace":"vote","workload":"worker","kind":"Deployment"},"destination":{"namespace":"vote","workload":"db","kind":"Deployment"},"protocol":"TCP","port":` + port + `,"result":"` + result + `"}`
	}
	e, err := ParseExpectation([]byte(`{"kind":"Connectivity","items":[` + item("1", "allow") + "," + item("2", "deny") + "," + item("3", "allow") + `]}`))
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		r        Report
		narrowed bool
		want     []string
	}{
		{report(prober.Connected, prober.Blocked, prober.Closed), false, nil},
		{report(prober.Blocked, prober.Blocked, prober.Closed), false, []string{"tcp:1 allow blocked"}},
		{report(prober.Connected, prober.Error, prober.Closed), false, []string{"tcp:2 deny error"}},
		{report(prober.Connected), true, nil},
		{report(prober.Connected), false, []string{"tcp:2 deny not probed", "tcp:3 allow not probed"}},
		{report(prober.Connected, prober.Blocked, prober.Closed, prober.Blocked), false, []string{"tcp:4 nothing blocked"}},
	} {
		var got []string
		for _, d := range e.Compare(tc.r, tc.narrowed) {
			got = append(got, strings.TrimPrefix(d.Pair, "vote/worker → vote/db ")+" "+d.Expected+" "+d.Result)
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%+v: %s", tc.r, diff)
		}
	}
}

func TestProbeReportCanBeExpected(t *testing.T) {
	r := report(prober.Connected, prober.Blocked)
	data, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	e, err := ParseExpectation(data)
	if err != nil {
		t.Fatal(err)
	}
	if got := e.Compare(r, false); len(got) > 0 {
		t.Errorf("%v", got)
	}
}

func TestBadExpectationsAreRefused(t *testing.T) {
	for _, data := range []string{"", "x", "{}", `{"items":[{"result":"maybe"}]}`, `{"items":[{"result":"allow"},{"result":"deny"}]}`, `{"items":[{"result":"error"}]}`} {
		if _, err := ParseExpectation([]byte(data)); err == nil {
			t.Errorf("%q: no error", data)
		}
	}
}
