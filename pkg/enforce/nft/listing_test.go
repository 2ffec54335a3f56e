//go:build linux

package nft

import (
	"encoding/json"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/netpol-project/netpol/internal/netnstest"
	"github.com/netpol-project/netpol/pkg/enforce/ruleset"
)

// What is programmed can be read by people: nft's own binary lists it in its
// own words, and takes its own listing back.
func TestReadableByNft(t *testing.T) {
	netnstest.Run(t, func(t *testing.T) {
		nft, err := exec.LookPath("nft")
		if err != nil {
			netnstest.Skip(t, "no nft binary to read the rules with")
		}
		w := newWorld(t)
		k := w.open(t, Options{})
		apply(t, k, everything())
		cut := a4(client4) + a4(server4) + b1(6) + p2(40000) + p2(port)
		if err := k.AddCut("cut4", []string{cut}, time.Hour); err != nil {
			t.Fatal(err)
		}
		list := func(args ...string) (out []byte) {
			w.router.Must(t, func() (err error) {
				out, err = exec.Command(nft, args...).CombinedOutput()
				return err
			})
			return out
		}
		text := string(list("list", "ruleset"))
		for _, want := range []string{
			"type filter hook forward priority filter + 1", "comment \"dispatch\"",
			"ip saddr . meta l4proto . th dport vmap @peers",
			"iifname . ip saddr vmap @pods", "iifname \"np*\"", "meta iifkind \"bridge\" drop", "meta oifkind @kinds", "iifname != @own",
			"ct state established,related accept", "ct state invalid drop",
			"ip6 saddr @nets6", "tcp dport @ports", "fib daddr type local",
			"10.1.0.2 . tcp . 8080 : accept", "\"np-a\" . 10.1.0.2 : goto profile",
			"10.0.0.0/16 . tcp . 8000-9000 : goto profile",
			"log prefix \"netpol:7\" group 5 snaplen 128 queue-threshold 1",
			"tcp flags syn / fin,syn,rst,ack", "flags timeout", "ct packets 0 return", "10.1.0.2 . 10.2.0.2 . tcp . 40000 . 8080 timeout 1h", "notrack",
			"icmpv6 type", "ip6 hoplimit 255",
			"ct status ! confirmed counter packets 0 bytes 0 limit rate 100/second burst 400 packets log prefix \"netpol:8\" group 6",
			"meta l4proto . th sport @types accept", "ipv6-icmp . 32768-33023", "meta l4proto . th sport vmap @sources",
			"ip saddr . meta l4proto . th sport @echo accept", "10.1.0.2 . icmp . 2048",
		} {
			if !strings.Contains(text, want) {
				t.Errorf("%q is not in the listing", want)
			}
		}
		if t.Failed() {
			t.Log(text)
		}
		var doc struct{ Nftables []map[string]any }
		if err := json.Unmarshal(list("-j", "list", "ruleset"), &doc); err != nil || len(doc.Nftables) < 10 {
			t.Errorf("JSON listing: %d objects, %v", len(doc.Nftables), err)
		}
		other := netnstest.NewNS(t)
		other.Must(t, func() error {
			cmd := exec.Command(nft, "-f", "-")
			cmd.Stdin = strings.NewReader(text)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("nft does not take its own listing: %v\n%s\n%s", err, out, text)
			}
			return nil
		})
	})
}

// everything uses each field and each kind of set once.
func everything() *ruleset.Ruleset {
	to := ruleset.Verdict{Kind: ruleset.Goto, Chain: "profile"}
	f := func(fields ...ruleset.Field) []ruleset.Field { return fields }
	peers := f(ruleset.SAddr4, ruleset.L4Proto, ruleset.DPort)
	any := func(field ruleset.Field, v uint32) ruleset.Match {
		return ruleset.Match{Fields: f(field), Op: ruleset.Any, Value: u32(v)}
	}
	raw := &ruleset.Chain{Name: "raw", Hook: &ruleset.Hook{Name: "prerouting", Priority: -300}, Rules: []ruleset.Rule{{
		Matches: []ruleset.Match{isIPv6, is(ruleset.L4Proto, []byte{58}), is(ruleset.ICMPv6Type, []byte{135}), is(ruleset.HopLimit, []byte{255})},
		NoTrack: true, Verdict: accept, Comment: "neighbour discovery",
	}}}
	base := &ruleset.Chain{Name: "ingress", Hook: &ruleset.Hook{Name: "forward", Priority: 1}, Rules: []ruleset.Rule{
		rule(drop, isIPv4, inSet("cut4", ruleset.SAddr4, ruleset.DAddr4, ruleset.L4Proto, ruleset.SPort, ruleset.DPort)),
		rule(accept, established),
		rule(drop, any(ruleset.CTState, ruleset.StateInvalid)),
		{Matches: []ruleset.Match{isIPv4}, VMap: &ruleset.VMap{Fields: f(ruleset.IIFName, ruleset.SAddr4), Map: "pods"}, Comment: "dispatch"},
		{Matches: []ruleset.Match{isIPv4}, VMap: &ruleset.VMap{Fields: peers, Map: "boxes"}},
		rule(accept, isIPv6, inSet("nets6", ruleset.SAddr6)),
		{Matches: []ruleset.Match{{Fields: f(ruleset.IIFName), Op: ruleset.Prefix, Value: []byte("np")}},
			Counter: true, Log: &ruleset.Log{Group: 5, Prefix: "netpol:7"}, Verdict: drop},
	}}
	return &ruleset.Ruleset{
		Chains: []*ruleset.Chain{raw, base,
			chain("accounting", rule(ruleset.Verdict{Kind: ruleset.Return}, is(ruleset.Packets, u64(0)))),
			chain("profile",
				ruleset.Rule{Matches: []ruleset.Match{isIPv4}, VMap: &ruleset.VMap{Fields: peers, Map: "peers"}},
				rule(accept, isTCP, inSet("ports", ruleset.DPort)),
				rule(accept, isTCP, ruleset.Match{Fields: f(ruleset.TCPFlags), Op: ruleset.Masked, Value: []byte{2}, Mask: []byte{0x17}}),
				rule(accept, is(ruleset.DAddrType, u32(2))),
				ruleset.Rule{
					Matches: []ruleset.Match{{Fields: f(ruleset.CTStatus), Op: ruleset.NotAny, Value: u32(ruleset.StatusConfirmed)}},
					Counter: true, Limit: &ruleset.Limit{PerSecond: 100, Burst: 400}, Log: &ruleset.Log{Group: 6, Prefix: "netpol:8"},
				},
				rule(accept, inSet("types", ruleset.L4Proto, ruleset.SPort)),
				ruleset.Rule{VMap: &ruleset.VMap{Fields: f(ruleset.L4Proto, ruleset.SPort), Map: "sources"}},
				rule(accept, isIPv4, inSet("echo", ruleset.SAddr4, ruleset.L4Proto, ruleset.SPort)),
				rule(drop, is(ruleset.IIFKind, []byte(n16("bridge")))),
				rule(drop, inSet("kinds", ruleset.OIFKind), ruleset.Match{Fields: f(ruleset.IIFName), Set: "own", Invert: true}),
				rule(drop)),
		},
		Sets: []*ruleset.Set{
			{Name: "boxes", Fields: peers, Interval: true, Map: true, Elements: []ruleset.Element{
				{Key: a4("10.0.0.0") + b1(6) + p2(8000), KeyEnd: a4("10.0.255.255") + b1(6) + p2(9000), Verdict: to}}},
			{Name: "cut4", Fields: f(ruleset.SAddr4, ruleset.DAddr4, ruleset.L4Proto, ruleset.SPort, ruleset.DPort), Timeout: true, External: true},
			{Name: "echo", Fields: f(ruleset.SAddr4, ruleset.L4Proto, ruleset.SPort), Elements: []ruleset.Element{
				{Key: a4(client4) + b1(1) + p2(0x800)}}},
			{Name: "kinds", Fields: f(ruleset.IIFKind), Elements: []ruleset.Element{{Key: n16("veth")}}},
			{Name: "nets6", Fields: f(ruleset.SAddr6), Interval: true, Elements: []ruleset.Element{
				{Key: a6("fd00::"), KeyEnd: a6("fd00::ffff")}, {Key: a6("ff00::"), KeyEnd: a6("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")}}},
			{Name: "own", Fields: f(ruleset.IIFName), Elements: []ruleset.Element{{Key: n16("eth0")}}},
			{Name: "peers", Fields: peers, Map: true, Comment: "who may", Elements: []ruleset.Element{
				{Key: a4(client4) + b1(6) + p2(port), Verdict: accept}}},
			{Name: "pods", Fields: f(ruleset.IIFName, ruleset.SAddr4), Map: true, Elements: []ruleset.Element{
				{Key: n16("np-a") + a4(client4), Verdict: to}}},
			{Name: "ports", Fields: f(ruleset.DPort), Interval: true, Elements: []ruleset.Element{
				{Key: p2(80), KeyEnd: p2(90)}, {Key: p2(91), KeyEnd: p2(65535)}}},
			{Name: "sources", Fields: f(ruleset.L4Proto, ruleset.SPort), Interval: true, Map: true, Elements: []ruleset.Element{
				{Key: b1(17) + p2(53), KeyEnd: b1(17) + p2(54), Verdict: drop}}},
			{Name: "types", Fields: f(ruleset.L4Proto, ruleset.SPort), Interval: true, Elements: []ruleset.Element{
				{Key: b1(58) + p2(0x8000), KeyEnd: b1(58) + p2(0x80ff)}}},
		},
	}
}
