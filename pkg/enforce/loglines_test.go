//go:build linux

package enforce

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"github.com/netpol-project/netpol/pkg/enforce/collect"
	"github.com/netpol-project/netpol/pkg/enforce/ruleset"
	"github.com/netpol-project/netpol/pkg/policy"
)

func TestS7_LogLine(t *testing.T) {
	pair := collect.Packet{Src: netip.MustParseAddr("10.65.0.3"), Dst: netip.MustParseAddr("10.65.0.7")}
	with := func(change func(*collect.Packet)) collect.Packet { p := pair; change(&p); return p }
	db := policy.Hit{Tier: "default", Policy: policy.Key{Kind: policy.KindNetworkPolicy, Namespace: "vote", Name: "db"}, Rule: 1, Action: policy.Log}
	const rule = "DIR=ingress TIER=default KIND=NetworkPolicy NAMESPACE=vote POLICY=db RULE=1"
	for _, c := range []struct {
		name string
		line logLine
		want string
	}{
		{"TCP", logLine{in: "npvote", out: "npdb", packet: with(func(p *collect.Packet) { p.Protocol, p.SrcPort, p.DstPort = 6, 40112, 5432 }), hit: db},
			"p: IN=npvote OUT=npdb SRC=10.65.0.3 DST=10.65.0.7 PROTO=TCP SPT=40112 DPT=5432 " + rule},
		{"to the node", logLine{in: "npvote", packet: with(func(p *collect.Packet) { p.Protocol, p.SrcPort, p.DstPort = 17, 40112, 53 }), hit: db, dir: policy.Egress},
			"p: IN=npvote OUT= SRC=10.65.0.3 DST=10.65.0.7 PROTO=UDP SPT=40112 DPT=53 " + strings.Replace(rule, "ingress", "egress", 1)},
		{"a ping", logLine{packet: with(func(p *collect.Packet) { p.Protocol, p.ICMPType, p.SrcPort, p.DstPort = 1, 8, 77, 0x800 }), hit: db},
			"p: IN= OUT= SRC=10.65.0.3 DST=10.65.0.7 PROTO=ICMP TYPE=8 CODE=0 ID=77 " + rule},
		{"ICMPv6", logLine{packet: collect.Packet{Src: netip.MustParseAddr("fd65::3"), Dst: netip.MustParseAddr("fd65::7"), Protocol: 58, ICMPType: 1, ICMPCode: 4}, hit: db},
			"p: IN= OUT= SRC=fd65::3 DST=fd65::7 PROTO=ICMPv6 TYPE=1 CODE=4 " + rule},
		{"without ports", logLine{packet: with(func(p *collect.Packet) { p.Protocol = 47 }), hit: db},
			"p: IN= OUT= SRC=10.65.0.3 DST=10.65.0.7 PROTO=47 " + rule},
		{"a later fragment", logLine{packet: with(func(p *collect.Packet) { p.Protocol, p.Fragment = 17, true }), hit: db},
			"p: IN= OUT= SRC=10.65.0.3 DST=10.65.0.7 PROTO=UDP FRAG=1 " + rule},
		{"a global policy", logLine{packet: with(func(p *collect.Packet) { p.Protocol = 47 }), hit: policy.Hit{Tier: "sec", Policy: policy.Key{Kind: policy.KindGlobalNetworkPolicy, Name: "g"}}},
			"p: IN= OUT= SRC=10.65.0.3 DST=10.65.0.7 PROTO=47 DIR=ingress TIER=sec KIND=GlobalNetworkPolicy POLICY=g RULE=0"},
		{"what is not printable", logLine{in: "a b\n", packet: with(func(p *collect.Packet) { p.Protocol = 47 }), hit: db},
			"p: IN=a?b? OUT= SRC=10.65.0.3 DST=10.65.0.7 PROTO=47 " + rule},
	} {
		c.line.prefix = "p"
		if got := c.line.String(); got != c.want {
			t.Errorf("%s: got\n%s\nwant\n%s", c.name, got, c.want)
		}
	}
}

// writer is a logWriter at a moment that the test sets.
func writer(out *bytes.Buffer, at *time.Time) *logWriter {
	attempts := collect.NewAttempts(1000)
	attempts.ByPrefix = true
	return &logWriter{
		opts: LogLines{Out: out, Prefix: "netpol-packet"}, now: func() time.Time { return *at },
		hit: func(id uint32) (policy.Hit, policy.Direction, bool) {
			return policy.Hit{Tier: "default", Policy: policy.Key{Kind: policy.KindGlobalNetworkPolicy, Name: fmt.Sprint(id)}}, policy.Ingress, id < 100
		},
		name:  func(uint32) string { return "" },
		limit: rate.NewLimiter(2, 3), attempts: attempts,
	}
}

func logged(id uint32, port uint16) *collect.Denied {
	return &collect.Denied{Prefix: ruleset.LogPrefix(id), Time: time.Unix(100, 0), Packet: collect.Packet{
		Src: netip.MustParseAddr("10.65.0.3"), Dst: netip.MustParseAddr("10.65.0.7"), Protocol: 6, SrcPort: port, DstPort: 80, SYN: true,
	}}
}

func TestS7_OneLineForEachConnectionAndRule(t *testing.T) {
	var out bytes.Buffer
	at := time.Unix(100, 0)
	w := writer(&out, &at)
	w.packet(logged(20, 1))
	w.packet(logged(20, 1)) // sent once more
	w.packet(logged(21, 1)) // another rule
	w.packet(logged(500, 2))
	w.packet(&collect.Denied{Prefix: "x"})
	if got := strings.Count(out.String(), "\n"); got != 2 || !strings.Contains(out.String(), "POLICY=20") || !strings.Contains(out.String(), "POLICY=21") {
		t.Errorf("got\n%s", &out)
	}
	if !strings.HasPrefix(out.String(), "1970-01-01T00:01:40.000000Z netpol-packet: IN= ") {
		t.Errorf("got\n%s", &out)
	}
}

func TestS7_LinesAreLimitedAndTheRestIsCounted(t *testing.T) {
	var out bytes.Buffer
	at := time.Unix(100, 0)
	w := writer(&out, &at)
	for port := range uint16(10) {
		w.packet(logged(20, port+1))
	}
	if got := strings.Count(out.String(), "\n"); got != 3 {
		t.Errorf("%d lines at once, want the burst of 3", got)
	}
	out.Reset()
	at = at.Add(time.Second)
	w.packet(logged(20, 100))
	lines := strings.Split(out.String(), "\n")
	if len(lines) != 3 || !strings.HasSuffix(lines[0], " netpol-packet: SUPPRESSED=7") || !strings.Contains(lines[1], "SPT=100 ") {
		t.Errorf("got\n%s", &out)
	}
}

func TestInterfaceNamesAreAskedOnce(t *testing.T) {
	asked := 0
	n := newInterfaceNames()
	n.ask = func(i uint32) (string, error) {
		if asked++; i == 9 {
			return "", errors.New("gone")
		}
		return "eth0", nil
	}
	for range 3 {
		if n.find(2) != "eth0" || n.find(9) != "if9" || n.find(0) != "" {
			t.Errorf("%q %q %q", n.find(2), n.find(9), n.find(0))
		}
	}
	if asked != 2 {
		t.Errorf("asked %d times", asked)
	}
}
