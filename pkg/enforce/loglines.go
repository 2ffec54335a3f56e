//go:build linux

package enforce

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/netpol-project/netpol/pkg/enforce/collect"
	"github.com/netpol-project/netpol/pkg/policy"
)

// logLine is what one Log rule says of one connection (S7).
type logLine struct {
	prefix  string
	in, out string // interfaces; empty is none
	packet  collect.Packet
	hit     policy.Hit
	dir     policy.Direction
}

// String is the line as whoever reads the lines of iptables' LOG knows it:
// words of KEY=value, and at the end the rule. ICMP has TYPE, CODE and, of a
// ping, ID in place of ports. What can't be known is left out; IN and OUT are
// always there, empty where a packet has no such interface.
//
//	netpol-packet: IN=npvote OUT=npdb SRC=10.65.0.3 DST=10.65.0.7 PROTO=TCP SPT=40112 DPT=5432 DIR=ingress TIER=default KIND=NetworkPolicy NAMESPACE=vote POLICY=db RULE=0
func (l *logLine) String() string {
	var b strings.Builder
	put := func(key, value string) { b.WriteString(" " + key + "=" + word(value)) }
	b.WriteString(printable(l.prefix) + ":")
	put("IN", l.in)
	put("OUT", l.out)
	p := &l.packet
	put("SRC", p.Src.String())
	put("DST", p.Dst.String())
	proto := policy.Protocol(p.Protocol)
	put("PROTO", proto.String())
	switch {
	case p.Fragment:
		put("FRAG", "1") // a later piece: its head is not here
	case proto.HasTypes():
		put("TYPE", strconv.Itoa(int(p.ICMPType)))
		put("CODE", strconv.Itoa(int(p.ICMPCode)))
		if p.SrcPort != 0 {
			put("ID", strconv.Itoa(int(p.SrcPort)))
		}
	case p.SrcPort != 0 || p.DstPort != 0:
		put("SPT", strconv.Itoa(int(p.SrcPort)))
		put("DPT", strconv.Itoa(int(p.DstPort)))
	}
	put("DIR", strings.ToLower(l.dir.String()))
	put("TIER", l.hit.Tier)
	put("KIND", string(l.hit.Policy.Kind))
	if l.hit.Policy.Namespace != "" {
		put("NAMESPACE", l.hit.Policy.Namespace)
	}
	put("POLICY", l.hit.Policy.Name)
	put("RULE", strconv.Itoa(l.hit.Rule))
	return b.String()
}

// suppressedLine tells of lines that were too many.
func suppressedLine(prefix string, n uint64) string {
	return fmt.Sprintf("%s: SUPPRESSED=%d", printable(prefix), n)
}

// stamped is a line with its time before it, and its end.
func stamped(at time.Time, line string) string {
	return at.UTC().Format("2006-01-02T15:04:05.000000Z") + " " + line + "\n"
}

// printable keeps a line one line: what is no letter, digit, sign or space
// becomes a question mark.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
}

// word is printable and without spaces, so that a line can be split at them.
func word(s string) string { return strings.ReplaceAll(printable(s), " ", "?") }
