package probe

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/netpol-project/netpol/internal/lab/prober"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/policytest"
	"github.com/netpol-project/netpol/pkg/tier"
)

func endpoint(id string) tier.Peer {
	namespace, name, _ := strings.Cut(id, "/")
	return tier.Peer{Endpoint: &policy.Endpoint{Namespace: namespace, Name: name}}
}

// checkOf is a check from worker-1 to db-1 unless it says otherwise.
func checkOf(protocol policy.Protocol, port uint16, change func(*policytest.Check)) *policytest.Check {
	c := &policytest.Check{
		From: "vote/worker", To: "vote/db", Source: endpoint("vote/worker-1"), Destination: endpoint("vote/db-1"),
		Protocol: protocol, Ports: policy.PortRange{Min: port, Max: port}, Expected: policy.Deny, Got: policy.Deny,
	}
	if change != nil {
		change(c)
	}
	return c
}

func TestChecksBecomeAttempts(t *testing.T) {
	echo := policy.EchoRequest(policy.ICMP)
	for what, tc := range map[string]struct {
		check *policytest.Check
		want  string // the attempts, or why there are none
	}{
		"both families": {checkOf(policy.TCP, 5432, nil), "TCP 10.0.0.6→10.0.0.5:5432, TCP fd00::6→[fd00::5]:5432"},
		"one family": {checkOf(policy.UDP, 53, func(c *policytest.Check) {
			c.OneFamily, c.Destination.Addr = true, netip.MustParseAddr("fd00::1")
		}), "UDP fd00::6→[fd00::5]:53"},
		"a ping":           {checkOf(policy.ICMP, echo, nil), "ICMP 10.0.0.6→10.0.0.5:0"},
		"a ping of IPv6":   {checkOf(policy.ICMPv6, policy.EchoRequest(policy.ICMPv6), nil), "ICMPv6 fd00::6→[fd00::5]:0"},
		"another message":  {checkOf(policy.ICMP, policy.ICMPPort(13, 0), nil), "only echo requests are tried of ICMP"},
		"a range":          {checkOf(policy.TCP, 1, func(c *policytest.Check) { c.Ports.Max = 9 }), "a range of ports is not tried"},
		"another protocol": {checkOf(policy.SCTP, 1, nil), "there is no prober for SCTP"},
		"from outside":     {checkOf(policy.TCP, 1, func(c *policytest.Check) { c.From, c.Source = "internet", tier.Peer{} }), "connections are tried from pods, and internet is none"},
		"to the outside":   {checkOf(policy.TCP, 1, func(c *policytest.Check) { c.To, c.Destination = "internet", tier.Peer{} }), "connections are tried to pods, and internet is none"},
		"not in the lab":   {checkOf(policy.TCP, 1, func(c *policytest.Check) { c.Destination = endpoint("vote/gone") }), "vote/db does not run here"},
		"to itself":        {checkOf(policy.TCP, 1, func(c *policytest.Check) { c.Source = c.Destination }), "a pod always reaches itself"},
	} {
		t.Run(what, func(t *testing.T) {
			r := NewChecks(world(), []*policytest.Check{tc.check})
			var got []string
			for _, tasks := range r.Lab(time.Second).Tasks {
				for _, task := range tasks {
					got = append(got, fmt.Sprintf("%s %s→%s", task.Protocol, task.Source, task.Destination))
				}
			}
			if len(got) == 0 {
				got = []string{tc.check.Live.Skipped}
			}
			if diff := cmp.Diff(tc.want, strings.Join(got, ", ")); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestChecksOfPodsWithoutACommonFamily(t *testing.T) {
	pods := world()
	for i := range pods {
		pods[i].Addrs = pods[i].Addrs[:1] // IPv4
	}
	c := checkOf(policy.ICMPv6, policy.EchoRequest(policy.ICMPv6), nil)
	if r := NewChecks(pods, []*policytest.Check{c}); r.Len() > 0 || c.Live == nil || c.Live.Skipped != "the two have no addresses of one family" {
		t.Errorf("%d attempts, %+v", r.Len(), c.Live)
	}
}

func TestChecksKeepWhatWasSeen(t *testing.T) {
	blocked := prober.Outcome{Result: prober.Blocked, Denial: &prober.Denial{Tier: "default", Name: "db", Rule: 2}}
	for what, tc := range map[string]struct {
		outcomes []prober.Outcome
		want     policytest.Live
	}{
		"both blocked":       {[]prober.Outcome{blocked, blocked}, policytest.Live{Got: policy.Deny, Text: "blocked by default/db rule 2"}},
		"the second is open": {[]prober.Outcome{blocked, {Result: prober.Closed}}, policytest.Live{Got: policy.Allow, Text: "closed"}},
		"the first is open":  {[]prober.Outcome{{Result: prober.Connected}, blocked}, policytest.Live{Got: policy.Allow, Text: "connected"}},
		"no answer":          {[]prober.Outcome{blocked, {Result: prober.Error, Error: "no answer"}}, policytest.Live{Text: "no answer"}},
		"no outcome":         {nil, policytest.Live{Text: "the prober gave no answer"}},
	} {
		c := checkOf(policy.TCP, 5432, nil)
		r := NewChecks(world(), []*policytest.Check{c})
		for i := range tc.outcomes {
			tc.outcomes[i].ID = i
		}
		r.Collect(append(tc.outcomes, prober.Outcome{ID: 99}))
		if diff := cmp.Diff(tc.want, *c.Live); diff != "" {
			t.Errorf("%s: %s", what, diff)
		}
	}
}
