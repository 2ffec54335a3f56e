package probe

import (
	"net/netip"
	"strconv"
	"time"

	"github.com/netpol-project/netpol/internal/lab"
	"github.com/netpol-project/netpol/internal/lab/prober"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/policytest"
)

// Checks are the connections of policy tests, as attempts in a lab.
type Checks struct {
	checks []*policytest.Check // by task ID
	tasks  map[string][]prober.Task
}

// NewChecks lists the attempts that checks ask for, one for each family that
// both ends have. What can't be tried is marked as skipped, with the reason.
func NewChecks(pods []lab.PodStatus, checks []*policytest.Check) *Checks {
	byID := make(map[string]*lab.PodStatus, len(pods))
	for i := range pods {
		byID[pods[i].Namespace+"/"+pods[i].Name] = &pods[i]
	}
	out := &Checks{tasks: map[string][]prober.Task{}}
	for _, c := range checks {
		if why := out.add(byID, c); why != "" {
			c.Live = &policytest.Live{Skipped: why}
		}
	}
	return out
}

// Len is the number of attempts.
func (r *Checks) Len() int { return len(r.checks) }

// Lab is the request as a lab takes it.
func (r *Checks) Lab(timeout time.Duration) lab.ProbeRequest {
	return lab.ProbeRequest{Tasks: r.tasks, Timeout: timeout}
}

// add puts a check's attempts on the list, or says why that can't be.
func (r *Checks) add(pods map[string]*lab.PodStatus, c *policytest.Check) string {
	if why := untriable(c); why != "" {
		return why
	}
	from, to := pods[c.Source.Endpoint.ID()], pods[c.Destination.Endpoint.ID()]
	switch {
	case from == nil:
		return c.From + " does not run here"
	case to == nil:
		return c.To + " does not run here"
	}
	tried := false
	for _, v6 := range []bool{false, true} {
		source, destination := addr(from, v6), addr(to, v6)
		if !source.IsValid() || !destination.IsValid() || c.OneFamily && c.Destination.Addr.Is6() != v6 ||
			c.Protocol == policy.ICMP && v6 || c.Protocol == policy.ICMPv6 && !v6 {
			continue
		}
		tried = true
		id := from.Namespace + "/" + from.Name
		r.tasks[id] = append(r.tasks[id], prober.Task{
			ID: len(r.checks), Protocol: c.Protocol.String(), Source: source,
			Destination: netip.AddrPortFrom(destination, portToTry(c)),
		})
		r.checks = append(r.checks, c)
	}
	if !tried {
		return "the two have no addresses of one family"
	}
	return ""
}

// untriable says why a check can't be tried in any lab.
func untriable(c *policytest.Check) string {
	src, dst := c.Source.Endpoint, c.Destination.Endpoint
	switch {
	case src == nil:
		return "connections are tried from pods, and " + c.From + " is none"
	case dst == nil:
		return "connections are tried to pods, and " + c.To + " is none"
	case src == dst:
		return "a pod always reaches itself"
	case !prober.Knows(c.Protocol.String()):
		return "there is no prober for " + c.Protocol.String()
	case c.Ports.Min != c.Ports.Max && !c.Protocol.HasTypes():
		return "a range of ports is not tried"
	case c.Protocol.HasTypes() && !holdsEcho(c):
		return "only echo requests are tried of " + c.Protocol.String()
	}
	return ""
}

func holdsEcho(c *policytest.Check) bool { return c.Ports.Contains(policy.EchoRequest(c.Protocol)) }

// portToTry is the destination port; an echo request has none.
func portToTry(c *policytest.Check) uint16 {
	if c.Protocol.HasTypes() {
		return 0
	}
	return c.Ports.Min
}

// Collect tells every check what was seen of it. Where both families were
// tried, the first that is not as expected counts.
func (r *Checks) Collect(outcomes []prober.Outcome) {
	for _, o := range outcomes {
		if o.ID < 0 || o.ID >= len(r.checks) {
			continue
		}
		c := r.checks[o.ID]
		if c.Live == nil || c.Live.Got == c.Expected {
			c.Live = seen(o)
		}
	}
	for _, c := range r.checks {
		if c.Live == nil {
			c.Live = &policytest.Live{Text: "the prober gave no answer"}
		}
	}
}

// seen is an outcome as tests have it.
func seen(o prober.Outcome) *policytest.Live {
	live := &policytest.Live{Text: string(o.Result)}
	switch verdict(string(o.Result)) {
	case "allow":
		live.Got = policy.Allow
	case "deny":
		live.Got = policy.Deny
		if d := o.Denial; d != nil {
			live.Text += " by " + d.Tier + "/" + d.Name
			if d.Rule >= 0 {
				live.Text += " rule " + strconv.Itoa(d.Rule)
			}
		}
	default:
		live.Text = o.Error
	}
	return live
}
