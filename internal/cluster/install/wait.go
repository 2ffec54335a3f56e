package install

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/netpol-project/netpol/internal/cluster"
	manifest "github.com/netpol-project/netpol/internal/install"
)

// Progress is how far a rollout is.
type Progress struct {
	Nodes, Ready int64
	// Flows says that a flows server is to be there, FlowsReady that it is.
	Flows, FlowsReady bool
	// seen: the controllers have looked at what was applied.
	seen bool
}

// Done says that every node's agent, and the flows server, is of the version
// that was applied and ready.
func (p Progress) Done() bool {
	return p.seen && p.Ready == p.Nodes && (!p.Flows || p.FlowsReady)
}

// String is the progress in words.
func (p Progress) String() string {
	out := fmt.Sprintf("agents ready on %d/%d nodes", p.Ready, p.Nodes)
	switch {
	case p.Flows && p.FlowsReady:
		out += ", flows server ready"
	case p.Flows:
		out += ", flows server not ready"
	}
	return out
}

// Rollout waits until what was applied runs on every node. tell gets the
// progress whenever it changes. If it takes longer than within, the error tells
// the nodes that are late and why.
func (c *Client) Rollout(ctx context.Context, within time.Duration, tell func(Progress)) error {
	bounded, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	last := ""
	for {
		p, err := c.progress(bounded)
		if err == nil {
			if now := p.String(); now != last {
				last = now
				tell(p)
			}
			if p.Done() {
				return nil
			}
			err = c.sleep(bounded)
		}
		switch {
		case err == nil:
		case ctx.Err() != nil:
			return ctx.Err()
		case bounded.Err() != nil:
			return c.late(ctx, within)
		default:
			return err
		}
	}
}

func (c *Client) progress(ctx context.Context) (Progress, error) {
	var p Progress
	agent, err := c.get(ctx, daemonSets, manifest.Namespace, manifest.AgentName)
	if err != nil {
		return p, err
	}
	if agent == nil {
		return p, &cluster.Failure{What: "DaemonSet " + manifest.Namespace + "/" + manifest.AgentName + " has been removed meanwhile", Try: "netpol install"}
	}
	p.Nodes = number(agent, "status", "desiredNumberScheduled")
	p.Ready = min(number(agent, "status", "numberReady"), number(agent, "status", "updatedNumberScheduled"))
	p.seen = number(agent, "status", "observedGeneration") >= agent.GetGeneration()
	flows, err := c.get(ctx, deployments, manifest.Namespace, manifest.FlowsName)
	if err != nil || flows == nil {
		return p, err
	}
	want := number(flows, "spec", "replicas")
	p.Flows = true
	p.FlowsReady = number(flows, "status", "observedGeneration") >= flows.GetGeneration() &&
		number(flows, "status", "updatedReplicas") >= want && number(flows, "status", "availableReplicas") >= want
	return p, nil
}

func number(u *unstructured.Unstructured, path ...string) int64 {
	n, _, _ := unstructured.NestedInt64(u.Object, path...)
	return n
}

// late is the error of a rollout that took too long.
func (c *Client) late(ctx context.Context, within time.Duration) error {
	// The time that was given is over; what is said now needs some of its own.
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	f := &cluster.Failure{What: fmt.Sprintf("it is applied, but not everything is ready after %s", within),
		Try: c.kubectl("-n " + manifest.Namespace + " get pods -o wide"), Err: context.DeadlineExceeded}
	p, err := c.progress(ctx)
	if err != nil {
		return errors.Join(f, err)
	}
	f.Where = append(f.Where, p.String())
	if !p.seen {
		f.Where = append(f.Where, "the controller manager has not looked at the DaemonSet yet")
	}
	reasons, err := c.reasons(ctx, manifest.AgentName)
	if err != nil {
		return errors.Join(f, err)
	}
	if p.Flows && !p.FlowsReady {
		more, err := c.reasons(ctx, manifest.FlowsName)
		if err != nil {
			return errors.Join(f, err)
		}
		for node, why := range more {
			reasons["flows server on "+node] = why
		}
	}
	const most = 10
	for i, node := range slices.Sorted(maps.Keys(reasons)) {
		if i == most {
			f.Where = append(f.Where, fmt.Sprintf("and %d more", len(reasons)-most))
			break
		}
		f.Where = append(f.Where, node+": "+reasons[node])
	}
	return f
}

// reasons tell by node why a pod of that name is not ready.
func (c *Client) reasons(ctx context.Context, name string) (map[string]string, error) {
	out := map[string]string{}
	list, err := c.podsOf(ctx, name)
	if err != nil {
		return nil, err
	}
	for i := range list {
		if pod := &list[i]; condition(pod, "Ready") != "True" {
			out[nodeOf(pod)] = whyNot(pod)
		}
	}
	return out, nil
}

// nodeOf is the node of a pod, or the one that a DaemonSet's pod is for while
// no scheduler has put it there.
func nodeOf(pod *unstructured.Unstructured) string {
	if node, _, _ := unstructured.NestedString(pod.Object, "spec", "nodeName"); node != "" {
		return node
	}
	terms, _, _ := unstructured.NestedSlice(pod.Object, "spec", "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution", "nodeSelectorTerms")
	for _, term := range terms {
		t, _ := term.(map[string]any)
		fields, _ := t["matchFields"].([]any)
		for _, field := range fields {
			f, _ := field.(map[string]any)
			values, _ := f["values"].([]any)
			if len(values) == 1 && f["key"] == "metadata.name" {
				return fmt.Sprint(values[0])
			}
		}
	}
	return "no node yet"
}

// whyNot is the first reason that a pod gives for not being ready.
func whyNot(pod *unstructured.Unstructured) string {
	for _, list := range []string{"initContainerStatuses", "containerStatuses"} {
		statuses, _, _ := unstructured.NestedSlice(pod.Object, "status", list)
		for _, item := range statuses {
			s, _ := item.(map[string]any)
			for _, state := range []string{"waiting", "terminated"} {
				reason, _, _ := unstructured.NestedString(s, "state", state, "reason")
				message, _, _ := unstructured.NestedString(s, "state", state, "message")
				switch {
				case reason == "" || reason == "Completed" || reason == "PodInitializing":
				case message != "":
					return reason + ": " + message
				default:
					return reason
				}
			}
		}
	}
	conditions, _, _ := unstructured.NestedSlice(pod.Object, "status", "conditions")
	for _, item := range conditions {
		s, _ := item.(map[string]any)
		if message, _ := s["message"].(string); s["status"] == "False" && message != "" {
			return message
		}
	}
	phase, _, _ := unstructured.NestedString(pod.Object, "status", "phase")
	return "not ready (" + phase + ")"
}
