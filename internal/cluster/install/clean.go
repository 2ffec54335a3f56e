package install

import (
	"context"
	"maps"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/netpol-project/netpol/internal/cluster"
	manifest "github.com/netpol-project/netpol/internal/install"
)

// agentsEnd is how long agents get to end before their rules are removed. Those
// of a node that is down never do; they must not hold up the others.
const agentsEnd = 30 * time.Second

// awaitAgents waits until no agent runs: a living one would put its rules back.
func (c *Client) awaitAgents(ctx context.Context, within time.Duration) error {
	for end := time.Now().Add(within); time.Now().Before(end); {
		list, err := c.podsOf(ctx, manifest.AgentName)
		if err != nil || len(list) == 0 {
			return err
		}
		if err := c.sleep(ctx); err != nil {
			return err
		}
	}
	return nil
}

// agentNodes are the nodes that have a pod of the agents.
func (c *Client) agentNodes(ctx context.Context) ([]string, error) {
	list, err := c.podsOf(ctx, manifest.AgentName)
	var out []string
	for i := range list {
		out = append(out, nodeOf(&list[i]))
	}
	return out, err
}

func (c *Client) podsOf(ctx context.Context, name string) ([]unstructured.Unstructured, error) {
	list, err := c.dyn.Resource(pods).Namespace(manifest.Namespace).List(ctx, metav1.ListOptions{LabelSelector: manifest.LabelName + "=" + name})
	if err != nil {
		return nil, c.fail("list pods of namespace "+manifest.Namespace, err)
	}
	return list.Items, nil
}

// clean has every node remove its rules. had are the nodes that ran an agent.
func (c *Client) clean(ctx context.Context, opts RemoveOptions, had []string) (map[string]string, error) {
	apply := ApplyOptions{ForceConflicts: true, Within: opts.Within}
	there, err := c.get(ctx, namespaces, "", opts.Namespace.GetName())
	if err != nil {
		return nil, err
	}
	if there != nil && there.GetDeletionTimestamp() != nil {
		return nil, &cluster.Failure{What: "namespace " + there.GetName() + " is still being deleted",
			Try: "the same when it is gone; what holds it up: " + c.kubectl("-n "+there.GetName()+" get pods -o wide")}
	}
	if there == nil {
		if _, err := c.apply(ctx, opts.Namespace, apply); err != nil {
			return nil, err
		}
	}
	if _, err := c.apply(ctx, opts.Cleanup, apply); err != nil {
		return nil, err
	}
	bounded, cancel := context.WithTimeout(ctx, opts.Within)
	defer cancel()
	dirty, err := c.awaitClean(bounded, had, opts.Progress)
	if ctx.Err() != nil {
		return dirty, ctx.Err()
	}
	if err != nil && bounded.Err() == nil {
		return dirty, err
	}
	_, err = c.remove(ctx, opts.Cleanup, false)
	return dirty, err
}

// EndCleanup removes the DaemonSet that an uninstallation was ended before it
// could remove: its pods take away rules, and new agents come now.
func (c *Client) EndCleanup(ctx context.Context, tell func(Result)) error {
	u, err := c.get(ctx, daemonSets, manifest.Namespace, manifest.CleanupName)
	if err != nil || u == nil {
		return err
	}
	was, err := c.remove(ctx, u, false)
	if was {
		tell(Result{Object: u, Outcome: cluster.Deleted})
	}
	return err
}

// awaitClean waits until the cleanup's pod is ready on every node and no agent
// runs any more, and gives the nodes for which that is not so.
func (c *Client) awaitClean(ctx context.Context, had []string, progress func(clean, nodes int)) (map[string]string, error) {
	dirty := map[string]string{}
	told := -1
	for {
		next, nodes, err := c.dirty(ctx, had)
		if err != nil {
			return dirty, err
		}
		dirty = next
		clean := nodes - len(dirty)
		if dirty[startup] != "" {
			clean++ // it is no node
		}
		if clean != told {
			told = clean
			progress(clean, nodes)
		}
		if len(dirty) == 0 {
			return nil, nil
		}
		if err := c.sleep(ctx); err != nil {
			return dirty, err
		}
	}
}

// startup stands for all nodes while the controllers have not looked yet.
const startup = "every node"

func (c *Client) dirty(ctx context.Context, had []string) (dirty map[string]string, nodes int, err error) {
	dirty = map[string]string{}
	all := map[string]bool{}
	for _, node := range had {
		dirty[node], all[node] = "its agent is gone, and nothing has answered from there", true
	}
	ds, err := c.get(ctx, daemonSets, manifest.Namespace, manifest.CleanupName)
	if err != nil {
		return nil, 0, err
	}
	cleaners, err := c.podsOf(ctx, manifest.CleanupName)
	if err != nil {
		return nil, 0, err
	}
	for i := range cleaners {
		node := nodeOf(&cleaners[i])
		all[node] = true
		if condition(&cleaners[i], "Ready") == "True" {
			delete(dirty, node)
		} else {
			dirty[node] = whyNot(&cleaners[i])
		}
	}
	agents, err := c.podsOf(ctx, manifest.AgentName)
	if err != nil {
		return nil, 0, err
	}
	for i := range agents {
		dirty[nodeOf(&agents[i])] = "its agent has not ended yet"
		all[nodeOf(&agents[i])] = true
	}
	if ds != nil && (number(ds, "status", "observedGeneration") < ds.GetGeneration() || number(ds, "status", "desiredNumberScheduled") > int64(len(cleaners))) {
		dirty[startup] = "the controller manager has not made all pods of DaemonSet " + manifest.CleanupName + " yet"
	}
	return dirty, len(all), nil
}

// Lines are nodes with what there is to say of each, sorted.
func Lines(dirty map[string]string) []string {
	var out []string
	for _, node := range slices.Sorted(maps.Keys(dirty)) {
		out = append(out, node+": "+dirty[node])
	}
	return out
}
